//! Pages made pictures in a process of its own.
//!
//! The child is asked for one page after the other: a line of JSON goes in, a line of JSON comes out, and behind it as many
//! bytes of JPEG as the line says. So no more than a page is in anybody's memory, and it is known which page a child died of.

use std::{
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::Duration,
};

use async_trait::async_trait;
use quire_document::{DocumentLimits, Documents, sniff_file};
use quire_tasks::{DocumentFormat, Failure, FailureCode};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};
use tracing::{error, warn};

use crate::{
    Pictures,
    pictures::{Cover, PagePicture, Shape},
};

/// After so many pages another child goes on: what opens PDFs keeps something of every page.
const PAGES_OF_A_CHILD: u32 = 200;
/// The longest line that a child may answer.
const LONGEST_LINE: u64 = 64 << 10;
/// The largest picture: three times what the pixels of a page take at the worst.
const LARGEST_PICTURE: usize = 144 << 20;

/// What the child is asked for.
#[derive(Debug, Serialize, Deserialize)]
struct Wish {
    page: u32,
    #[serde(flatten)]
    cover: Cover,
}

/// What comes before a picture's bytes.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    bytes: usize,
    #[serde(flatten)]
    shape: Shape,
}

/// The child's side, for a program that was started with `picture FILE`: answers wishes until there is none any more.
/// `pdfium` is the library, or why there is none.
pub fn picture_as_child(pdfium: Result<PathBuf, Failure>, file: &Path) -> ExitCode {
    let unsupported = || Failure::new(FailureCode::UnsupportedFormat, "The bytes are of no format that is read.");
    let format = sniff_file(file).ok().flatten().ok_or_else(unsupported);
    let opened = format.and_then(|format| Ok((format, Documents::new(Some(pdfium?), DocumentLimits::default()))));
    match answer_all(opened, file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn answer_all(mut opened: Result<(DocumentFormat, Documents), Failure>, file: &Path) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let wish: Wish = serde_json::from_str(&line?)?;
        let made = match &mut opened {
            Ok((format, documents)) => made(documents, file, *format, &wish),
            Err(failure) => Err(failure.clone()),
        };
        let (head, jpeg) = match made {
            Ok((head, jpeg)) => (Ok(head), jpeg),
            Err(failure) => (Err(failure), Vec::new()),
        };
        serde_json::to_writer(&mut out, &head)?;
        out.write_all(b"\n")?;
        out.write_all(&jpeg)?;
        out.flush()?;
    }
    Ok(())
}

fn made(
    documents: &mut Documents,
    file: &Path,
    format: DocumentFormat,
    wish: &Wish,
) -> Result<(Head, Vec<u8>), Failure> {
    let mut image = documents.page(file, format, wish.page)?;
    let (page_width, page_height) = (image.page_width(), image.page_height());
    match &wish.cover {
        Cover::Nothing => {}
        Cover::Parts { width, height, parts } if (*width, *height) == (page_width, page_height) => {
            for part in parts {
                image.blacken_part(part);
            }
        }
        Cover::Parts { .. } | Cover::Everything => image.blacken(),
    }
    let dpi = documents.dpi(file, format, wish.page)?;
    let jpeg = image.to_jpeg()?;
    let (width, height, is_gray) = (image.width(), image.height(), jpeg.is_gray);
    let shape = Shape { width, height, is_gray, page_width, page_height, dpi };
    Ok((Head { bytes: jpeg.bytes.len(), shape }, jpeg.bytes))
}

/// The parent's side. A page that kills the child, or on which it hangs, is not to be had, and the next one is asked of
/// another child.
#[derive(Debug)]
pub(crate) struct ChildPictures {
    program: PathBuf,
    file: PathBuf,
    /// How long a page may take.
    limit: Duration,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    wishes: ChildStdin,
    answers: BufReader<ChildStdout>,
    pages: u32,
    // Killed when it is dropped.
    _child: Child,
}

impl ChildPictures {
    /// Of this file, by `program`, which must do [`picture_as_child`] when it is started with `picture FILE`.
    pub(crate) const fn new(program: PathBuf, file: PathBuf, limit: Duration) -> Self {
        Self { program, file, limit, running: None }
    }

    fn start(&self) -> Result<Running, Failure> {
        let mut child = Command::new(&self.program)
            .arg("picture")
            .arg(&self.file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                error!(%error, "no process could be started to make pictures of pages");
                Failure::new(FailureCode::Internal, "The pages could not be rendered.")
            })?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (wishes, answers) = pipes.expect("both were asked for");
        Ok(Running { wishes, answers: BufReader::new(answers), pages: 0, _child: child })
    }
}

impl Running {
    async fn ask(&mut self, page: u32, cover: &Cover) -> io::Result<Result<PagePicture, Failure>> {
        self.pages += 1;
        let mut wish = serde_json::to_vec(&Wish { page, cover: cover.clone() })?;
        wish.push(b'\n');
        self.wishes.write_all(&wish).await?;
        self.wishes.flush().await?;
        let mut line = Vec::new();
        (&mut self.answers).take(LONGEST_LINE).read_until(b'\n', &mut line).await?;
        let Head { bytes, shape } = match serde_json::from_slice(&line)? {
            Ok(head) => head,
            Err(failure) => return Ok(Err(failure)),
        };
        if bytes > LARGEST_PICTURE {
            return Err(io::Error::other("a picture that is too large"));
        }
        let mut jpeg = vec![0; bytes];
        self.answers.read_exact(&mut jpeg).await?;
        Ok(Ok(PagePicture { jpeg, shape }))
    }
}

#[async_trait]
impl Pictures for ChildPictures {
    async fn picture(&mut self, page: u32, cover: &Cover) -> Result<PagePicture, Failure> {
        // Taken out: whatever goes wrong with it, or if this call is dropped, the next page gets another.
        let mut running = match self.running.take() {
            Some(running) => running,
            None => self.start()?,
        };
        match timeout(self.limit, running.ask(page, cover)).await {
            Ok(Ok(answer)) => {
                self.running = Some(running).filter(|running| running.pages < PAGES_OF_A_CHILD);
                answer
            }
            Ok(Err(error)) => {
                warn!(page.no = page, %error, "making a page's picture died");
                Err(Failure::new(FailureCode::UnreadablePage, "The page cannot be rendered: what renders it crashed."))
            }
            Err(_) => {
                let (message, secs) = ("making a page's picture does not come back", self.limit.as_secs());
                warn!(page.no = page, limit_secs = secs, message);
                Err(Failure::new(FailureCode::TimedOut, format!("The page could not be rendered within {secs} s.")))
            }
        }
    }
}
