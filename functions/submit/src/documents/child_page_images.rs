//! Renders pages in a child process.
//!
//! The protocol is one request at a time: a line of JSON on stdin, then a line of JSON on stdout and the number of JPEG
//! bytes that it announces. So at most one page is in memory, and the parent knows which page crashed the child.

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

use crate::documents::page_images::{ImageRedaction, PageImages, PageJpeg, PageJpegShape};

/// A child is replaced after this many pages, because `PDFium` leaks memory with every page.
const PAGES_PER_CHILD: u32 = 200;
/// The maximum length of a response line.
const MAX_LINE_BYTES: u64 = 64 << 10;
/// The maximum size of an image: three times the largest page's uncompressed pixels.
const MAX_JPEG_BYTES: usize = 144 << 20;

/// A request to the child.
#[derive(Debug, Serialize, Deserialize)]
struct ImageRequest {
    page: u32,
    #[serde(flatten)]
    redaction: ImageRedaction,
}

/// The response line before the image's bytes.
#[derive(Debug, Serialize, Deserialize)]
struct ImageHeader {
    bytes: usize,
    #[serde(flatten)]
    shape: PageJpegShape,
}

/// The child's side, for a program that was started with `picture FILE`: serves requests until stdin is closed.
/// `pdfium` is the path of the `PDFium` library, or why it is missing.
pub fn render_as_child(pdfium: Result<PathBuf, Failure>, file: &Path) -> ExitCode {
    let format = sniff_file(file)
        .ok()
        .flatten()
        .ok_or_else(|| Failure::new(FailureCode::UnsupportedFormat, "The document has an unsupported format."));
    let opened = format.and_then(|format| Ok((format, Documents::new(Some(pdfium?), DocumentLimits::default()))));
    match serve_requests(opened, file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve_requests(mut opened: Result<(DocumentFormat, Documents), Failure>, file: &Path) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let request: ImageRequest = serde_json::from_str(&line?)?;
        let rendered = match &mut opened {
            Ok((format, documents)) => render(documents, file, *format, &request),
            Err(failure) => Err(failure.clone()),
        };
        let (head, jpeg) = match rendered {
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

fn render(
    documents: &mut Documents,
    file: &Path,
    format: DocumentFormat,
    request: &ImageRequest,
) -> Result<(ImageHeader, Vec<u8>), Failure> {
    let mut image = documents.page(file, format, request.page)?;
    let page_width = image.page_width();
    let page_height = image.page_height();
    match &request.redaction {
        ImageRedaction::Nothing => {}
        ImageRedaction::Parts { width, height, parts } if (*width, *height) == (page_width, page_height) => {
            for part in parts {
                image.blacken_part(part);
            }
        }
        ImageRedaction::Parts { .. } | ImageRedaction::Everything => image.blacken(),
    }
    let dpi = documents.dpi(file, format, request.page)?;
    let jpeg = image.to_jpeg()?;
    let shape = PageJpegShape {
        width: image.width(),
        height: image.height(),
        is_gray: jpeg.is_gray,
        page_width,
        page_height,
        dpi,
    };
    Ok((ImageHeader { bytes: jpeg.bytes.len(), shape }, jpeg.bytes))
}

/// The parent's side. A page that crashes the child or exceeds the timeout fails, and a new child renders the next one.
#[derive(Debug)]
pub(crate) struct ChildPageImages {
    program: PathBuf,
    file: PathBuf,
    /// The timeout for a page.
    limit: Duration,
    running: Option<RenderChild>,
}

#[derive(Debug)]
struct RenderChild {
    requests: ChildStdin,
    responses: BufReader<ChildStdout>,
    pages: u32,
    // Killed on drop.
    _child: Child,
}

impl ChildPageImages {
    /// Returns a renderer for `file` that runs `program`, which must call [`render_as_child`] for `picture FILE`.
    pub(crate) const fn new(program: PathBuf, file: PathBuf, limit: Duration) -> Self {
        Self { program, file, limit, running: None }
    }

    fn start(&self) -> Result<RenderChild, Failure> {
        let mut child = Command::new(&self.program)
            .arg("picture")
            .arg(&self.file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                error!(%error, "cannot start a child process to render pages");
                Failure::new(FailureCode::Internal, "The pages could not be rendered.")
            })?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (requests, stdout) = pipes.expect("stdin and stdout are piped");
        Ok(RenderChild { requests, responses: BufReader::new(stdout), pages: 0, _child: child })
    }
}

impl RenderChild {
    /// Requests a page. An outer error means that the child crashed or violated the protocol.
    async fn request(&mut self, page: u32, redaction: &ImageRedaction) -> io::Result<Result<PageJpeg, Failure>> {
        self.pages += 1;
        let mut request = serde_json::to_vec(&ImageRequest { page, redaction: redaction.clone() })?;
        request.push(b'\n');
        self.requests.write_all(&request).await?;
        self.requests.flush().await?;
        let mut line = Vec::new();
        (&mut self.responses).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).await?;
        let ImageHeader { bytes, shape } = match serde_json::from_slice(&line)? {
            Ok(head) => head,
            Err(failure) => return Ok(Err(failure)),
        };
        if bytes > MAX_JPEG_BYTES {
            return Err(io::Error::other("the image is too large"));
        }
        let mut jpeg = vec![0; bytes];
        self.responses.read_exact(&mut jpeg).await?;
        Ok(Ok(PageJpeg { jpeg, shape }))
    }
}

#[async_trait]
impl PageImages for ChildPageImages {
    async fn page_image(&mut self, page: u32, redaction: &ImageRedaction) -> Result<PageJpeg, Failure> {
        // Taken out of `self`: after an error, or if this future is dropped, the next page gets a new child.
        let mut running = match self.running.take() {
            Some(running) => running,
            None => self.start()?,
        };
        match timeout(self.limit, running.request(page, redaction)).await {
            Ok(Ok(response)) => {
                if running.pages < PAGES_PER_CHILD {
                    self.running = Some(running);
                }
                response
            }
            Ok(Err(error)) => {
                warn!(page.no = page, %error, "the child process crashed while rendering a page");
                Err(Failure::new(FailureCode::UnreadablePage, "The page cannot be rendered: the renderer crashed."))
            }
            Err(_) => {
                let secs = self.limit.as_secs();
                warn!(page.no = page, limit_secs = secs, "timeout while rendering a page");
                let message = format!("Timeout: the page could not be rendered within {secs} s.");
                Err(Failure::new(FailureCode::TimedOut, message))
            }
        }
    }
}
