//! Pages that come and go while others are in flight, on the one thread that owns the engine.

use std::{
    borrow::Cow,
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use quire_ocr::{PageFeed, PageJob, PageStream, ReadError};
use quire_tasks::Failure;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::lane::{self, Answer, Ask, LaneError, Reading};

/// Pages that the engine has in hand, by ticket. Kept on both sides of the thread, so that a page that never comes back
/// can still be given up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Open(Arc<Mutex<HashMap<u64, Page>>>);

#[derive(Debug)]
struct Page {
    answer: oneshot::Sender<Answer>,
    since: Instant,
    deadline: Instant,
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Page>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives all of them up: one that was alone by `alone`, several by `others`.
    fn give_up(&self, alone: &LaneError, others: &LaneError) {
        let pages = std::mem::take(&mut *self.lock());
        let error = if pages.len() == 1 { alone } else { others };
        for page in pages.into_values() {
            // Whoever asked may have gone.
            let _ = page.answer.send(Err(error.clone()));
        }
    }
}

/// From the lane into the engine, and back.
struct Feed {
    asks: mpsc::Receiver<Ask>,
    open: Open,
    slots: usize,
    page_limit: Duration,
    tickets: u64,
}

impl PageFeed<'static> for Feed {
    fn next(&mut self, wait: bool) -> Option<PageJob<'static>> {
        let Ask { image, mode, answer } = if wait { self.asks.blocking_recv()? } else { self.asks.try_recv().ok()? };
        self.tickets += 1;
        let (ticket, since) = (self.tickets, Instant::now());
        let mut open = self.open.lock();
        // One for which there is no slot yet waits as long as those ahead of it may take.
        let deadline = since + self.page_limit * (1 + open.len() / self.slots) as u32;
        open.insert(ticket, Page { answer, since, deadline });
        Some(PageJob {
            ticket,
            image: Cow::Owned(Arc::unwrap_or_clone(image)),
            mode,
            instruction: None,
            max_tokens: None,
            deadline: Some(deadline),
            canceled: Arc::default(),
        })
    }

    fn ended(&mut self, ticket: u64, outcome: Result<quire_ocr::PageReading, ReadError>) {
        let Some(page) = self.open.lock().remove(&ticket) else { return };
        let answer = match outcome {
            Ok(reading) => Ok(Reading { text: reading.page, took: page.since.elapsed() }),
            Err(error @ (ReadError::Model(_) | ReadError::DeadlinePassed)) => {
                Err(LaneError::Failed(Failure::from(error)))
            }
            Err(error) => Err(LaneError::Refused(Failure::from(error))),
        };
        let _ = page.answer.send(answer);
    }
}

/// What the thread does: it reads pages until none comes any more. After a panic it begins anew; a page that was alone
/// is the one at fault, and of several each is tried alone by whoever receives it next.
pub(crate) fn own(mut engine: Box<dyn PageStream>, asks: mpsc::Receiver<Ask>, open: &Open, page_limit: Duration) {
    let slots = engine.slots().max(1);
    let mut feed = Feed { asks, open: open.clone(), slots, page_limit, tickets: 0 };
    while catch_unwind(AssertUnwindSafe(|| engine.serve(&mut feed))).is_err() {
        open.give_up(&LaneError::Failed(lane::panicked()), &LaneError::Interrupted);
    }
}

/// Gives up a thread that does not come back from native code. The engine itself ends a page whose time is over, at its
/// next step; a step may take as long as a page.
pub(crate) async fn watch(open: Open, page_limit: Duration, lost: CancellationToken) {
    loop {
        tokio::time::sleep((page_limit / 4).min(Duration::from_secs(1))).await;
        let now = Instant::now();
        if open.lock().values().any(|page| page.deadline + page_limit < now) {
            error!(limit_secs = page_limit.as_secs(), "an engine does not come back");
            open.give_up(&LaneError::Stuck(lane::stuck(page_limit)), &LaneError::Lost);
            return lost.cancel();
        }
    }
}
