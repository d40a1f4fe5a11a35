//! The last step: stores the result, files the page for review if needed, completes it in the task table, enqueues the
//! callback and acknowledges the message, in this order. Each step is idempotent, so a crash between two of them only
//! repeats the earlier ones. If the task was canceled or deleted in between, the stored result is removed again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use quire_platform::{
    Backend, Completion, Error, Result, delete_orphaned_page, enqueue_callback, enqueue_progress, file_for_review,
    retry_with_backoff,
};
use quire_tasks::{ObjectKey, Outcome, PageMessage, PageText};
use quire_telemetry::metrics;
use tokio::{sync::mpsc, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::in_flight::{InFlight, PageEnd};

/// Retry interval while the disk is full: an operator must free space, and the page must not fail because of it.
const DISK_FULL_RETRY: Duration = Duration::from_secs(5);
/// Visibility timeout of a page whose end could not be stored.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// Timeout for enqueueing a progress callback. A lost one is harmless: the next page's end sends newer progress.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(5);

/// The last step of the pipeline. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Completer {
    backend: Backend,
    /// Incremented for each completed page; the intake ends its quarantine mode by it.
    pages_completed: Arc<AtomicU64>,
    shutdown: CancellationToken,
}

impl Completer {
    pub(crate) const fn new(backend: Backend, pages_completed: Arc<AtomicU64>, shutdown: CancellationToken) -> Self {
        Self { backend, pages_completed, shutdown }
    }

    /// Completes pages concurrently; their number is bounded by the permits of the intake.
    pub(crate) async fn run(&self, mut pages: mpsc::Receiver<InFlight<PageEnd>>) -> anyhow::Result<()> {
        let mut completing = JoinSet::new();
        while let Some(page) = pages.recv().await {
            let this = self.clone();
            completing.spawn(async move { this.finish(page).await });
            while completing.try_join_next().is_some() {}
        }
        while completing.join_next().await.is_some() {}
        Ok(())
    }

    /// Completes one page. Errors are logged here, and the page is released for a retry.
    pub(crate) async fn finish(&self, page: InFlight<PageEnd>) {
        let (end, page) = page.split();
        let id = page.message.page;
        let trace_id = page.trace_id();
        match self.complete(&page, end).await {
            Ok(completion) => {
                self.pages_completed.fetch_add(1, Ordering::Relaxed);
                if let Err(error) = page.lease.acknowledge().await {
                    warn!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, %error,
                        "cannot acknowledge a page; it is received again");
                }
                // Lets the intake receive the next page before the progress callback is sent.
                drop((page.permit, page.pixel_permit));
                if let Some(completion) = completion {
                    self.send_progress(&completion).await;
                }
            }
            Err(error) => {
                error!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, %error,
                    "cannot store a page's end; the page is retried");
                if let Err(error) = page.lease.release(RETRY_DELAY).await {
                    warn!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, %error,
                        "cannot release a page; it returns when its lease expires");
                }
            }
        }
    }

    /// Enqueues a progress callback if the task wants it. Best effort: it delays nothing and fails nothing.
    async fn send_progress(&self, completion: &Completion) {
        if !matches!(timeout(PROGRESS_TIMEOUT, enqueue_progress(&self.backend, completion)).await, Ok(Ok(()))) {
            warn!(task.id = %completion.task().id,
                "cannot enqueue a progress callback; the next page sends a newer one");
        }
    }

    /// Returns how the task table took the page's end; `None` if the task is deleted.
    async fn complete(&self, page: &InFlight<()>, end: PageEnd) -> Result<Option<Completion>> {
        let message = &page.message;
        let id = message.page;
        let PageEnd { read, review } = end;
        let outcome = match read {
            Ok(text) => {
                self.retry_while_full(|| self.store(message, &text)).await?;
                if text.is_text_missing() {
                    metrics::count("PagesWithMissingText", 1);
                }
                Outcome::Succeeded { confidence: text.confidence(), needs_review: review.is_some() }
            }
            Err(failure) => Outcome::Failed(failure),
        };
        // Before the page ends: the review of a page with `needs_review` must exist.
        if let Some(entry) = &review {
            self.retry_while_full(|| file_for_review(&self.backend, entry)).await?;
            metrics::count("PagesForReview", 1);
        }
        let complete_page = || self.backend.tasks.complete_page(id, message.round, outcome.clone());
        match self.retry_while_full(complete_page).await {
            Ok(completion) => {
                log_completed(page, &completion, &outcome);
                if !completion.changed() {
                    delete_orphaned_page(&self.backend, id, message.round).await?;
                }
                enqueue_callback(&self.backend, completion.task()).await?;
                Ok(Some(completion))
            }
            // The task was deleted in the meantime, so no callback is sent.
            Err(Error::NotFound { .. }) => delete_orphaned_page(&self.backend, id, message.round).await.map(|()| None),
            Err(error) => Err(error),
        }
    }

    /// Stores the page's text. Write-once per round: a second reading of the same page changes nothing.
    async fn store(&self, message: &PageMessage, text: &PageText) -> Result<()> {
        let key = ObjectKey::PageText { page: message.page, round: message.round }.to_string();
        let json = serde_json::to_vec(text)
            .map_err(|error| Error::Failed { what: "the page's result", why: error.to_string() })?;
        self.backend.objects.put_new(&key, Bytes::from(json)).await?;
        Ok(())
    }

    /// Retries while the disk is full, until there is space or a shutdown.
    async fn retry_while_full<T, F: Future<Output = Result<T>>>(&self, operation: impl Fn() -> F) -> Result<T> {
        loop {
            let ended = retry_with_backoff(&operation).await;
            let Err(Error::Full { what }) = ended else { return ended };
            error!(what, "the disk is full: pages wait until there is space");
            if self.shutdown.run_until_cancelled(tokio::time::sleep(DISK_FULL_RETRY)).await.is_none() {
                return ended;
            }
        }
    }
}

/// Logs and counts a page's end, unless the page had ended before.
fn log_completed(page: &InFlight<()>, completion: &Completion, outcome: &Outcome) {
    if !completion.changed() {
        return;
    }
    let id = page.message.page;
    match outcome {
        Outcome::Succeeded { .. } => {
            metrics::count("PagesSucceeded", 1);
            info!(task.id = %id.task_id, document = id.document, page.no = id.page, trace.id = page.trace_id(),
                "a page succeeded");
        }
        Outcome::Failed(failure) => {
            metrics::count("PagesFailed", 1);
            info!(task.id = %id.task_id, document = id.document, page.no = id.page, trace.id = page.trace_id(),
                failure.code = failure.code.as_str(), failure.message = failure.message, "a page failed");
        }
    }
}
