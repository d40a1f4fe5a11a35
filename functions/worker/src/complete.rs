//! How a page ends: the result is stored, the page filed for review where somebody is to look at it, and completed, the
//! callback owed, and the message acknowledged, in this order. A crash between any two of them repeats the earlier ones, which changes nothing.
//! What was stored for a task that was canceled or deleted meanwhile is taken out again before that.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use quire_platform::{
    Backend, Completion, Error, Result, delete_orphaned_page, enqueue_callback, enqueue_progress, file_for_review,
    retry_with_backoff,
};
use quire_tasks::{Failure, FailureCode, ObjectKey, Outcome, PageMessage, PageText};
use quire_telemetry::metrics;
use tokio::{sync::mpsc, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    in_flight::{End, InFlight},
    intake::Intake,
};

/// How often a full disk is looked at again. An operator has to make room; the page waits, it does not fail.
const WHILE_FULL: Duration = Duration::from_secs(5);
/// When a page is received again whose end could not be kept.
const AFTER_AN_ERROR: Duration = Duration::from_secs(5);
/// How long it is tried to tell a customer how far a task is: the next page's end tells more.
const PROGRESS_LIMIT: Duration = Duration::from_secs(5);

/// The last step.
#[derive(Debug, Clone)]
pub(crate) struct Completer {
    backend: Backend,
    intake: Arc<Intake>,
    shutdown: CancellationToken,
}

impl Completer {
    pub(crate) const fn new(backend: Backend, intake: Arc<Intake>, shutdown: CancellationToken) -> Self {
        Self { backend, intake, shutdown }
    }

    /// Ends pages, side by side: their number is bounded by what is in hand.
    pub(crate) async fn run(&self, mut pages: mpsc::Receiver<InFlight<End>>) -> anyhow::Result<()> {
        let mut ending = JoinSet::new();
        while let Some(page) = pages.recv().await {
            let this = self.clone();
            ending.spawn(async move { this.finish(page).await });
            while ending.try_join_next().is_some() {}
        }
        while ending.join_next().await.is_some() {}
        Ok(())
    }

    /// Ends one page. What goes wrong is logged here; the page is then received again.
    pub(crate) async fn finish(&self, page: InFlight<End>) {
        let (end, page) = page.split();
        let (id, trace_id) = (page.message.page, page.trace_id());
        match self.keep(&page, end).await {
            Ok(completion) => {
                self.intake.page_survived();
                if let Err(error) = page.lease.acknowledge().await {
                    warn!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, %error,
                        "a page could not be acknowledged; it comes again");
                }
                // The page is no longer in hand.
                drop((page.permit, page.pixels));
                if let Some(completion) = completion {
                    self.tell_progress(&completion).await;
                }
            }
            Err(error) => {
                error!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, %error,
                    "a page's end could not be kept");
                if let Err(error) = page.lease.release(AFTER_AN_ERROR).await {
                    warn!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, %error,
                        "it could not be released; it comes again later");
                }
            }
        }
    }

    /// Fails a page whose `step` did not come back in time. What holds it is native code, which cannot be interrupted: the
    /// process has to end after this, and with it what else it has in hand, which is then read by others.
    pub(crate) async fn give_up(&self, page: InFlight<()>, step: &str, limit: Duration) {
        let why = format!("{step} it took longer than {} s", limit.as_secs());
        self.finish(page.with(Failure::new(FailureCode::TimedOut, why).into())).await;
    }

    /// Tells how far the task is, where that is wanted. It holds nothing up, and nothing fails with it.
    async fn tell_progress(&self, completion: &Completion) {
        if !matches!(timeout(PROGRESS_LIMIT, enqueue_progress(&self.backend, completion)).await, Ok(Ok(()))) {
            warn!(task.id = %completion.task().id, "nobody is told how far a task is; the next page's end tells more");
        }
    }

    /// What came of completing it; nothing where its task is gone.
    async fn keep(&self, held: &InFlight<()>, end: End) -> Result<Option<Completion>> {
        let (message, page) = (&held.message, held.message.page);
        let End { read, review } = end;
        let outcome = match read {
            Ok(text) => {
                self.while_full(|| self.store(message, &text)).await?;
                Outcome::Succeeded { confidence: text.confidence(), needs_review: review.is_some() }
            }
            Err(failure) => Outcome::Failed(failure),
        };
        // Before the page ends: one that says that it needs a review is there to be found.
        if let Some(entry) = &review {
            self.while_full(|| file_for_review(&self.backend, entry)).await?;
            metrics::count("PagesForReview", 1);
        }
        let complete = || self.backend.tasks.complete_page(page, message.round, outcome.clone());
        match self.while_full(complete).await {
            Ok(completion) => {
                take_note(held, &completion, &outcome);
                if !completion.changed() {
                    delete_orphaned_page(&self.backend, page, message.round).await?;
                }
                enqueue_callback(&self.backend, completion.task()).await?;
                Ok(Some(completion))
            }
            // The task was deleted in the meantime: there is nobody to tell.
            Err(Error::NotFound { .. }) => {
                delete_orphaned_page(&self.backend, page, message.round).await.map(|()| None)
            }
            Err(error) => Err(error),
        }
    }

    /// Written once in a round: a second reading of the same page changes nothing.
    async fn store(&self, message: &PageMessage, text: &PageText) -> Result<()> {
        let key = ObjectKey::PageText { page: message.page, round: message.round }.to_string();
        let json = serde_json::to_vec(text)
            .map_err(|error| Error::Failed { what: "the page's result", why: error.to_string() })?;
        self.backend.objects.put_new(&key, Bytes::from(json)).await?;
        Ok(())
    }

    /// Tries until there is space again, or the worker is to stop.
    async fn while_full<T, F: Future<Output = Result<T>>>(&self, operation: impl Fn() -> F) -> Result<T> {
        loop {
            let ended = retry_with_backoff(&operation).await;
            let Err(Error::Full { what }) = ended else { return ended };
            error!(what, "no space left: pages wait until there is some");
            if self.shutdown.run_until_cancelled(tokio::time::sleep(WHILE_FULL)).await.is_none() {
                return ended;
            }
        }
    }
}

/// A page that had ended before was counted and told of then.
fn take_note(held: &InFlight<()>, completion: &Completion, outcome: &Outcome) {
    if !completion.changed() {
        return;
    }
    let page = held.message.page;
    match outcome {
        Outcome::Succeeded { .. } => {
            metrics::count("PagesSucceeded", 1);
            info!(task.id = %page.task_id, document = page.document, page.no = page.page, trace.id = held.trace_id(),
                "a page succeeded");
        }
        Outcome::Failed(failure) => {
            metrics::count("PagesFailed", 1);
            info!(task.id = %page.task_id, document = page.document, page.no = page.page, trace.id = held.trace_id(),
                failure.code = failure.code.as_str(), failure.message = failure.message, "a page failed");
        }
    }
}
