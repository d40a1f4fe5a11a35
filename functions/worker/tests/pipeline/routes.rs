//! Routes: which engines read a page, and whose result is kept.

use std::time::Duration;

use image::Rgb;
use quire_document::PageImage;
use quire_pp_ocr::{BatchPolicy, Engine, PageReader, Provider};
use quire_routes::EngineEntry;
use quire_tasks::{
    EngineName, Failure, FailureCode, FallbackReason, Line, Mode, PageStatus, PageText, ReadAs, ReviewReason,
    TaskStatus,
};
use quire_worker::{LocalEngine, WorkerExit};
use tokio_util::sync::CancellationToken;

use crate::stage::{ERRS, PANICS, WHITE, name, routed, sandbox, this_program};

const GRAY: Rgb<u8> = Rgb([128, 128, 128]);

/// Fails on green pages, and reads one line on all others, with the page's redness as confidence.
#[derive(Debug)]
pub(crate) struct ColorReader {
    pub(crate) engine: EngineName,
    policy: BatchPolicy,
    /// Subtracted from the confidence.
    less: f32,
}

impl ColorReader {
    pub(crate) fn engine(entry: &EngineEntry, less: f32) -> LocalEngine {
        let reader =
            Self { engine: entry.engine.clone(), policy: BatchPolicy::for_provider(Provider::OnnxRuntime), less };
        LocalEngine::Batches(Engine::from_reader(Box::new(reader)))
    }

    fn page(&self, page: &PageImage) -> Result<PageText, Failure> {
        let [red, green] = [2, 1].map(|channel| page.pixels()[channel]);
        if red < green {
            return Err(Failure::new(FailureCode::ModelFailed, "a green page"));
        }
        let line = Line {
            text: self.engine.to_string(),
            confidence: Some(f32::from(red) / 255.0 - self.less),
            polygon: None,
            ..Line::default()
        };
        Ok(PageText::from_lines(self.engine.clone(), page.width(), page.height(), 0, vec![line]))
    }
}

impl PageReader for ColorReader {
    fn name(&self) -> EngineName {
        self.engine.clone()
    }

    fn policy(&self) -> &BatchPolicy {
        &self.policy
    }

    fn read(&mut self, pages: &[PageImage]) -> Vec<Result<PageText, Failure>> {
        pages.iter().map(|page| self.page(page)).collect()
    }
}

/// Returns a configuration with `a@1`, `b@1` and a route with these additional members.
pub(crate) fn two_engines(route: &str) -> String {
    format!(
        r#"{{"engines": {{"a@1": {{"kind": "pp-ocr"}}, "b@1": {{"kind": "pp-ocr"}}}},
            "routes": [{{"modes": ["text"], "primary": "a@1"{route}}}]}}"#
    )
}

/// Both engines read the same pages; `b@1` has a higher confidence.
fn b_is_better(entry: &EngineEntry) -> LocalEngine {
    ColorReader::engine(entry, if entry.engine.name == "a" { 0.2 } else { 0.0 })
}

/// `a@1` fails on green pages, `b@1` reads all.
fn b_reads_all(entry: &EngineEntry) -> LocalEngine {
    if entry.engine.name == "a" {
        return ColorReader::engine(entry, 0.0);
    }
    let colors = ColorReader {
        engine: entry.engine.clone(),
        policy: BatchPolicy::for_provider(Provider::OnnxRuntime),
        less: 0.0,
    };
    LocalEngine::Batches(Engine::from_reader(Box::new(ColorBlindReader(colors))))
}

/// Ignores colors: it reads green pages, too.
#[derive(Debug)]
struct ColorBlindReader(ColorReader);

impl PageReader for ColorBlindReader {
    fn name(&self) -> EngineName {
        self.0.name()
    }

    fn policy(&self) -> &BatchPolicy {
        self.0.policy()
    }

    fn read(&mut self, pages: &[PageImage]) -> Vec<Result<PageText, Failure>> {
        let text = |page: &PageImage| PageText::from_lines(self.name(), page.width(), page.height(), 0, Vec::new());
        pages.iter().map(|page| Ok(text(page))).collect()
    }
}

#[tokio::test]
async fn the_fallback_reads_a_failed_page_and_both_engines_are_named() {
    let stage = routed(&two_engines(r#", "fallback": "b@1""#), b_reads_all);
    let task = stage.submit(&[WHITE, ERRS]).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
    let first = stage.text(&task, 1).await;
    let second = stage.text(&task, 2).await;
    assert_eq!((first.engine, first.tried), (name("a@1"), vec![]));
    assert_eq!((second.engine, second.tried.len()), (name("b@1"), 1));
    let tried = &second.tried[0];
    assert_eq!(
        (&tried.engine, tried.why, tried.code),
        (&name("a@1"), FallbackReason::Failed, Some(FailureCode::ModelFailed))
    );
    assert_eq!(stage.reviews().await, []);
}

#[tokio::test]
async fn the_more_confident_text_is_kept_and_both_engines_are_named() {
    let stage = routed(&two_engines(r#", "fallback": "b@1", "fallback_below": 0.7"#), b_is_better);
    let task = stage.submit(&[WHITE, GRAY]).await;
    let (_running, _shutdown) = stage.work();
    stage.ended(&task).await;
    let sure = stage.text(&task, 1).await;
    let unsure = stage.text(&task, 2).await;
    assert_eq!((sure.engine, sure.tried), (name("a@1"), vec![]));
    assert_eq!((unsure.engine, unsure.tried.len()), (name("b@1"), 1));
    let tried = &unsure.tried[0];
    assert_eq!((&tried.engine, tried.why), (&name("a@1"), FallbackReason::LessSure));
    assert!(tried.confidence.is_some_and(|confidence| (confidence - 0.302).abs() < 0.001), "{tried:?}");
}

#[tokio::test]
async fn only_pages_with_low_confidence_or_without_text_are_filed_for_review() {
    let stage = routed(&two_engines(r#", "fallback": "b@1", "review_below": 0.7"#), b_is_better);
    let task = stage.submit(&[WHITE, GRAY, ERRS]).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::PartiallySucceeded);
    let pages = stage.pages(&task).await;
    let expected = [(PageStatus::Succeeded, false), (PageStatus::Succeeded, true), (PageStatus::Failed, false)];
    assert_eq!(pages.iter().map(|page| (page.status, page.needs_review)).collect::<Vec<_>>(), expected);
    let reviews = stage.reviews().await;
    assert_eq!(reviews.iter().map(|entry| entry.page).collect::<Vec<_>>(), [pages[1].page, pages[2].page]);
    assert_eq!((reviews[0].reason, reviews[0].detail.as_str()), (ReviewReason::LowConfidence, "0.302 < 0.700"));
    assert_eq!((reviews[0].engine.clone(), reviews[0].confidence), (Some(name("a@1")), pages[1].confidence));
    assert_eq!(reviews[1].reason, ReviewReason::Unreadable);
    assert_eq!(reviews[1].detail, "model_failed: a@1: a green page; b@1: a green page");
}

#[tokio::test]
async fn a_pinned_engine_has_no_fallback() {
    let stage = routed(&two_engines(r#", "fallback": "b@1""#), b_reads_all);
    let pinned =
        |engine: &str| ReadAs { mode: Mode::Text, engine: Some(name(engine)), pinned: true, ..ReadAs::default() };
    let fails = stage.submit_as(&[ERRS], pinned("a@1")).await;
    let reads = stage.submit_as(&[ERRS], pinned("b@1")).await;
    let gone = stage.submit_as(&[WHITE], pinned("c@1")).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&fails).await.status(), TaskStatus::Failed);
    assert_eq!(stage.code(&fails, 1).await, Some(FailureCode::ModelFailed));
    assert_eq!(stage.ended(&reads).await.status(), TaskStatus::Succeeded);
    assert_eq!(stage.ended(&gone).await.status(), TaskStatus::Failed);
    assert_eq!(stage.code(&gone, 1).await, Some(FailureCode::NotOffered));
    let reviews = stage.reviews().await;
    assert_eq!(reviews.iter().map(|entry| entry.page.task_id).collect::<Vec<_>>(), [fails.id]);
}

#[tokio::test]
async fn a_mode_that_is_not_offered_fails() {
    let stage = routed(&two_engines(""), b_reads_all);
    let task = stage.submit_as(&[WHITE], ReadAs { mode: Mode::Markdown, ..ReadAs::default() }).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Failed);
    assert_eq!(stage.code(&task, 1).await, Some(FailureCode::NotOffered));
}

#[tokio::test]
async fn the_fallback_reads_a_page_that_makes_an_engine_panic() {
    let stage = routed(&two_engines(r#", "fallback": "b@1""#), |entry| match entry.engine.name.as_str() {
        "a" => LocalEngine::Batches(Engine::from_reader(Box::new(PanickingReader(
            entry.engine.clone(),
            BatchPolicy::for_provider(Provider::OnnxRuntime),
        )))),
        _ => b_reads_all(entry),
    });
    let task = stage.submit(&[PANICS]).await;
    let (running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
    assert_eq!(stage.text(&task, 1).await.tried[0].why, FallbackReason::Failed);
    assert!(!running.is_finished(), "the worker keeps running");
}

#[tokio::test]
async fn the_fallback_reads_a_page_that_hangs_before_the_worker_ends() {
    let mut stage = routed(&two_engines(r#", "fallback": "b@1""#), |entry| match entry.engine.name.as_str() {
        "a" => LocalEngine::Batches(Engine::from_reader(Box::new(HangingReader(
            entry.engine.clone(),
            BatchPolicy::for_provider(Provider::OnnxRuntime),
        )))),
        _ => b_reads_all(entry),
    });
    stage.settings.page_timeout = Duration::from_millis(500);
    let task = stage.submit(&[WHITE]).await;
    let (running, _shutdown) = stage.work();
    let error = running.await.expect("no panic").expect_err("the engine is lost");
    assert!(error.to_string().contains("did not come back"), "{error}");
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
    let text = stage.text(&task, 1).await;
    assert_eq!((text.engine, text.tried[0].code), (name("b@1"), Some(FailureCode::TimedOut)));
}

#[derive(Debug)]
struct HangingReader(EngineName, BatchPolicy);

impl PageReader for HangingReader {
    fn name(&self) -> EngineName {
        self.0.clone()
    }

    fn policy(&self) -> &BatchPolicy {
        &self.1
    }

    fn read(&mut self, _: &[PageImage]) -> Vec<Result<PageText, Failure>> {
        loop {
            std::thread::park();
        }
    }
}

#[derive(Debug)]
struct PanickingReader(EngineName, BatchPolicy);

impl PageReader for PanickingReader {
    fn name(&self) -> EngineName {
        self.0.clone()
    }

    fn policy(&self) -> &BatchPolicy {
        &self.1
    }

    fn read(&mut self, _: &[PageImage]) -> Vec<Result<PageText, Failure>> {
        panic!("this engine always panics")
    }
}

#[tokio::test]
async fn an_engine_with_another_name_refuses_to_start() {
    let make = |_: &EngineEntry| {
        LocalEngine::Batches(Engine::from_reader(Box::new(PanickingReader(
            name("a@2"),
            BatchPolicy::for_provider(Provider::OnnxRuntime),
        ))))
    };
    let error = run_worker(&two_engines(""), make).await.expect_err("the names differ");
    let message = format!("{error:#}");
    assert!(message.contains("a@1") && message.contains("a@2"), "{message}");
}

#[tokio::test]
async fn a_server_without_its_api_key_refuses_to_start() {
    let server =
        r#"{"kind": "openai", "url": "http://127.0.0.1:1/v1", "model": "m", "api_key_env": "QUIRE_SURELY_UNSET"}"#;
    let config = two_engines("").replacen(r#"{"kind": "pp-ocr"}"#, server, 1);
    let error = run_worker(&config, b_reads_all).await.expect_err("the key is not set");
    assert!(format!("{error:#}").contains("QUIRE_SURELY_UNSET"), "{error:#}");
}

async fn run_worker(
    config: &str,
    make: impl Fn(&EngineEntry) -> LocalEngine + Copy + Send + Sync + 'static,
) -> anyhow::Result<WorkerExit> {
    let stage = routed(config, make);
    let running =
        stage.worker(sandbox(this_program())).run(move |entry| Ok(make(entry)), || {}, CancellationToken::new());
    tokio::time::timeout(Duration::from_secs(5), running).await.expect("it ends before the timeout")
}
