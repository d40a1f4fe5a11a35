//! The engine with programs that behave like Tesseract, and unlike it.
#![cfg(unix)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use quire_document::PageImage;
use quire_tesseract_engine::{TesseractEngine, TesseractError, TesseractSettings};
use tempfile::TempDir;

/// What Tesseract 5.3 prints for a Russian invoice, shortened.
const OUTPUT: &str = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext
1\t1\t0\t0\t0\t0\t0\t0\t100\t50\t-1\t
4\t1\t1\t1\t1\t0\t10\t20\t40\t10\t-1\t
5\t1\t1\t1\t1\t1\t10\t20\t20\t10\t95.871727\tСчёт
5\t1\t1\t1\t1\t2\t32\t20\t18\t10\t96.946205\tна
";

/// A program in a folder of its own: a shell script.
struct Program {
    folder: TempDir,
}

impl Program {
    /// Returns a program that lists two languages, and runs these commands for a page.
    fn new(commands: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let list = "[ \"$1\" = --list-langs ] && { printf 'List of languages (2):\\neng\\nrus\\n'; exit; }";
        let script = format!("#!/bin/sh\ncd \"$(dirname \"$0\")\"\n{list}\n{commands}\n");
        let program = Self { folder };
        fs::write(program.path(), script).expect("written");
        fs::set_permissions(program.path(), fs::Permissions::from_mode(0o700)).expect("made executable");
        fs::write(program.file("output"), OUTPUT).expect("written");
        program
    }

    fn path(&self) -> PathBuf {
        self.file("tesseract")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn settings(program: &Path) -> TesseractSettings {
    TesseractSettings {
        engine: "tesseract@5".parse().expect("an engine"),
        program: program.to_owned(),
        languages: vec!["rus".to_owned(), "eng".to_owned()],
        concurrency: 2,
        timeout: Duration::from_secs(20),
        memory: 512 << 20,
    }
}

async fn read(program: &Program) -> Result<quire_tasks::PageText, TesseractError> {
    TesseractEngine::start(settings(&program.path())).await.read(&page()).await
}

/// A page of 200 × 100 pixels that was downscaled to half of it.
fn page() -> PageImage {
    PageImage::new(100, 50, vec![255; 100 * 50 * 3]).of_page(200, 100)
}

#[tokio::test]
async fn a_page_is_read_in_the_configured_languages() {
    let checks = "[ \"$*\" = 'stdin stdout -l rus+eng tsv' ] || exit 3; [ -z \"$HOME\" ] || exit 4";
    let program = Program::new(&format!("{checks}; [ $(wc -c) = 5014 ] || exit 5; cat output"));
    let text = read(&program).await.expect("the page is read");
    assert_eq!(text.text(), "Счёт на");
    assert_eq!((text.width, text.height, text.engine.to_string().as_str()), (200, 100, "tesseract@5"));
    assert_eq!(text.lines[0].polygon, Some([[20.0, 40.0], [100.0, 40.0], [100.0, 60.0], [20.0, 60.0]]));
}

#[tokio::test]
async fn a_missing_program_or_language_is_named_with_its_package() {
    let nowhere = TesseractEngine::start(settings("/nowhere/tesseract".as_ref())).await;
    assert!(nowhere.missing().is_some_and(|missing| missing.contains("install the package tesseract-ocr")));
    assert!(matches!(nowhere.read(&page()).await, Err(TesseractError::NotInstalled(_))));
    let program = Program::new("cat output");
    let languages = vec!["rus".to_owned(), "kor".to_owned()];
    let without_korean = TesseractEngine::start(TesseractSettings { languages, ..settings(&program.path()) }).await;
    let expected = "Tesseract's languages kor are not installed: install tesseract-ocr-kor";
    assert_eq!(without_korean.missing(), Some(expected));
}

#[tokio::test]
async fn a_program_that_fails_says_why() {
    let program = Program::new("echo 'Error in boxClipToRectangle' >&2; exit 3");
    let error = read(&program).await.expect_err("it fails");
    assert_eq!(error, TesseractError::Failed("it ended with exit status: 3: Error in boxClipToRectangle".to_owned()));
    assert_eq!(error.failure().message, "the engine failed on this page");
}

#[tokio::test]
async fn output_in_another_format_is_a_failure() {
    for commands in ["echo; echo text", "echo; printf '4\\t\\377'"] {
        assert!(matches!(read(&Program::new(commands)).await, Err(TesseractError::Failed(_))), "{commands}");
    }
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_at_the_timeout() {
    let program = Program::new("exec sleep 60");
    let settings = TesseractSettings { timeout: Duration::from_secs(1), ..settings(&program.path()) };
    let started = Instant::now();
    let error = TesseractEngine::start(settings).await.read(&page()).await.expect_err("it hangs");
    assert_eq!(error, TesseractError::TimedOut(1));
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn memory_and_files_are_limited() {
    let memory = Program::new("cat > /dev/null; ulimit -v >&2; ulimit -f >&2; exit 1");
    let error = read(&memory).await.expect_err("it fails").to_string();
    assert!(error.ends_with(": 0"), "{error}");
    let large =
        Program::new("cat > /dev/null; head -c 2000000000 /dev/zero | tail -c 1999999999 > /dev/null && cat output");
    assert!(matches!(read(&large).await, Err(TesseractError::Failed(_))));
}

#[tokio::test]
async fn endless_output_is_refused_without_being_kept() {
    let program = Program::new("head -c 40000000 /dev/zero");
    let error = read(&program).await.expect_err("too much");
    assert_eq!(error, TesseractError::Failed("it printed too much".to_owned()));
}
