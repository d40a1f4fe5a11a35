//! Streaming engines, in which pages join and leave while others are in flight.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use image::Rgb;
use quire_ocr::{PageFeed, PageJob, PageReading, PageStream, ReadError, StopReason};
use quire_tasks::{EngineName, FailureCode, PageStatus, PageText, TaskStatus};
use quire_worker::LocalEngine;

use crate::stage::{ERRS, HANGS, PANICS, WHITE, WorkerStage, routed};

/// Takes longer than the page timeout.
const SLOW: Rgb<u8> = Rgb([0, 0, 0]);
const SLOTS: usize = 3;

/// Reads every page in five steps, and records the pages in flight at each step.
#[derive(Debug, Clone)]
struct StepEngine {
    engine: EngineName,
    pages_per_step: Arc<Mutex<Vec<usize>>>,
}

struct SlotPage {
    ticket: u64,
    color: Rgb<u8>,
    deadline: Option<Instant>,
    steps: u32,
}

impl SlotPage {
    fn new(job: &PageJob<'_>) -> Self {
        let color = Rgb([2, 1, 0].map(|channel| job.image.pixels()[channel]));
        Self { ticket: job.ticket, color, deadline: job.deadline, steps: 0 }
    }

    /// Advances the page by a step and returns its result once it ends.
    fn step(&mut self, engine: &EngineName) -> Option<Result<PageReading, ReadError>> {
        self.steps += 1;
        assert!(self.color != PANICS, "a red page");
        if self.color == HANGS {
            loop {
                std::thread::park();
            }
        }
        if self.deadline.is_some_and(|deadline| deadline < Instant::now()) {
            return Some(Err(ReadError::DeadlinePassed));
        }
        if self.color == ERRS {
            return Some(Err(ReadError::TooManyTokens { tokens: 2, capacity: 1 }));
        }
        let page = PageText::from_lines(engine.clone(), 64, 64, 0, Vec::new());
        let is_read = self.steps >= 5 && self.color != SLOW;
        is_read.then(|| Ok(PageReading { page, tokens: Vec::new(), end: StopReason::EndOfText }))
    }
}

impl PageStream for StepEngine {
    fn name(&self) -> EngineName {
        self.engine.clone()
    }

    fn slots(&self) -> usize {
        SLOTS
    }

    fn serve(&mut self, feed: &mut dyn PageFeed<'_>) {
        let mut slots_in_use: Vec<SlotPage> = Vec::new();
        loop {
            while slots_in_use.len() < SLOTS {
                let Some(job) = feed.next(slots_in_use.is_empty()) else { break };
                slots_in_use.push(SlotPage::new(&job));
            }
            if slots_in_use.is_empty() {
                return;
            }
            self.pages_per_step.lock().expect("no panic while it is held").push(slots_in_use.len());
            std::thread::sleep(Duration::from_millis(10));
            slots_in_use.retain_mut(|page| match page.step(&self.engine) {
                Some(ended) => {
                    feed.ended(page.ticket, ended);
                    false
                }
                None => true,
            });
        }
    }
}

fn stage_with_stream() -> (WorkerStage, Arc<Mutex<Vec<usize>>>) {
    let pages_per_step = Arc::<Mutex<Vec<usize>>>::default();
    let recorded = Arc::clone(&pages_per_step);
    let config = r#"{"engines": {"s@1": {"kind": "pp-ocr"}}, "routes": [{"modes": ["text"], "primary": "s@1"}]}"#;
    let stage = routed(config, move |entry| {
        LocalEngine::Stream(Box::new(StepEngine {
            engine: entry.engine.clone(),
            pages_per_step: Arc::clone(&recorded),
        }))
    });
    (stage, pages_per_step)
}

#[tokio::test]
async fn a_slot_that_becomes_free_is_filled_at_once() {
    let (stage, pages_per_step) = stage_with_stream();
    let task = stage.submit(&[WHITE; 60]).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
    let pages_per_step = pages_per_step.lock().expect("no panic").clone();
    // A new worker reads the first four pages one at a time.
    let full = pages_per_step.iter().skip(20).filter(|slots_in_use| **slots_in_use == SLOTS).count();
    assert_eq!(pages_per_step.iter().max(), Some(&SLOTS));
    assert!(
        full * 10 >= (pages_per_step.len() - 20) * 8,
        "{full} of {} steps with all slots full",
        pages_per_step.len() - 20
    );
}

#[tokio::test]
async fn a_page_that_makes_a_stream_panic_or_fail_fails_alone() {
    let (stage, _) = stage_with_stream();
    let task = stage.submit(&[WHITE, WHITE, WHITE, WHITE, WHITE, PANICS, WHITE, ERRS, WHITE]).await;
    let (running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::PartiallySucceeded);
    let failed: Vec<bool> = stage.pages(&task).await.iter().map(|page| page.status == PageStatus::Failed).collect();
    assert_eq!(failed, [false, false, false, false, false, true, false, true, false]);
    assert_eq!(stage.code(&task, 6).await, Some(FailureCode::ModelFailed));
    assert_eq!(stage.code(&task, 8).await, Some(FailureCode::TooManyPixels));
    assert!(!running.is_finished(), "the worker keeps running");
}

#[tokio::test]
async fn a_page_past_its_deadline_fails_and_the_others_continue() {
    let (mut stage, _) = stage_with_stream();
    stage.settings.page_timeout = Duration::from_millis(500);
    let task = stage.submit(&[WHITE, SLOW, WHITE]).await;
    let (running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::PartiallySucceeded);
    assert_eq!(stage.code(&task, 2).await, Some(FailureCode::TimedOut));
    assert!(!running.is_finished(), "the worker keeps running");
}

#[tokio::test]
async fn a_stream_that_hangs_ends_the_worker_and_fails_its_only_page() {
    let (mut stage, _) = stage_with_stream();
    stage.settings.page_timeout = Duration::from_millis(500);
    let task = stage.submit(&[HANGS]).await;
    let (running, _shutdown) = stage.work();
    let error = running.await.expect("no panic").expect_err("the engine is lost");
    assert!(error.to_string().contains("did not come back"), "{error}");
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Failed);
    assert_eq!(stage.code(&task, 1).await, Some(FailureCode::TimedOut));
}
