//! Takes pages off the queue, as many as may be in hand, and a suspicious one only alone.
//!
//! A page that is received again was in the hands of a process that died, or beside one that killed it. Read among
//! others it would cost each of them an attempt at every death, and innocent pages would end as dead letters. So it waits
//! until nothing else is in hand. And a process that has just started, perhaps after such a death, takes one page at a
//! time until it has read a few: what it holds when it dies is then at most the one page that kills it.
//!
//! While no engine may be asked, nothing is received; and while one is only to be tried, one page.

use std::{
    path::PathBuf,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use quire_platform::{
    Backend, Consumer, Delivery, Error, MalformedMessage, delete_orphaned_page, enqueue_callback, retry_with_backoff,
};
use quire_tasks::{Failure, FailureCode, ObjectKey, PageMessage};
use quire_telemetry::metrics;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    engines::Engines,
    gate::Room,
    in_flight::{End, InFlight},
    settings::InHand,
    standing::{Standing, Standings},
};

/// When a page is received again that could not be fetched.
const AFTER_AN_ERROR: Duration = Duration::from_secs(5);

/// After so many pages a process is taken to survive the next ones, too.
const CAREFUL_PAGES: u32 = 4;

/// The first step.
#[derive(Debug)]
pub(crate) struct Intake {
    backend: Backend,
    engines: Arc<Engines>,
    standings: Standings,
    pages_in_hand: u32,
    hands: Arc<Semaphore>,
    /// Pages this process has read.
    read: AtomicU32,
}

impl Intake {
    pub(crate) fn new(backend: Backend, in_hand: InHand, engines: Arc<Engines>) -> Self {
        let pages_in_hand = in_hand.pages;
        let hands = Arc::new(Semaphore::new(pages_in_hand as usize));
        let standings = Standings::new(backend.clone());
        Self { backend, engines, standings, pages_in_hand, hands, read: AtomicU32::new(0) }
    }

    /// Says that a page has made it through the model and to its end.
    pub(crate) fn page_survived(&self) {
        self.read.fetch_add(1, Ordering::Relaxed);
    }

    /// Receives until `shutdown`.
    pub(crate) async fn run(
        &self,
        consumer: &Consumer<PageMessage>,
        to_render: mpsc::Sender<InFlight<PathBuf>>,
        to_complete: mpsc::Sender<InFlight<End>>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let out = Out { to_render, to_complete };
        while let Some(mut hands) = shutdown.run_until_cancelled(self.free_hands()).await.transpose()? {
            // What was free may have become too much, or too little, while it was waited for.
            let careful = match self.engines.room() {
                Room::Many => self.is_careful(),
                Room::One => true,
                Room::None { .. } => continue,
            };
            if careful && hands.num_permits() < self.pages_in_hand as usize {
                continue;
            }
            let max = if careful { 1 } else { hands.num_permits() };
            let mut suspects = Vec::new();
            for delivery in self.receive(consumer, max, &shutdown).await? {
                match delivery {
                    Err(undecodable) => discard(undecodable).await,
                    Ok(delivery) if delivery.attempt > 1 && !careful => suspects.push(delivery),
                    Ok(delivery) => {
                        let share = if careful { hands.num_permits() } else { 1 };
                        let permit = hands.split(share).context("received more than asked for")?;
                        self.start(delivery, permit, &out).await?;
                    }
                }
            }
            drop(hands);
            for delivery in suspects {
                let alone = self.all_hands().await?;
                self.start(delivery, alone, &out).await?;
            }
        }
        Ok(())
    }

    /// Receives until there is something, or no engine may be asked any more.
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
            () = self.engines.closes() => stop.cancel(),
        }
        Ok(receiving.await?)
    }

    fn is_careful(&self) -> bool {
        self.read.load(Ordering::Relaxed) < self.pages_in_hand.min(CAREFUL_PAGES)
    }

    /// Every hand that is free, and at least one, as soon as there is an engine to be asked; all of them while careful, and
    /// while an engine is only to be tried.
    async fn free_hands(&self) -> anyhow::Result<OwnedSemaphorePermit> {
        if self.engines.opens().await == Room::One || self.is_careful() {
            return self.all_hands().await;
        }
        let mut hands = Arc::clone(&self.hands).acquire_owned().await?;
        while let Ok(hand) = Arc::clone(&self.hands).try_acquire_owned() {
            hands.merge(hand);
        }
        Ok(hands)
    }

    async fn all_hands(&self) -> anyhow::Result<OwnedSemaphorePermit> {
        Ok(Arc::clone(&self.hands).acquire_many_owned(self.pages_in_hand).await?)
    }

    /// Fetches the page's document and hands both to the next step.
    async fn start(
        &self,
        delivery: Delivery<PageMessage>,
        permit: OwnedSemaphorePermit,
        out: &Out,
    ) -> anyhow::Result<()> {
        let Delivery { message, attempt, trace, lease, .. } = delivery;
        let trace = trace.and_then(|trace| trace.parse().ok());
        let page = InFlight { message, payload: (), attempt, trace, lease, permit, pixels: None };
        take_note(&page);
        match self.standings.of(&page.message, attempt).await {
            Ok(Standing::Open) => {}
            Ok(over) => {
                self.acknowledge_again(page, &over).await;
                return Ok(());
            }
            // Whoever completes it finds out.
            Err(error) => warn!(task.id = %page.message.page.task_id, trace.id = page.trace_id(), %error,
                "a task could not be looked at: its page is read"),
        }
        match self.fetch(&page).await {
            Ok(file) => out.to_render.send(page.with(file)).await.ok().context("rendering has ended"),
            Err(Error::NotFound { .. }) => {
                let gone = Failure::new(FailureCode::Internal, "the document is no longer in the store");
                out.to_complete.send(page.with(gone.into())).await.ok().context("completing has ended")
            }
            Err(error) => {
                error!(task.id = %page.message.page.task_id, trace.id = page.trace_id(), %error,
                    "a document could not be fetched");
                if let Err(error) = page.lease.release(AFTER_AN_ERROR).await {
                    warn!(%error, "a page could not be released; it comes again when its lease has run out");
                }
                Ok(())
            }
        }
    }

    async fn fetch(&self, page: &InFlight<()>) -> quire_platform::Result<PathBuf> {
        let quire_tasks::PageRef { task_id, document, .. } = page.message.page;
        let key = ObjectKey::Document { task_id, document }.to_string();
        retry_with_backoff(|| self.backend.objects.local_file(&key)).await
    }

    /// Whoever read this page before died between its end and its acknowledgment, perhaps before the callback was owed; or
    /// its task was canceled or deleted, perhaps just when its text was stored.
    async fn acknowledge_again(&self, page: InFlight<()>, standing: &Standing) {
        let (id, trace_id) = (page.message.page, page.trace_id());
        let told = async {
            match standing {
                Standing::Over(task) => enqueue_callback(&self.backend, task).await?,
                Standing::Open | Standing::Gone => {}
            }
            if page.attempt > 1 || matches!(standing, Standing::Gone) {
                delete_orphaned_page(&self.backend, id, page.message.round).await?;
            }
            page.lease.acknowledge().await
        };
        match told.await {
            Ok(()) => info!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, "nobody waits for a page"),
            Err(error) => warn!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, %error,
                 "a page that nobody waits for could not be acknowledged; it comes again"),
        }
    }
}

struct Out {
    to_render: mpsc::Sender<InFlight<PathBuf>>,
    to_complete: mpsc::Sender<InFlight<End>>,
}

fn take_note(page: &InFlight<()>) {
    metrics::count("PagesTakenUp", 1);
    if page.attempt > 1 {
        let id = page.message.page;
        warn!(task.id = %id.task_id, document = id.document, page.no = id.page, trace.id = page.trace_id(),
            delivery.attempt = page.attempt, "a page is taken up again, and alone");
        metrics::count("PagesRetried", 1);
    }
}

async fn discard(MalformedMessage { error, lease, .. }: MalformedMessage) {
    error!(%error, "a message cannot be read");
    if let Err(error) = lease.dead_letter(&error.to_string()).await {
        warn!(%error, "a message could not be dead-lettered; it comes again");
    }
}
