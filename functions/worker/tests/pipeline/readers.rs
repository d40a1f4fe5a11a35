//! Engines with several readers, and what is told of what they read.

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

use crate::stage::{HANGS, PANICS, Stage, WHITE, name, routed, stage};

const ONE: &str = r#"{"engines": {"a@1": {"kind": "pp-ocr"}}, "routes": [{"modes": ["text"], "primary": "a@1"}]}"#;
const GRAY: Rgb<u8> = Rgb([128, 128, 128]);

/// One of two. A gray page it reads when the other has one, too; a blue one it never does, and a red one it panics on.
struct Paired {
    policy: BatchPolicy,
    both: Arc<Barrier>,
}

impl PageReader for Paired {
    fn name(&self) -> EngineName {
        name("a@1")
    }

    fn policy(&self) -> &BatchPolicy {
        &self.policy
    }

    fn read(&mut self, pages: &[PageImage]) -> Vec<Result<PageText, Failure>> {
        let text = |page: &PageImage| {
            let color = Rgb([2, 1, 0].map(|channel| page.pixels()[channel]));
            assert!(color != PANICS, "as it should");
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

fn pair() -> Stage {
    routed(ONE, |_| {
        let both = Arc::new(Barrier::new(2));
        let reader = || {
            let policy = BatchPolicy::for_provider(Provider::OnnxRuntime);
            Engine::from_reader(Box::new(Paired { policy, both: Arc::clone(&both) }))
        };
        LocalEngine::Batches(reader().with_reader(reader()))
    })
}

#[tokio::test]
async fn readers_of_one_engine_read_side_by_side() {
    let mut stage = pair();
    stage.settings.page_limit = Duration::from_secs(20);
    // A worker that has just started takes four pages one by one.
    let task = stage.submit(&[WHITE, WHITE, WHITE, WHITE, GRAY, GRAY, GRAY, GRAY]).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
}

#[tokio::test]
async fn a_reader_that_panics_goes_on() {
    let stage = pair();
    let task = stage.submit(&[WHITE, PANICS, WHITE, PANICS, GRAY, PANICS, GRAY, PANICS]).await;
    let (running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::PartiallySucceeded);
    let failed = stage.pages(&task).await.iter().filter(|page| page.status == PageStatus::Failed).count();
    assert_eq!(failed, 4);
    assert!(!running.is_finished(), "the worker goes on");
}

#[tokio::test]
async fn what_one_reader_hangs_on_does_not_keep_the_other_from_reading() {
    let mut stage = pair();
    stage.settings.page_limit = Duration::from_secs(2);
    let task = stage.submit(&[WHITE, WHITE, WHITE, WHITE, HANGS, WHITE, WHITE, WHITE]).await;
    let (running, _shutdown) = stage.work();
    let error = running.await.expect("no panic").expect_err("a thread is lost");
    assert!(error.to_string().contains("did not come back"), "{error}");
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::PartiallySucceeded);
    assert_eq!(stage.code(&task, 5).await, Some(FailureCode::TimedOut));
}

#[tokio::test]
async fn what_a_micro_batch_has_cost_is_logged() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().json().with_writer(log.clone()).finish();
    let _logged = tracing::subscriber::set_default(subscriber);
    let stage = stage();
    let task = stage.submit(&[WHITE; 8]).await;
    let (_running, _shutdown) = stage.work();
    stage.ended(&task).await;
    let figures: Vec<Value> = log.lines().into_iter().filter(|fields| fields["message"] == "read").collect();
    let sum = |field: &str| figures.iter().filter_map(|fields| fields[field].as_u64()).sum::<u64>();
    assert_eq!(sum("batch.pages"), 8);
    let runs = u64::try_from(stage.fake.runs().len()).expect("a few");
    assert_eq!(sum("detection_runs"), runs);
    // Each run of the fake takes 20 ms.
    assert!(sum("detection_ms") >= 20 * runs && sum("recognition_ms") == 0, "{figures:?}");
    for fields in &figures {
        let waited = fields["waited_ms"].as_f64().expect("a number");
        let added = fields["added_wait_ms"].as_f64().expect("a number");
        assert!(added <= waited, "{fields}");
        assert!(fields["device_busy_percent"].as_f64().is_some_and(|share| share > 0.0 && share <= 100.0), "{fields}");
        assert_eq!((&fields["engine.name"], &fields["engine.version"]), (&"pp-ocr".into(), &"v6-small".into()));
        assert!(fields["recognition_padding_percent"] == 0.0 && fields["outside_ms"].is_u64(), "{fields}");
    }
}

/// What was logged.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lines(&self) -> Vec<Value> {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = std::str::from_utf8(&log).expect("a log is text");
        text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["fields"].take()).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
