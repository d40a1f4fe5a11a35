//! Streaming engines: pages join and leave while others are being read, on the one thread that owns the engine.

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

use crate::engine_transport::{self, EngineReading, EngineReply, PageRequest, TransportError};

/// Pages that the engine holds, by ticket. Shared between the engine's thread and the watchdog, which fails the pages
/// when the thread hangs.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenPages(Arc<Mutex<HashMap<u64, OpenPage>>>);

#[derive(Debug)]
struct OpenPage {
    reply: oneshot::Sender<EngineReply>,
    since: Instant,
    deadline: Instant,
}

impl OpenPages {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, OpenPage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails all pages: with `single` if there is only one, which is then the cause, with `several` otherwise.
    fn fail_all(&self, single: &TransportError, several: &TransportError) {
        let pages = std::mem::take(&mut *self.lock());
        let error = if pages.len() == 1 { single } else { several };
        for page in pages.into_values() {
            // The receiver is dropped when the process is stopping.
            let _ = page.reply.send(Err(error.clone()));
        }
    }
}

/// Feeds requested pages into the engine and returns their texts.
struct StreamFeed {
    requests: mpsc::Receiver<PageRequest>,
    open_pages: OpenPages,
    slots: usize,
    page_timeout: Duration,
    last_ticket: u64,
}

impl PageFeed<'static> for StreamFeed {
    fn next(&mut self, wait: bool) -> Option<PageJob<'static>> {
        let request = if wait { self.requests.blocking_recv()? } else { self.requests.try_recv().ok()? };
        let PageRequest { image, mode, reply, .. } = request;
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        let since = Instant::now();
        let mut open_pages = self.open_pages.lock();
        // A page without a free slot has to wait for the pages ahead of it.
        let deadline = since + self.page_timeout * (1 + open_pages.len() / self.slots) as u32;
        open_pages.insert(ticket, OpenPage { reply, since, deadline });
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
        let Some(page) = self.open_pages.lock().remove(&ticket) else { return };
        let reply = match outcome {
            Ok(reading) => Ok(EngineReading { text: reading.page, duration: page.since.elapsed() }),
            Err(error @ (ReadError::Model(_) | ReadError::DeadlinePassed)) => {
                Err(TransportError::Failed(Failure::from(error)))
            }
            Err(error) => Err(TransportError::Refused(Failure::from(error))),
        };
        let _ = page.reply.send(reply);
    }
}

/// Runs on the engine's thread: reads pages until the channel is closed. After a panic the engine serves again: a page
/// that was alone is the cause and fails; several are each retried alone after the next receive.
pub(crate) fn run_stream_thread(
    mut engine: Box<dyn PageStream>,
    requests: mpsc::Receiver<PageRequest>,
    open_pages: &OpenPages,
    page_timeout: Duration,
) {
    let slots = engine.slots().max(1);
    let mut feed = StreamFeed { requests, open_pages: open_pages.clone(), slots, page_timeout, last_ticket: 0 };
    while catch_unwind(AssertUnwindSafe(|| engine.serve(&mut feed))).is_err() {
        let panicked = TransportError::Failed(engine_transport::panic_failure());
        open_pages.fail_all(&panicked, &TransportError::Interrupted);
    }
}

/// The watchdog: gives up a thread that hangs in native code. The engine itself ends a page whose deadline has passed,
/// at its next step; a single step may take as long as the page timeout.
pub(crate) async fn watch(open_pages: OpenPages, page_timeout: Duration, lost: CancellationToken) {
    loop {
        tokio::time::sleep((page_timeout / 4).min(Duration::from_secs(1))).await;
        let now = Instant::now();
        if open_pages.lock().values().any(|page| page.deadline + page_timeout < now) {
            error!(limit_secs = page_timeout.as_secs(), "engine lost: its thread hangs, and the worker must restart");
            let timed_out = TransportError::Stuck(engine_transport::timeout_failure(page_timeout));
            open_pages.fail_all(&timed_out, &TransportError::Lost);
            return lost.cancel();
        }
    }
}
