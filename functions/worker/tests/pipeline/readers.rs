//! Engines with several readers, and the log of their micro-batches.

use std::{
    io::Write,
    sync::{Arc, Barrier, Mutex, PoisonError},
    time::Duration,
};

use image::Rgb;
use quire_document::PageImage;
use quire_pp_ocr::{BatchPolicy, Engine, PageReader, Provider};
use quire_tasks::{EngineName, Failure, FailureCode, PageStatus, PageText, TaskStatus};
use quire_worker::LocalEngine;
use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

use crate::stage::{HANGS, PANICS, WHITE, WorkerStage, name, routed, stage};

const ONE: &str = r#"{"engines": {"a@1": {"kind": "pp-ocr"}}, "routes": [{"modes": ["text"], "primary": "a@1"}]}"#;
const GRAY: Rgb<u8> = Rgb([128, 128, 128]);

/// One of two readers. Reads a gray page only while the other reads one, too; hangs on blue pages and panics on red
/// ones.
struct PairedReader {
    policy: BatchPolicy,
    both: Arc<Barrier>,
}

impl PageReader for PairedReader {
    fn name(&self) -> EngineName {
        name("a@1")
    }

    fn policy(&self) -> &BatchPolicy {
        &self.policy
    }

    fn read(&mut self, pages: &[PageImage]) -> Vec<Result<PageText, Failure>> {
        let text = |page: &PageImage| {
            let color = Rgb([2, 1, 0].map(|channel| page.pixels()[channel]));
            assert!(color != PANICS, "a red page");
            if color == HANGS {
                loop {
                    std::thread::park();
                }
            }
            if color == GRAY {
                self.both.wait();
            }
            Ok(PageText::from_lines(self.name(), page.width(), page.height(), 0, Vec::new()))
        };
        pages.iter().map(text).collect()
    }
}

fn pair() -> WorkerStage {
    routed(ONE, |_| {
        let both = Arc::new(Barrier::new(2));
        let reader = || {
            let policy = BatchPolicy::for_provider(Provider::OnnxRuntime);
            Engine::from_reader(Box::new(PairedReader { policy, both: Arc::clone(&both) }))
        };
        LocalEngine::Batches(reader().with_reader(reader()))
    })
}

#[tokio::test]
async fn readers_of_one_engine_read_concurrently() {
    let mut stage = pair();
    stage.settings.page_timeout = Duration::from_secs(20);
    // A new worker takes the first four pages one by one.
    let task = stage.submit(&[WHITE, WHITE, WHITE, WHITE, GRAY, GRAY, GRAY, GRAY]).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
}

#[tokio::test]
async fn a_reader_that_panics_keeps_running() {
    let stage = pair();
    let task = stage.submit(&[WHITE, PANICS, WHITE, PANICS, GRAY, PANICS, GRAY, PANICS]).await;
    let (running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::PartiallySucceeded);
    let failed = stage.pages(&task).await.iter().filter(|page| page.status == PageStatus::Failed).count();
    assert_eq!(failed, 4);
    assert!(!running.is_finished(), "the worker keeps running");
}

#[tokio::test]
async fn a_reader_that_hangs_does_not_stop_the_other() {
    let mut stage = pair();
    stage.settings.page_timeout = Duration::from_secs(2);
    let task = stage.submit(&[WHITE, WHITE, WHITE, WHITE, HANGS, WHITE, WHITE, WHITE]).await;
    let (running, _shutdown) = stage.work();
    let error = running.await.expect("no panic").expect_err("the engine is lost");
    assert!(error.to_string().contains("did not come back"), "{error}");
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::PartiallySucceeded);
    assert_eq!(stage.code(&task, 5).await, Some(FailureCode::TimedOut));
}

#[tokio::test]
async fn the_costs_of_a_micro_batch_are_logged() {
    let log = CapturedLog::default();
    let subscriber = tracing_subscriber::fmt().json().with_writer(log.clone()).finish();
    let _logged = tracing::subscriber::set_default(subscriber);
    let stage = stage();
    let task = stage.submit(&[WHITE; 8]).await;
    let (_running, _shutdown) = stage.work();
    stage.ended(&task).await;
    let batches: Vec<Value> = log.lines().into_iter().filter(|fields| fields["message"] == "read").collect();
    let sum = |field: &str| batches.iter().filter_map(|fields| fields[field].as_u64()).sum::<u64>();
    assert_eq!(sum("batch.pages"), 8);
    let runs = u64::try_from(stage.fake.runs().len()).expect("a small number");
    assert_eq!(sum("detection_runs"), runs);
    // Each run of the fake model takes 20 ms.
    assert!(sum("detection_ms") >= 20 * runs && sum("recognition_ms") == 0, "{batches:?}");
    for fields in &batches {
        let waited = fields["waited_ms"].as_f64().expect("a number");
        let added = fields["added_wait_ms"].as_f64().expect("a number");
        assert!(added <= waited, "{fields}");
        assert!(fields["device_busy_percent"].as_f64().is_some_and(|share| share > 0.0 && share <= 100.0), "{fields}");
        assert_eq!((&fields["engine.name"], &fields["engine.version"]), (&"pp-ocr".into(), &"v6-small".into()));
        assert!(fields["recognition_padding_percent"] == 0.0 && fields["outside_ms"].is_u64(), "{fields}");
    }
}

/// Captures the log.
#[derive(Debug, Clone, Default)]
struct CapturedLog(Arc<Mutex<Vec<u8>>>);

impl CapturedLog {
    fn lines(&self) -> Vec<Value> {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = std::str::from_utf8(&log).expect("the log is UTF-8");
        text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a JSON line")["fields"].take()).collect()
    }
}

impl Write for CapturedLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for CapturedLog {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
