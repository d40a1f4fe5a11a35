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
    let _ = code(&sandbox.inspect(file).await);
    let (rendered, message) = code(&sandbox.page(file, 1).await);
    Attempt { rendered, message, took: started.elapsed() }
}

#[tokio::test]
async fn a_page_that_exceeds_a_limit_is_too_complex_and_its_neighbors_succeed() {
    let sandbox = sandbox(short());
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in bombs::too_complex() {
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
    for (name, bytes) in bombs::contained() {
        let attempt = attempt(&sandbox, &write(&folder, name, &bytes)).await;
        // The limits of both steps, on a machine that is busy.
        assert!(attempt.took < Duration::from_secs(30), "{name}: {:?}", attempt.took);
    }
    assert!(sandbox.page(&sample("invoice.pdf"), 1).await.is_ok());
}
