use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use quire_sandbox::SandboxError;
use quire_tasks::FailureCode;
use tempfile::TempDir;

use crate::{bombs, sample, sandbox, short};

/// What becomes of the one page of a document, and after which time.
struct Attempt {
    inspected: Option<FailureCode>,
    rendered: Option<FailureCode>,
    message: String,
    took: Duration,
}

fn code<T>(result: &Result<T, SandboxError>) -> (Option<FailureCode>, String) {
    match result {
        Ok(_) => (None, String::new()),
        Err(SandboxError::Document(failure)) => (Some(failure.code), failure.message.clone()),
        Err(error) => panic!("{error}"),
    }
}

fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let file = folder.path().join(name);
    fs::write(&file, bytes).expect("written");
    file
}

async fn attempt(sandbox: &quire_sandbox::Sandbox, file: &Path) -> Attempt {
    let started = Instant::now();
    let (inspected, _) = code(&sandbox.inspect(file).await);
    let (rendered, message) = code(&sandbox.page(file, 1).await);
    Attempt { inspected, rendered, message, took: started.elapsed() }
}

/// Documents that must fail: their pages need more than any limit of these tests.
fn too_complex() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("form that draws itself", bombs::form_that_draws_itself()),
        ("nested forms", bombs::nested_forms()),
        ("rectangles", bombs::many_rectangles(1_000_000)),
        ("shadings", bombs::many_shadings()),
        ("soft masks", bombs::nested_soft_masks()),
    ]
}

/// Documents that the parser may refuse, ignore or give up: but within the limits.
fn contained() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("tiles", bombs::tiny_tiles()),
        ("font", bombs::recursive_font()),
        ("image", bombs::huge_image("flate")),
        ("JPX", bombs::huge_image("JPXDecode")),
        ("fax", bombs::huge_image("CCITTFaxDecode")),
        ("JBIG2", bombs::huge_jbig2()),
        ("references", bombs::many_references(4_000_000)),
        ("page tree", bombs::deep_page_tree(100_000)),
        ("arrays", bombs::deep_arrays()),
    ]
}

#[tokio::test]
async fn a_page_that_exceeds_a_limit_is_too_complex_and_its_neighbors_succeed() {
    let sandbox = sandbox(short());
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in too_complex() {
        let file = write(&folder, name, &bytes);
        let (bomb, neighbor) =
            tokio::join!(attempt(&sandbox, &file), async { sandbox.page(&sample("invoice.pdf"), 1).await.is_ok() });
        assert_eq!(bomb.rendered, Some(FailureCode::TooComplex), "{name}: {}", bomb.message);
        assert!(bomb.message.starts_with("Page 1 is too complex: rendering it "), "{name}: {}", bomb.message);
        assert!(neighbor, "{name}");
    }
}

#[tokio::test]
async fn whatever_a_document_does_its_limits_hold() {
    let sandbox = sandbox(short());
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in contained() {
        let attempt = attempt(&sandbox, &write(&folder, name, &bytes)).await;
        // The limits of both steps, on a machine that is busy.
        assert!(attempt.took < Duration::from_secs(30), "{name}: {:?}", attempt.took);
    }
    assert!(sandbox.page(&sample("invoice.pdf"), 1).await.is_ok());
}

/// Prints a table of all hostile documents with the default limits, and keeps them in a folder.
#[tokio::test]
#[ignore = "a measurement: takes minutes"]
async fn measure_hostile_documents() {
    let folder = PathBuf::from(std::env::var_os("HOSTILE_FOLDER").expect("HOSTILE_FOLDER names a folder"));
    fs::create_dir_all(&folder).expect("created");
    let sandbox = sandbox(quire_sandbox::SandboxLimits::default());
    for (name, bytes) in too_complex().into_iter().chain(contained()) {
        let file = folder.join(format!("{}.pdf", name.replace(' ', "-")));
        fs::write(&file, &bytes).expect("written");
        let Attempt { inspected, rendered, message, took } = attempt(&sandbox, &file).await;
        let [inspected, rendered] = [inspected, rendered].map(|code| code.map_or("ok", FailureCode::as_str));
        eprintln!(
            "{name:<24} {:>8} B  {inspected:<20} {rendered:<16} {:.1} s  {message}",
            bytes.len(),
            took.as_secs_f64()
        );
    }
}
