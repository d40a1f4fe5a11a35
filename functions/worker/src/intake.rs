//! The first step: receives pages within the share of each tenant, and a possibly poisonous page only on its own.
//!
//! A page that is received again was held by a process that died, perhaps because of it. If it were read together with
//! other pages, each death would cost every one of them an attempt, and innocent pages would end as dead letters. So it
//! waits until nothing else is in flight, and other tenants then have as long as it took. For the same reason a process
//! that has just started is in quarantine mode: it takes one page at a time until it has completed a few, so that when
//! it dies it holds at most the page that killed it.
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
    time::{Duration, Instant},
};

use anyhow::Context;
use quire_fair_share::{Capacity, FairPermit, FairShare, pool_size};
use quire_platform::{
    Backend, Consumer, Delivery, Error, MalformedMessage, Received, consumer::SURPLUS_DELAY, delete_orphaned_page,
    enqueue_callback, retry_with_backoff,
};
use quire_tasks::{Failure, FailureCode, ObjectKey, PageMessage, PageRef};
use quire_telemetry::metrics;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
    time::{sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    cancellation::{CancellationCheck, CancellationStatus},
    engine_guard::EngineCapacity,
    engines::Engines,
    in_flight::{InFlight, PageEnd, PagePermit},
    settings::InFlightLimits,
    suspects::SuspectQueue,
};

/// Visibility timeout of a page whose document could not be fetched.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// Quarantine mode ends after this many completed pages.
const QUARANTINE_PAGES: u32 = 4;
/// The longest pause after pages of a tenant without capacity were received. Only a queue that cannot leave out tenants
/// returns such pages.
const SURPLUS_PAUSE: Duration = Duration::from_secs(1);

/// The first step of the pipeline. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    backend: Backend,
    engines: Arc<Engines>,
    cancellation: Arc<CancellationCheck>,
    /// The pages of one tenant that may be in flight.
    max_pages: u32,
    /// One permit per page that may be in flight, shared between the tenants.
    share: FairShare,
    /// As many permits as the share. A page that is read alone takes all.
    slots: Arc<Semaphore>,
    max_slots: u32,
    /// Pages that this process has completed; incremented by the last step.
    pages_completed: Arc<AtomicU64>,
}

/// Where the intake sends pages.
#[derive(Debug, Clone)]
struct IntakeOutputs {
    to_render: mpsc::Sender<InFlight<PathBuf>>,
    to_complete: mpsc::Sender<InFlight<PageEnd>>,
}

/// A delivery with the permit of its tenant. A suspect may wait without one.
type Suspect = (Delivery<PageMessage>, Option<FairPermit>);

/// What the intake does next.
enum NextStep {
    /// Receive up to as many pages as there are slots.
    Receive(OwnedSemaphorePermit),
    /// Receive one page, which is read alone.
    ReceiveAlone(OwnedSemaphorePermit),
    /// Read a suspect, alone.
    ReadSuspect(OwnedSemaphorePermit),
}

impl Intake {
    pub(crate) fn new(
        backend: Backend,
        limits: InFlightLimits,
        engines: Arc<Engines>,
        pages_completed: Arc<AtomicU64>,
    ) -> Self {
        let slots = pool_size(limits.pages as usize);
        Self {
            cancellation: Arc::new(CancellationCheck::new(backend.clone())),
            backend,
            engines,
            max_pages: limits.pages,
            share: FairShare::new(slots),
            slots: Arc::new(Semaphore::new(slots)),
            max_slots: slots as u32,
            pages_completed,
        }
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
        let mut suspects = SuspectQueue::default();
        let mut starting = JoinSet::new();
        while let Some(next) = shutdown.run_until_cancelled(self.next_step(&suspects)).await.transpose()? {
            join_started(&mut starting)?;
            match next {
                NextStep::ReadSuspect(all_slots) => self.read_suspect(&mut suspects, all_slots, &out).await?,
                NextStep::ReceiveAlone(all_slots) => self.receive_alone(consumer, all_slots, &shutdown, &out).await?,
                NextStep::Receive(slots) => {
                    let (pages, has_surplus) = self.receive_pages(consumer, slots, &mut suspects, &shutdown).await?;
                    for (delivery, permit) in pages {
                        let (intake, out) = (self.clone(), out.clone());
                        starting.spawn(async move { intake.start_page(delivery, permit, &out).await });
                    }
                    if has_surplus {
                        let released = async { self.share.releases().changed().await };
                        let _ = shutdown.run_until_cancelled(timeout(SURPLUS_PAUSE, released)).await;
                    }
                }
            }
        }
        while suspects.len() > 0 {
            let all_slots = self.acquire_all_slots().await?;
            self.read_suspect(&mut suspects, all_slots, &out).await?;
        }
        while let Some(started) = starting.join_next().await {
            started??;
        }
        Ok(())
    }

    /// Waits for an engine that accepts pages, and for slots: for all of them in quarantine mode, while an engine is
    /// half-open, and for a suspect whose turn it is.
    async fn next_step(&self, suspects: &SuspectQueue<Suspect>) -> anyhow::Result<NextStep> {
        loop {
            let capacity = self.engines.wait_for_capacity().await;
            let now = Instant::now();
            if suspects.next_at(now).is_some_and(|at| at <= now) {
                return Ok(NextStep::ReadSuspect(self.acquire_all_slots().await?));
            }
            let is_alone = capacity == EngineCapacity::One || self.is_in_quarantine();
            let slots = if is_alone { self.acquire_all_slots().await? } else { self.acquire_slots().await? };
            // The capacity may have changed while the slots were waited for.
            let capacity = self.engines.capacity();
            if capacity == EngineCapacity::Many && !self.is_in_quarantine() {
                return Ok(NextStep::Receive(slots));
            }
            if is_alone && !matches!(capacity, EngineCapacity::None { .. }) {
                return Ok(NextStep::ReceiveAlone(slots));
            }
        }
    }

    /// Receives one page and starts it with all slots.
    async fn receive_alone(
        &self,
        consumer: &Consumer<PageMessage>,
        all_slots: OwnedSemaphorePermit,
        shutdown: &CancellationToken,
        out: &IntakeOutputs,
    ) -> anyhow::Result<()> {
        for received in self.receive(consumer, 1, None, shutdown).await? {
            match received {
                Err(malformed) => dead_letter_malformed(malformed).await,
                Ok(delivery) => {
                    let share = self.share.acquire(&delivery.group).await;
                    return self.start_page(delivery, PagePermit { share, _slots: all_slots }, out).await;
                }
            }
        }
        Ok(())
    }

    /// Receives pages within the capacity of their tenants. Returns those to start, and whether others had to be put
    /// back; suspects are added to the queue.
    async fn receive_pages(
        &self,
        consumer: &Consumer<PageMessage>,
        mut slots: OwnedSemaphorePermit,
        suspects: &mut SuspectQueue<Suspect>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<(Vec<(Delivery<PageMessage>, PagePermit)>, bool)> {
        let until = suspects.next_at(Instant::now());
        let mut pages = Vec::new();
        let mut has_surplus = false;
        for received in self.receive(consumer, slots.num_permits(), until, shutdown).await? {
            let delivery = match received {
                Ok(delivery) => delivery,
                Err(malformed) => {
                    dead_letter_malformed(malformed).await;
                    continue;
                }
            };
            let tenant = delivery.group.clone();
            match self.share.try_acquire(&tenant) {
                share if delivery.attempt > 1 && (share.is_some() || suspects.len() < self.max_slots as usize) => {
                    suspects.push(&tenant, (delivery, share));
                }
                Some(share) => {
                    let slot = slots.split(1).context("received more pages than slots")?;
                    pages.push((delivery, PagePermit { share, _slots: slot }));
                }
                None => {
                    has_surplus = true;
                    put_back(delivery).await;
                }
            }
        }
        Ok((pages, has_surplus))
    }

    /// Reads the next suspect alone, and waits until it has ended.
    async fn read_suspect(
        &self,
        suspects: &mut SuspectQueue<Suspect>,
        all_slots: OwnedSemaphorePermit,
        out: &IntakeOutputs,
    ) -> anyhow::Result<()> {
        let Some((delivery, share)) = suspects.pop() else { return Ok(()) };
        let share = match share {
            Some(share) => share,
            None => self.share.acquire(&delivery.group).await,
        };
        let started = Instant::now();
        self.start_page(delivery, PagePermit { share, _slots: all_slots }, out).await?;
        drop(self.acquire_all_slots().await?);
        suspects.finished(started.elapsed(), Instant::now());
        Ok(())
    }

    /// Receives up to `max` pages. Waits until there are some, until `until`, until a tenant without capacity has some
    /// again, or until no engine accepts pages any more.
    async fn receive(
        &self,
        consumer: &Consumer<PageMessage>,
        max: usize,
        until: Option<Instant>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Vec<Received<PageMessage>>> {
        // Subscribes first, so that no release after the capacity was read is missed.
        let mut releases = self.share.releases();
        let capacity = self.share.capacity();
        let capacity = Capacity { max: capacity.max.min(max), ..capacity };
        if capacity.max == 0 {
            // All permits are held by suspects that wait.
            let _ = timeout(SURPLUS_PAUSE, shutdown.cancelled()).await;
            return Ok(Vec::new());
        }
        let stop = shutdown.child_token();
        let changed = stop.child_token();
        let mut receiving = pin!(consumer.receive_fairly(&capacity, &changed, &stop));
        loop {
            tokio::select! {
                biased;
                received = &mut receiving => return Ok(received?),
                () = self.engines.wait_until_none(), if !stop.is_cancelled() => stop.cancel(),
                _ = releases.changed(), if capacity.is_limited() && !changed.is_cancelled() => changed.cancel(),
                () = sleep_until_known(until), if !changed.is_cancelled() => changed.cancel(),
            }
        }
    }

    fn is_in_quarantine(&self) -> bool {
        self.pages_completed.load(Ordering::Relaxed) < u64::from(self.max_pages.min(QUARANTINE_PAGES))
    }

    /// Returns all free slots, at least one.
    async fn acquire_slots(&self) -> anyhow::Result<OwnedSemaphorePermit> {
        let mut slots = Arc::clone(&self.slots).acquire_owned().await?;
        while let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            slots.merge(slot);
        }
        Ok(slots)
    }

    async fn acquire_all_slots(&self) -> anyhow::Result<OwnedSemaphorePermit> {
        Ok(Arc::clone(&self.slots).acquire_many_owned(self.max_slots).await?)
    }

    /// Fetches the page's document and passes both to the next step.
    async fn start_page(
        &self,
        delivery: Delivery<PageMessage>,
        permit: PagePermit,
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

/// Returns a page of a tenant without capacity to the queue, without spending an attempt.
async fn put_back(delivery: Delivery<PageMessage>) {
    if let Err(error) = delivery.lease.requeue(SURPLUS_DELAY).await {
        warn!(%error, "cannot put back a page of a busy tenant; it is received again when its lease expires");
    }
}

/// Returns the error of a page that could not be passed on.
fn join_started(starting: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    while let Some(started) = starting.try_join_next() {
        started??;
    }
    Ok(())
}

async fn sleep_until_known(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}

async fn dead_letter_malformed(MalformedMessage { error, lease, .. }: MalformedMessage) {
    error!(%error, "cannot parse a message; moving it to the dead-letter queue");
    if let Err(error) = lease.dead_letter(&error.to_string()).await {
        warn!(%error, "cannot dead-letter a malformed message; it is received again");
    }
}
