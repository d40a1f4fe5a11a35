//! The first step: receives pages up to the limits in flight, and a possibly poisonous page only on its own.
//!
//! A page that is received again was held by a process that died, perhaps because of it. If it were read together with
//! other pages, each death would cost every one of them an attempt, and innocent pages would end as dead letters. So it
//! waits until nothing else is in flight. For the same reason a process that has just started is in quarantine mode: it
//! takes one page at a time until it has completed a few, so that when it dies it holds at most the page that killed
//! it.
//!
//! While every engine is paused or its circuit breaker is open, nothing is received; while one is half-open, one page
//! is.

use std::{
    path::PathBuf,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use quire_platform::{
    Backend, Consumer, Delivery, Error, MalformedMessage, delete_orphaned_page, enqueue_callback, retry_with_backoff,
};
use quire_tasks::{Failure, FailureCode, ObjectKey, PageMessage, PageRef};
use quire_telemetry::metrics;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    cancellation::{CancellationCheck, CancellationStatus},
    engine_guard::EngineCapacity,
    engines::Engines,
    in_flight::{InFlight, PageEnd},
    settings::InFlightLimits,
};

/// Visibility timeout of a page whose document could not be fetched.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// Quarantine mode ends after this many completed pages.
const QUARANTINE_PAGES: u32 = 4;

/// The first step of the pipeline.
#[derive(Debug)]
pub(crate) struct Intake {
    backend: Backend,
    engines: Arc<Engines>,
    cancellation: CancellationCheck,
    max_pages: u32,
    /// One permit per page that may be in flight.
    permits: Arc<Semaphore>,
    /// Pages that this process has completed; incremented by the last step.
    pages_completed: Arc<AtomicU64>,
}

struct IntakeOutputs {
    to_render: mpsc::Sender<InFlight<PathBuf>>,
    to_complete: mpsc::Sender<InFlight<PageEnd>>,
}

impl Intake {
    pub(crate) fn new(
        backend: Backend,
        limits: InFlightLimits,
        engines: Arc<Engines>,
        pages_completed: Arc<AtomicU64>,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(limits.pages as usize));
        let cancellation = CancellationCheck::new(backend.clone());
        Self { backend, engines, cancellation, max_pages: limits.pages, permits, pages_completed }
    }

    /// Receives pages until `shutdown`.
    pub(crate) async fn run(
        &self,
        consumer: &Consumer<PageMessage>,
        to_render: mpsc::Sender<InFlight<PathBuf>>,
        to_complete: mpsc::Sender<InFlight<PageEnd>>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let out = IntakeOutputs { to_render, to_complete };
        while let Some(mut permits) = shutdown.run_until_cancelled(self.acquire_permits()).await.transpose()? {
            // The capacity may have changed while the permits were waited for.
            let in_quarantine = match self.engines.capacity() {
                EngineCapacity::Many => self.is_in_quarantine(),
                EngineCapacity::One => true,
                EngineCapacity::None { .. } => continue,
            };
            if in_quarantine && permits.num_permits() < self.max_pages as usize {
                continue;
            }
            let max = if in_quarantine { 1 } else { permits.num_permits() };
            let mut suspects = Vec::new();
            for received in self.receive(consumer, max, &shutdown).await? {
                match received {
                    Err(malformed) => dead_letter_malformed(malformed).await,
                    Ok(delivery) if delivery.attempt > 1 && !in_quarantine => suspects.push(delivery),
                    Ok(delivery) => {
                        let share = if in_quarantine { permits.num_permits() } else { 1 };
                        let permit = permits.split(share).context("received more pages than permits")?;
                        self.start_page(delivery, permit, &out).await?;
                    }
                }
            }
            drop(permits);
            for suspect in suspects {
                let all_permits = self.acquire_all_permits().await?;
                self.start_page(suspect, all_permits, &out).await?;
            }
        }
        Ok(())
    }

    /// Receives until there are pages, or until no engine accepts pages any more.
    async fn receive(
        &self,
        consumer: &Consumer<PageMessage>,
        max: usize,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Vec<Result<Delivery<PageMessage>, MalformedMessage>>> {
        let stop = shutdown.child_token();
        let mut receiving = pin!(consumer.receive_until(max, &stop));
        tokio::select! {
            biased;
            received = &mut receiving => return Ok(received?),
            () = self.engines.wait_until_none() => stop.cancel(),
        }
        Ok(receiving.await?)
    }

    fn is_in_quarantine(&self) -> bool {
        self.pages_completed.load(Ordering::Relaxed) < u64::from(self.max_pages.min(QUARANTINE_PAGES))
    }

    /// Waits for an engine that accepts pages, then returns all free permits, at least one. In quarantine mode, and
    /// while an engine is half-open, waits for all permits.
    async fn acquire_permits(&self) -> anyhow::Result<OwnedSemaphorePermit> {
        if self.engines.wait_for_capacity().await == EngineCapacity::One || self.is_in_quarantine() {
            return self.acquire_all_permits().await;
        }
        let mut permits = Arc::clone(&self.permits).acquire_owned().await?;
        while let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            permits.merge(permit);
        }
        Ok(permits)
    }

    async fn acquire_all_permits(&self) -> anyhow::Result<OwnedSemaphorePermit> {
        Ok(Arc::clone(&self.permits).acquire_many_owned(self.max_pages).await?)
    }

    /// Fetches the page's document and passes both to the next step.
    async fn start_page(
        &self,
        delivery: Delivery<PageMessage>,
        permit: OwnedSemaphorePermit,
        out: &IntakeOutputs,
    ) -> anyhow::Result<()> {
        let Delivery { message, attempt, trace, lease, .. } = delivery;
        let trace = trace.and_then(|trace| trace.parse().ok());
        let page = InFlight { message, payload: (), attempt, trace, lease, permit, pixel_permit: None };
        log_received(&page);
        match self.cancellation.check(&page.message, attempt).await {
            Ok(CancellationStatus::Open) => {}
            Ok(ended) => {
                self.acknowledge_ended(page, &ended).await;
                return Ok(());
            }
            // Completing the page checks the task again.
            Err(error) => warn!(task.id = %page.message.page.task_id, trace.id = page.trace_id(), %error,
                "cannot check whether a task is canceled; reading its page"),
        }
        match self.fetch_document(&page.message.page).await {
            Ok(file) => out.to_render.send(page.with(file)).await.ok().context("the rendering step has ended"),
            Err(Error::NotFound { .. }) => {
                let missing = Failure::new(FailureCode::Internal, "the document is no longer in the store");
                out.to_complete.send(page.with(missing.into())).await.ok().context("the last step has ended")
            }
            Err(error) => {
                error!(task.id = %page.message.page.task_id, trace.id = page.trace_id(), %error,
                    "cannot fetch a document; its page is retried");
                if let Err(error) = page.lease.release(RETRY_DELAY).await {
                    warn!(%error, "cannot release a page; it returns when its lease expires");
                }
                Ok(())
            }
        }
    }

    async fn fetch_document(&self, page: &PageRef) -> quire_platform::Result<PathBuf> {
        let key = ObjectKey::Document { task_id: page.task_id, document: page.document }.to_string();
        retry_with_backoff(|| self.backend.objects.local_file(&key)).await
    }

    /// Acknowledges a page that has nothing left to read. A process may have died between the page's end and its
    /// acknowledgment, before the callback was enqueued; or the task was canceled or deleted just when the page's text
    /// was stored. Both are repaired here first; both steps are idempotent.
    async fn acknowledge_ended(&self, page: InFlight<()>, status: &CancellationStatus) {
        let id = page.message.page;
        let trace_id = page.trace_id();
        let acknowledged = async {
            match status {
                CancellationStatus::Ended(task) => enqueue_callback(&self.backend, task).await?,
                CancellationStatus::Open | CancellationStatus::Deleted => {}
            }
            if page.attempt > 1 || matches!(status, CancellationStatus::Deleted) {
                delete_orphaned_page(&self.backend, id, page.message.round).await?;
            }
            page.lease.acknowledge().await
        };
        match acknowledged.await {
            Ok(()) => info!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id,
                "skipped a page that has ended or was canceled"),
            Err(error) => warn!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, %error,
                "cannot acknowledge a page that has ended or was canceled; it is received again"),
        }
    }
}

fn log_received(page: &InFlight<()>) {
    metrics::count("PagesTakenUp", 1);
    if page.attempt > 1 {
        let id = page.message.page;
        warn!(task.id = %id.task_id, document = id.document, page.no = id.page, trace.id = page.trace_id(),
            delivery.attempt = page.attempt, "retrying a page, on its own");
        metrics::count("PagesRetried", 1);
    }
}

async fn dead_letter_malformed(MalformedMessage { error, lease, .. }: MalformedMessage) {
    error!(%error, "cannot parse a message; moving it to the dead-letter queue");
    if let Err(error) = lease.dead_letter(&error.to_string()).await {
        warn!(%error, "cannot dead-letter a malformed message; it is received again");
    }
}
