//! Redacted text is stored nowhere: not in a file, a table or the log.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use quire_document::PageImage;
use quire_pp_ocr::{BatchPolicy, Engine, PageReader, Provider};
use quire_tasks::{
    EngineName, Failure, FailureCode, Line, PageText, RedactKind, RedactPattern, RedactPolicy, TaskStatus,
};
use quire_worker::LocalEngine;

use crate::stage::{WHITE, WorkerStage, routed};

const SECRETS: [&str; 5] =
    ["john.smith@example.com", "4111 1111 1111 1111", "11010519491231002X", "ORDER-4711", "138-0013-8000"];
const ROUTE: &str = r#"{"engines": {"a@1": {"kind": "pp-ocr"}},
    "routes": [{"modes": ["text"], "primary": "a@1", "review_below": 0.7}]}"#;

/// Reads the secrets on every page, one per line, with a low confidence.
#[derive(Debug)]
struct SecretsReader(EngineName, BatchPolicy);

impl PageReader for SecretsReader {
    fn name(&self) -> EngineName {
        self.0.clone()
    }

    fn policy(&self) -> &BatchPolicy {
        &self.1
    }

    fn read(&mut self, pages: &[PageImage]) -> Vec<Result<PageText, Failure>> {
        let polygon = Some([[0.0, 0.0], [64.0, 0.0], [64.0, 9.0], [0.0, 9.0]]);
        let line = |secret: &str| Line {
            text: format!("see {secret}; thanks"),
            confidence: Some(0.4),
            polygon,
            ..Line::default()
        };
        let text = |page: &PageImage| {
            let lines = SECRETS.map(line).to_vec();
            Ok(PageText::from_lines(self.name(), page.width(), page.height(), 0, lines))
        };
        pages.iter().map(text).collect()
    }
}

fn stage_with_secrets() -> WorkerStage {
    routed(ROUTE, |entry| {
        LocalEngine::Batches(Engine::from_reader(Box::new(SecretsReader(
            entry.engine.clone(),
            BatchPolicy::for_provider(Provider::OnnxRuntime),
        ))))
    })
}

fn policy(regex: &str) -> RedactPolicy {
    let pattern = RedactPattern { name: "order".to_owned(), regex: regex.to_owned() };
    RedactPolicy { kinds: RedactKind::ALL.to_vec(), patterns: vec![pattern] }
}

/// Returns the bytes of all files in a folder.
fn all_bytes(folder: &Path) -> Vec<u8> {
    let entries =
        std::fs::read_dir(folder).expect("a temporary folder").map(|entry| entry.expect("a valid entry").path());
    let bytes = |path: std::path::PathBuf| {
        if path.is_dir() { all_bytes(&path) } else { std::fs::read(&path).unwrap_or_default() }
    };
    entries.flat_map(bytes).collect()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Captures the log of this test's thread.
#[derive(Debug, Clone, Default)]
struct CapturedBytes(Arc<Mutex<Vec<u8>>>);

impl io::Write for CapturedBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic while it is held").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn capture_log() -> (CapturedBytes, tracing::subscriber::DefaultGuard) {
    let log = CapturedBytes::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    (log, tracing::subscriber::set_default(subscriber))
}

#[tokio::test]
async fn redacted_text_is_in_no_file_no_table_and_no_log() {
    let (log, _logging) = capture_log();
    let stage = stage_with_secrets();
    let task = stage.submit_with(&[WHITE, WHITE], |task| task.with_redaction(Some(policy(r"ORDER-\d{4}")))).await;
    let (running, shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
    stage.queue_is_empty().await;
    let text = stage.text(&task, 1).await;
    let kinds = ["email", "bank_card", "cn_id", "order", "phone"];
    let expected: Vec<String> = kinds.iter().map(|kind| format!("see [{kind}]; thanks")).collect();
    assert_eq!(text.text(), expected.join("\n"));
    let report = text.redactions.expect("a redaction report");
    assert!(report.iter().map(|it| it.kind.as_str()).eq(kinds) && report.iter().all(|it| it.polygon.is_some()));
    assert_eq!(stage.reviews().await.len(), 2, "both pages are filed for review");
    shutdown.cancel();
    let _ = running.await.expect("no panic").expect("the worker stops without an error");

    let stored = all_bytes(stage.dir.path());
    assert!(contains(&stored, "see [email]; thanks"), "the stored files were searched");
    let log = log.0.lock().expect("no panic").clone();
    assert!(contains(&log, "a page succeeded"), "the log was searched");
    for secret in SECRETS {
        assert!(!contains(&stored, secret), "{secret} is stored");
        assert!(!contains(&log, secret), "{secret} is logged");
    }
}

#[tokio::test]
async fn a_page_that_cannot_be_redacted_fails_and_nothing_of_it_is_stored() {
    let stage = stage_with_secrets();
    let task = stage.submit_with(&[WHITE], |task| task.with_redaction(Some(policy("ORDER(")))).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Failed);
    assert_eq!(stage.code(&task, 1).await, Some(FailureCode::RedactionFailed));
    stage.queue_is_empty().await;
    assert_eq!(stage.text_keys(&task).await, Vec::<String>::new());
    let stored = all_bytes(stage.dir.path());
    for secret in SECRETS {
        assert!(!contains(&stored, secret), "{secret} is stored");
    }
}

#[tokio::test]
async fn a_page_without_a_policy_is_stored_unchanged() {
    let stage = stage_with_secrets();
    let task = stage.submit(&[WHITE]).await;
    let (_running, _shutdown) = stage.work();
    stage.ended(&task).await;
    let text = stage.text(&task, 1).await;
    assert!(text.text().contains(SECRETS[0]) && text.redactions.is_none());
}
