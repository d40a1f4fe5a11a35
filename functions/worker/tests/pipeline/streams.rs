//! Engines in which pages come and go while others are in flight.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use image::Rgb;
use quire_ocr::{PageFeed, PageJob, PageReading, PageStream, ReadError, StopReason};
use quire_tasks::{EngineName, FailureCode, PageStatus, PageText, TaskStatus};
use quire_worker::LocalEngine;

use crate::stage::{ERRS, HANGS, PANICS, Stage, WHITE, routed};

/// It is read for longer than a page may take.
const SLOW: Rgb<u8> = Rgb([0, 0, 0]);
const SLOTS: usize = 3;

/// Reads every page in five steps, and notes how many are in flight in each step.
#[derive(Debug, Clone)]
struct Steps {
    engine: EngineName,
    seen: Arc<Mutex<Vec<usize>>>,
}

struct Inside {
    ticket: u64,
    color: Rgb<u8>,
    deadline: Option<Instant>,
    steps: u32,
}

impl Inside {
    fn new(job: &PageJob<'_>) -> Self {
        let color = Rgb([2, 1, 0].map(|channel| job.image.pixels()[channel]));
        Self { ticket: job.ticket, color, deadline: job.deadline, steps: 0 }
    }

    /// How it ends, if it does.
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

impl PageStream for Steps {
    fn name(&self) -> EngineName {
        self.engine.clone()
    }

    fn slots(&self) -> usize {
        SLOTS
    }

    fn serve(&mut self, feed: &mut dyn PageFeed<'_>) {
        let mut inside: Vec<Inside> = Vec::new();
        loop {
            while inside.len() < SLOTS {
                let Some(job) = feed.next(inside.is_empty()) else { break };
                inside.push(Inside::new(&job));
            }
            if inside.is_empty() {
                return;
            }
            self.seen.lock().expect("no panic while it is held").push(inside.len());
            std::thread::sleep(Duration::from_millis(10));
            inside.retain_mut(|page| match page.step(&self.engine) {
                Some(ended) => {
                    feed.ended(page.ticket, ended);
                    false
                }
                None => true,
            });
        }
    }
}

fn streamed() -> (Stage, Arc<Mutex<Vec<usize>>>) {
    let seen = Arc::<Mutex<Vec<usize>>>::default();
    let notes = Arc::clone(&seen);
    let config = r#"{"engines": {"s@1": {"kind": "pp-ocr"}}, "routes": [{"modes": ["text"], "primary": "s@1"}]}"#;
    let stage = routed(config, move |entry| {
        LocalEngine::Stream(Box::new(Steps { engine: entry.engine.clone(), seen: Arc::clone(&notes) }))
    });
    (stage, seen)
}

#[tokio::test]
async fn a_slot_that_becomes_free_is_filled_at_once() {
    let (stage, seen) = streamed();
    let task = stage.submit(&[WHITE; 60]).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
    let seen = seen.lock().expect("no panic").clone();
    // The first four pages are read one at a time, by a worker that does not know yet whether it survives them.
    let full = seen.iter().skip(20).filter(|inside| **inside == SLOTS).count();
    assert_eq!(seen.iter().max(), Some(&SLOTS));
    assert!(full * 10 >= (seen.len() - 20) * 8, "{full} of {} steps with all slots full", seen.len() - 20);
}

#[tokio::test]
async fn a_page_on_which_a_stream_panics_or_errs_fails_alone() {
    let (stage, _) = streamed();
    let task = stage.submit(&[WHITE, WHITE, WHITE, WHITE, WHITE, PANICS, WHITE, ERRS, WHITE]).await;
    let (running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::PartiallySucceeded);
    let failed: Vec<bool> = stage.pages(&task).await.iter().map(|page| page.status == PageStatus::Failed).collect();
    assert_eq!(failed, [false, false, false, false, false, true, false, true, false]);
    assert_eq!(stage.code(&task, 6).await, Some(FailureCode::ModelFailed));
    assert_eq!(stage.code(&task, 8).await, Some(FailureCode::TooManyPixels));
    assert!(!running.is_finished(), "the worker goes on");
}

#[tokio::test]
async fn a_page_whose_time_is_over_fails_and_the_others_go_on() {
    let (mut stage, _) = streamed();
    stage.settings.page_limit = Duration::from_millis(500);
    let task = stage.submit(&[WHITE, SLOW, WHITE]).await;
    let (running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::PartiallySucceeded);
    assert_eq!(stage.code(&task, 2).await, Some(FailureCode::TimedOut));
    assert!(!running.is_finished(), "the worker goes on");
}

#[tokio::test]
async fn a_stream_that_does_not_come_back_ends_the_worker_and_fails_the_page_that_was_alone() {
    let (mut stage, _) = streamed();
    stage.settings.page_limit = Duration::from_millis(500);
    let task = stage.submit(&[HANGS]).await;
    let (running, _shutdown) = stage.work();
    let error = running.await.expect("no panic").expect_err("the thread is lost");
    assert!(error.to_string().contains("did not come back"), "{error}");
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Failed);
    assert_eq!(stage.code(&task, 1).await, Some(FailureCode::TimedOut));
}
