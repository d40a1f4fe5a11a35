//! Whom a page is asked of, and whose answer stands.

use std::time::Duration;

use image::Rgb;
use quire_document::PageImage;
use quire_pp_ocr::{BatchPolicy, Engine, PageReader, Provider};
use quire_routes::EngineEntry;
use quire_tasks::{
    EngineName, Failure, FailureCode, FallbackReason, Line, Mode, PageStatus, PageText, ReadAs, ReviewReason,
    TaskStatus,
};
use quire_worker::LocalEngine;
use quire_worker::{Renderer, Stopped};
use tokio_util::sync::CancellationToken;

use crate::stage::{ERRS, PANICS, WHITE, name, routed};

const GRAY: Rgb<u8> = Rgb([128, 128, 128]);

/// Fails on green pages, and reads every other to one line, of which it is as sure as the page is red.
#[derive(Debug)]
pub(crate) struct Colors {
    pub(crate) engine: EngineName,
    policy: BatchPolicy,
    /// What is taken from how sure it is.
    less: f32,
}

impl Colors {
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
        let line =
            Line { text: self.engine.to_string(), confidence: Some(f32::from(red) / 255.0 - self.less), polygon: None };
        Ok(PageText::from_lines(self.engine.clone(), page.width(), page.height(), 0, vec![line]))
    }
}

impl PageReader for Colors {
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

/// `a@1`, `b@1` and a route with these further members.
pub(crate) fn two(route: &str) -> String {
    format!(
        r#"{{"engines": {{"a@1": {{"kind": "pp-ocr"}}, "b@1": {{"kind": "pp-ocr"}}}},
            "routes": [{{"modes": ["text"], "primary": "a@1"{route}}}]}}"#
    )
}

/// Both can read what the other can, but `b@1` is surer.
fn b_is_better(entry: &EngineEntry) -> LocalEngine {
    Colors::engine(entry, if entry.engine.name == "a" { 0.2 } else { 0.0 })
}

/// `a@1` has its faults, and `b@1` has none.
fn b_reads_all(entry: &EngineEntry) -> LocalEngine {
    if entry.engine.name == "a" {
        return Colors::engine(entry, 0.0);
    }
    let colors =
        Colors { engine: entry.engine.clone(), policy: BatchPolicy::for_provider(Provider::OnnxRuntime), less: 0.0 };
    LocalEngine::Batches(Engine::from_reader(Box::new(Blind(colors))))
}

/// Sees no colors: it reads green pages, too.
#[derive(Debug)]
struct Blind(Colors);

impl PageReader for Blind {
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
async fn what_the_first_engine_fails_on_the_fallback_reads_and_both_are_named() {
    let stage = routed(&two(r#", "fallback": "b@1""#), b_reads_all);
    let task = stage.submit(&[WHITE, ERRS]).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
    let (first, second) = (stage.text(&task, 1).await, stage.text(&task, 2).await);
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
async fn of_two_texts_the_surer_one_stands_and_the_other_is_named() {
    let stage = routed(&two(r#", "fallback": "b@1", "fallback_below": 0.7"#), b_is_better);
    let task = stage.submit(&[WHITE, GRAY]).await;
    let (_running, _shutdown) = stage.work();
    stage.ended(&task).await;
    let (sure, unsure) = (stage.text(&task, 1).await, stage.text(&task, 2).await);
    assert_eq!((sure.engine, sure.tried), (name("a@1"), vec![]));
    assert_eq!((unsure.engine, unsure.tried.len()), (name("b@1"), 1));
    let tried = &unsure.tried[0];
    assert_eq!((&tried.engine, tried.why), (&name("a@1"), FallbackReason::LessSure));
    assert!(tried.confidence.is_some_and(|confidence| (confidence - 0.302).abs() < 0.001), "{tried:?}");
}

#[tokio::test]
async fn what_is_unsure_or_unread_is_filed_for_review_and_nothing_else_is() {
    let stage = routed(&two(r#", "fallback": "b@1", "review_below": 0.7"#), b_is_better);
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
async fn an_engine_that_the_customer_has_named_has_no_fallback() {
    let stage = routed(&two(r#", "fallback": "b@1""#), b_reads_all);
    let pinned = |engine: &str| ReadAs { mode: Mode::Text, engine: Some(name(engine)), pinned: true };
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
async fn a_mode_that_no_engine_reads_in_fails_and_says_so() {
    let stage = routed(&two(""), b_reads_all);
    let task = stage.submit_as(&[WHITE], ReadAs { mode: Mode::Markdown, ..ReadAs::default() }).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Failed);
    assert_eq!(stage.code(&task, 1).await, Some(FailureCode::NotOffered));
}

#[tokio::test]
async fn a_panic_in_one_engine_is_the_fallback_s_chance() {
    let stage = routed(&two(r#", "fallback": "b@1""#), |entry| match entry.engine.name.as_str() {
        "a" => LocalEngine::Batches(Engine::from_reader(Box::new(Panics(
            entry.engine.clone(),
            BatchPolicy::for_provider(Provider::OnnxRuntime),
        )))),
        _ => b_reads_all(entry),
    });
    let task = stage.submit(&[PANICS]).await;
    let (running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
    assert_eq!(stage.text(&task, 1).await.tried[0].why, FallbackReason::Failed);
    assert!(!running.is_finished(), "the worker goes on");
}

#[tokio::test]
async fn what_an_engine_hangs_on_the_fallback_reads_before_the_worker_ends() {
    let mut stage = routed(&two(r#", "fallback": "b@1""#), |entry| match entry.engine.name.as_str() {
        "a" => LocalEngine::Batches(Engine::from_reader(Box::new(Hangs(
            entry.engine.clone(),
            BatchPolicy::for_provider(Provider::OnnxRuntime),
        )))),
        _ => b_reads_all(entry),
    });
    stage.settings.page_limit = Duration::from_millis(500);
    let task = stage.submit(&[WHITE]).await;
    let (running, _shutdown) = stage.work();
    let error = running.await.expect("no panic").expect_err("the thread is lost");
    assert!(error.to_string().contains("did not come back"), "{error}");
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
    let text = stage.text(&task, 1).await;
    assert_eq!((text.engine, text.tried[0].code), (name("b@1"), Some(FailureCode::TimedOut)));
}

#[derive(Debug)]
struct Hangs(EngineName, BatchPolicy);

impl PageReader for Hangs {
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
struct Panics(EngineName, BatchPolicy);

impl PageReader for Panics {
    fn name(&self) -> EngineName {
        self.0.clone()
    }

    fn policy(&self) -> &BatchPolicy {
        &self.1
    }

    fn read(&mut self, _: &[PageImage]) -> Vec<Result<PageText, Failure>> {
        panic!("as it should")
    }
}

#[tokio::test]
async fn an_engine_under_another_name_refuses_to_start_and_says_both() {
    let make = |_: &EngineEntry| {
        LocalEngine::Batches(Engine::from_reader(Box::new(Panics(
            name("a@2"),
            BatchPolicy::for_provider(Provider::OnnxRuntime),
        ))))
    };
    let error = started(&two(""), make).await.expect_err("it is another");
    let said = format!("{error:#}");
    assert!(said.contains("a@1") && said.contains("a@2"), "{said}");
}

#[tokio::test]
async fn a_server_whose_key_is_missing_refuses_to_start_and_names_the_variable() {
    let server =
        r#"{"kind": "openai", "url": "http://127.0.0.1:1/v1", "model": "m", "api_key_env": "QUIRE_SURELY_UNSET"}"#;
    let config = two("").replacen(r#"{"kind": "pp-ocr"}"#, server, 1);
    let error = started(&config, b_reads_all).await.expect_err("it has no key");
    assert!(format!("{error:#}").contains("QUIRE_SURELY_UNSET"), "{error:#}");
}

async fn started(
    config: &str,
    make: impl Fn(&EngineEntry) -> LocalEngine + Copy + Send + Sync + 'static,
) -> anyhow::Result<Stopped> {
    let stage = routed(config, make);
    let renderer = Renderer::start(|| quire_document::Documents::new(None, quire_document::Limits::default()));
    let running =
        stage.worker(renderer.expect("a thread")).run(move |entry| Ok(make(entry)), || {}, CancellationToken::new());
    tokio::time::timeout(Duration::from_secs(5), running).await.expect("in time")
}
