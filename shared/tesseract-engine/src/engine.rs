//! The processes that read pages.

use std::{
    collections::BTreeSet,
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use quire_document::PageImage;
use quire_tasks::{EngineName, Line, PageText, Polygon, Word};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    sync::Semaphore,
    task::spawn_blocking,
    time::timeout,
};

use crate::{TesseractError, TesseractSettings, tsv};

/// Timeout for the list of languages.
const LIST_TIMEOUT: Duration = Duration::from_secs(20);
/// The most bytes of output of one page: a dense one has 100 kB.
const MAX_OUTPUT: u64 = 32 << 20;
/// The most bytes of the program's messages that are kept.
const MAX_MESSAGES: u64 = 4096;
/// Variables that the program keeps: where it is found, and where its languages are.
const KEPT_VARIABLES: [&str; 2] = ["PATH", "TESSDATA_PREFIX"];

/// Reads pages with the `tesseract` program.
#[derive(Debug)]
pub struct TesseractEngine {
    settings: TesseractSettings,
    /// Why it cannot read, if it cannot.
    missing: Option<String>,
    permits: Semaphore,
}

impl TesseractEngine {
    /// Checks that the program and its languages are installed. If they are not, every page fails with
    /// [`TesseractError::NotInstalled`], so that other engines can still be used.
    pub async fn start(settings: TesseractSettings) -> Self {
        let missing = match installed_languages(&settings).await {
            Ok(installed) => missing_languages(&settings.languages, &installed),
            Err(why) => Some(format!(
                "the program {} cannot be used ({why}): install the package tesseract-ocr and, for each language, one \
                 such as tesseract-ocr-rus",
                settings.program.display()
            )),
        };
        let permits = Semaphore::new(settings.concurrency.clamp(1, Semaphore::MAX_PERMITS));
        Self { settings, missing, permits }
    }

    /// Returns the name of the engine in results.
    pub const fn name(&self) -> &EngineName {
        &self.settings.engine
    }

    /// Returns why the engine cannot read, and what to install, if something is missing.
    pub fn missing(&self) -> Option<&str> {
        self.missing.as_deref()
    }

    /// Reads a page. Dropping the future kills the process.
    ///
    /// # Errors
    /// [`TesseractError`], whose variants state the decision.
    pub async fn read(&self, image: &PageImage) -> Result<PageText, TesseractError> {
        if let Some(missing) = &self.missing {
            return Err(TesseractError::NotInstalled(missing.clone()));
        }
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await;
        let pixels = image.clone();
        let input = spawn_blocking(move || encode_pgm(&pixels)).await.map_err(|error| failed(&error))?;
        let read = timeout(self.settings.timeout, self.run(input)).await;
        let output = read.map_err(|_| TesseractError::TimedOut(self.settings.timeout.as_secs()))??;
        let lines = tsv::parse(&output).map_err(TesseractError::Failed)?;
        Ok(page_text(self.settings.engine.clone(), image, lines))
    }

    async fn run(&self, input: Vec<u8>) -> Result<String, TesseractError> {
        let languages = self.settings.languages.join("+");
        let mut command = command(&self.settings);
        let mut child =
            command.args(["stdin", "stdout", "-l", &languages, "tsv"]).spawn().map_err(|error| failed(&error))?;
        limit(&child, &self.settings).map_err(|error| failed(&error))?;
        let mut stdin = child.stdin.take().expect("standard input is piped");
        let stdout = child.stdout.take().expect("standard output is piped");
        let stderr = child.stderr.take().expect("standard error is piped");
        let write = async move {
            // A program that ends early says why on its standard error.
            let _ = stdin.write_all(&input).await;
        };
        let ((), output, messages) =
            tokio::join!(write, read_up_to(stdout, MAX_OUTPUT), read_up_to(stderr, MAX_MESSAGES));
        let status = child.wait().await.map_err(|error| failed(&error))?;
        let messages = messages.map_err(|error| failed(&error))?;
        if !status.success() {
            return Err(TesseractError::Failed(describe_exit(status, &String::from_utf8_lossy(&messages))));
        }
        let output = output.map_err(|error| failed(&error))?;
        if output.len() as u64 > MAX_OUTPUT {
            return Err(TesseractError::Failed("it printed too much".to_owned()));
        }
        String::from_utf8(output).map_err(|_| TesseractError::Failed("its output is not UTF-8".to_owned()))
    }
}

fn failed(error: &impl ToString) -> TesseractError {
    TesseractError::Failed(error.to_string())
}

fn describe_exit(status: ExitStatus, messages: &str) -> String {
    let last = messages.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no message");
    format!("it ended with {status}: {last}")
}

/// Returns the program with an environment of its own, one thread, and pipes. It is killed when it is dropped.
fn command(settings: &TesseractSettings) -> Command {
    let mut command = Command::new(&settings.program);
    command.env_clear().envs(KEPT_VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    // Its threads slow each other down: several processes use the cores better.
    command.env("OMP_THREAD_LIMIT", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Limits memory, processor time, and the files that it writes. It waits for its input until then.
#[cfg(target_os = "linux")]
fn limit(child: &Child, settings: &TesseractSettings) -> io::Result<()> {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) else { return Ok(()) };
    let cpu_secs = settings.timeout.as_secs() + 1;
    for (resource, value) in
        [(Resource::As, settings.memory), (Resource::Cpu, cpu_secs), (Resource::Fsize, 0), (Resource::Core, 0)]
    {
        prlimit(Some(pid), resource, Rlimit { current: Some(value), maximum: Some(value) })?;
    }
    Ok(())
}

/// Other systems cannot limit another process: only its time is limited.
#[cfg(not(target_os = "linux"))]
fn limit(_: &Child, _: &TesseractSettings) -> io::Result<()> {
    Ok(())
}

/// Reads to the end, but keeps at most one byte more than the limit: the program must not block on a full pipe.
async fn read_up_to(mut source: impl AsyncRead + Unpin, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    (&mut source).take(limit + 1).read_to_end(&mut bytes).await?;
    tokio::io::copy(&mut source, &mut tokio::io::sink()).await?;
    Ok(bytes)
}

async fn installed_languages(settings: &TesseractSettings) -> Result<BTreeSet<String>, String> {
    let listed = timeout(LIST_TIMEOUT, command(settings).arg("--list-langs").stdin(Stdio::null()).output()).await;
    let output = listed.map_err(|_| "it does not respond".to_owned())?.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(describe_exit(output.status, &String::from_utf8_lossy(&output.stderr)));
    }
    // A heading, then one language per line; version 3 prints them to the standard error.
    let lines = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(lines.iter().flat_map(|text| text.lines()).map(|line| line.trim().to_owned()).collect())
}

/// Returns which languages are not installed and what to install, if any is missing.
fn missing_languages(wanted: &[String], installed: &BTreeSet<String>) -> Option<String> {
    let missing: Vec<&str> = wanted.iter().filter(|name| !installed.contains(*name)).map(String::as_str).collect();
    if missing.is_empty() {
        return None;
    }
    // Debian's and Ubuntu's packages have a hyphen where Tesseract has an underscore.
    let packages: Vec<String> =
        missing.iter().map(|name| format!("tesseract-ocr-{}", name.replace('_', "-"))).collect();
    let (missing, packages) = (missing.join(", "), packages.join(" "));
    Some(format!("Tesseract's languages {missing} are not installed: install {packages}"))
}

/// Encodes the page as a portable gray map, by the luma of ITU-R BT.601: Tesseract converts to gray itself.
fn encode_pgm(image: &PageImage) -> Vec<u8> {
    let mut pgm = format!("P5\n{} {}\n255\n", image.width(), image.height()).into_bytes();
    pgm.extend(image.pixels().chunks_exact(PageImage::CHANNELS).map(|pixel| {
        let [blue, green, red] = [0, 1, 2].map(|channel| u32::from(pixel[channel]));
        ((299 * red + 587 * green + 114 * blue + 500) / 1000) as u8
    }));
    pgm
}

/// Returns the page's text, with its polygons in pixels of the page as it was sent.
fn page_text(engine: EngineName, image: &PageImage, lines: Vec<Line>) -> PageText {
    let (width, height) = (image.page_width(), image.page_height());
    let scale = [width as f32 / image.width() as f32, height as f32 / image.height() as f32];
    let to_page = |polygon: Polygon| polygon.map(|[x, y]| [x * scale[0], y * scale[1]]);
    let word = |word: Word| Word { polygon: to_page(word.polygon), ..word };
    let line = |line: Line| Line {
        polygon: line.polygon.map(to_page),
        words: line.words.into_iter().map(word).collect(),
        ..line
    };
    let lines = lines.into_iter().map(line).collect();
    PageText::from_lines(engine, width, height, 0, lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_languages_are_named_with_their_packages() {
        let installed = ["rus", "eng"].map(str::to_owned).into();
        let missing = |languages: &[&str]| {
            let languages: Vec<String> = languages.iter().map(|name| (*name).to_owned()).collect();
            missing_languages(&languages, &installed)
        };
        assert_eq!(missing(&["rus", "eng"]), None);
        let expected =
            "Tesseract's languages kor, chi_sim are not installed: install tesseract-ocr-kor tesseract-ocr-chi-sim";
        assert_eq!(missing(&["kor", "rus", "chi_sim"]).as_deref(), Some(expected));
    }

    #[test]
    fn a_page_becomes_a_gray_map() {
        let image = PageImage::new(2, 1, vec![0, 0, 255, 255, 255, 255]);
        assert_eq!(encode_pgm(&image), b"P5\n2 1\n255\n\x4c\xff");
    }
}
