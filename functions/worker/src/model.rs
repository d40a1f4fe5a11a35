//! Batched engines: micro-batches, each read by one of the threads that own a reader of the model.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    slice,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use quire_document::PageImage;
use quire_pp_ocr::{CostCounters, Engine};
use quire_tasks::{EngineName, Failure, PageText};
use tokio::{
    sync::{Mutex, Notify, mpsc, oneshot},
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::{
    batch::{BatchDue, BatchLimits, Batcher, page_cost},
    batch_metrics::{BatchMetrics, BatchTimes, BusyShare},
    engine_transport::{self, EngineReading, EngineReply, PageRequest, TransportError},
};

type BatchTexts = Vec<Result<PageText, Failure>>;

/// The images of a micro-batch, and where the thread sends their texts with the cost of reading them.
pub(crate) type BatchJob = (Vec<PageImage>, oneshot::Sender<(BatchTexts, CostCounters)>);

/// A page that waits for its micro-batch.
#[derive(Debug)]
struct QueuedPage {
    request: PageRequest,
    since: Instant,
}

/// The batcher's side of the readers.
#[derive(Debug)]
struct ModelHandle {
    /// A channel of one, which takes the next batch when a reader is idle.
    batches: mpsc::Sender<Vec<QueuedPage>>,
    load: Arc<ReaderLoad>,
}

/// State that all readers of an engine share.
#[derive(Debug)]
struct ReaderLoad {
    readers: usize,
    /// Batches that were sent to the readers and are not read yet.
    active_batches: AtomicUsize,
    reader_idle: Notify,
    busy_share: std::sync::Mutex<BusyShare>,
}

/// A reserved slot of the channel of batches.
struct BatchPermit<'a> {
    permit: mpsc::Permit<'a, Vec<QueuedPage>>,
    load: &'a ReaderLoad,
}

impl ModelHandle {
    /// Waits for a slot in the channel; returns `None` when the threads have ended.
    async fn reserve(&self) -> Option<BatchPermit<'_>> {
        let permit = self.batches.reserve().await.ok()?;
        Some(BatchPermit { permit, load: &self.load })
    }

    /// Returns whether a reader is idle and no batch is on its way to it.
    fn has_idle_reader(&self) -> bool {
        self.load.active_batches.load(Ordering::SeqCst) < self.load.readers
    }

    async fn wait_for_idle_reader(&self) {
        self.load.reader_idle.notified().await;
    }
}

impl BatchPermit<'_> {
    /// Sends the batch. Counts it first: a reader may end it before this returns.
    fn send(self, batch: Vec<QueuedPage>) {
        self.load.active_batches.fetch_add(1, Ordering::SeqCst);
        self.permit.send(batch);
    }
}

/// Runs on the thread that owns a reader: reads batch after batch until the channel is closed.
pub(crate) fn run_reader_thread(mut engine: Engine, mut jobs: mpsc::Receiver<BatchJob>) {
    while let Some((images, reply)) = jobs.blocking_recv() {
        let texts = read_batch(&mut engine, &images);
        // The receiver is dropped when the process is stopping.
        let _ = reply.send((texts, engine.take_costs()));
    }
}

/// Reads a micro-batch. After a panic each page is read on its own, so that only the page that causes it fails.
fn read_batch(engine: &mut Engine, images: &[PageImage]) -> BatchTexts {
    let result = catch_unwind(AssertUnwindSafe(|| engine.read(images)));
    match (result, images) {
        (Ok(texts), _) => texts,
        (Err(_), [_]) => vec![Err(engine_transport::panic_failure())],
        (Err(_), _) => images.iter().flat_map(|image| read_batch(engine, slice::from_ref(image))).collect(),
    }
}

/// The threads of a batched engine.
#[derive(Debug)]
pub(crate) struct ModelThreads {
    /// The engine's name, for the log.
    pub(crate) engine: EngineName,
    /// One channel per reader.
    pub(crate) readers: Vec<mpsc::Sender<BatchJob>>,
    /// Timeout for one page; a batch has the sum of its pages.
    pub(crate) page_timeout: Duration,
}

impl ModelThreads {
    /// Batches the requested pages and has them read, until the channel is closed or a thread is lost. When a thread is
    /// lost, `lost` is canceled: batches that other readers have begun are finished, everything else is lost.
    pub(crate) async fn drive(
        self,
        limits: BatchLimits,
        requests: mpsc::Receiver<PageRequest>,
        lost: CancellationToken,
    ) {
        let Self { engine, readers, page_timeout } = self;
        let (sender, receiver) = mpsc::channel(1);
        let batches = Arc::new(Mutex::new(receiver));
        let load = Arc::new(ReaderLoad {
            readers: readers.len(),
            active_batches: AtomicUsize::new(0),
            reader_idle: Notify::new(),
            busy_share: std::sync::Mutex::new(BusyShare::new(Instant::now())),
        });
        let mut reading = JoinSet::new();
        for jobs in readers {
            let engine = engine.clone();
            let load = Arc::clone(&load);
            let feed = ReaderFeed { engine, jobs, load, page_timeout, free_since: Instant::now() };
            reading.spawn(feed.run(Arc::clone(&batches)));
        }
        let mut ended = {
            let mut feeding = pin!(feed_batches(limits, requests, ModelHandle { batches: sender, load }));
            tokio::select! {
                fed = &mut feeding => fed,
                // While batches may still come, a reader's task ends only when its thread is lost.
                Some(reader) = reading.join_next() => flatten(reader),
            }
        };
        while let Some(reader) = reading.join_next().await {
            ended = ended.and(flatten(reader));
        }
        if let Err(error) = ended {
            error!(engine.name, engine.version, %error, "engine lost: the worker must restart");
            lost.cancel();
        }
    }
}

/// Fills batches and sends them to the readers until no page comes any more.
async fn feed_batches(
    limits: BatchLimits,
    mut requests: mpsc::Receiver<PageRequest>,
    model: ModelHandle,
) -> anyhow::Result<()> {
    let mut batcher = Batcher::new(limits);
    let mut is_open = true;
    loop {
        // Once no more pages can come, a batch does not wait for them.
        let due = batcher.next_due(Instant::now(), model.has_idle_reader() || !is_open);
        if due == BatchDue::Never && !is_open {
            return Ok(());
        }
        tokio::select! {
            biased;
            // A batch is chosen at the last moment, so that a page of another tenant is still in it.
            permit = model.reserve(), if due == BatchDue::Now && model.has_idle_reader() => {
                permit.context("the model's threads have ended")?.send(batcher.take());
            }
            // Bounded by the pages in flight, not by the batch: a full batch of one tenant must not stop the others.
            request = requests.recv(), if is_open => match request {
                Some(request) => {
                    let since = Instant::now();
                    let tenant = Arc::clone(&request.tenant);
                    batcher.push_for(&tenant, since, page_cost(&request.image), QueuedPage { request, since });
                }
                None => is_open = false,
            },
            () = model.wait_for_idle_reader(), if due != BatchDue::Never => {}
            () = sleep_until(due) => {}
        }
    }
}

async fn sleep_until(due: BatchDue) {
    match due {
        BatchDue::At(deadline) => tokio::time::sleep_until(deadline.into()).await,
        BatchDue::Now | BatchDue::Never => std::future::pending().await,
    }
}

fn flatten(reader: Result<anyhow::Result<()>, JoinError>) -> anyhow::Result<()> {
    reader.context("the task that feeds a reader has died")?
}

/// Feeds the thread of one reader.
struct ReaderFeed {
    engine: EngineName,
    jobs: mpsc::Sender<BatchJob>,
    load: Arc<ReaderLoad>,
    page_timeout: Duration,
    free_since: Instant,
}

impl ReaderFeed {
    async fn run(mut self, batches: Arc<Mutex<mpsc::Receiver<Vec<QueuedPage>>>>) -> anyhow::Result<()> {
        loop {
            // One idle reader waits for the next batch and holds the lock; the others wait for the lock.
            let next = batches.lock().await.recv().await;
            let Some(batch) = next else { return Ok(()) };
            self.read(batch).await?;
        }
    }

    async fn read(&mut self, batch: Vec<QueuedPage>) -> anyhow::Result<()> {
        let started = Instant::now();
        let ready_since: Vec<Instant> = batch.iter().map(|queued| queued.since).collect();
        let (images, replies): (Vec<_>, Vec<_>) = batch.into_iter().map(|queued| split_request(queued.request)).unzip();
        let pages = images.len() as u32;
        let batch_timeout = self.page_timeout * pages;
        let (reply, replied) = oneshot::channel();
        self.jobs.send((images, reply)).await.ok().context("the model's thread has ended")?;
        let Ok(read) = tokio::time::timeout(batch_timeout, replied).await else {
            return fail_stuck(replies, batch_timeout);
        };
        let (texts, work) = read.context("the model's thread has died")?;
        let ended = Instant::now();
        self.load.active_batches.fetch_sub(1, Ordering::SeqCst);
        self.load.reader_idle.notify_one();
        let busy_share = self.load.busy_share.lock().unwrap_or_else(PoisonError::into_inner).add(ended, &work);
        let times = BatchTimes { reader_free_since: self.free_since, started, ended };
        BatchMetrics::new(&ready_since, times, &work, busy_share).emit(&self.engine);
        self.free_since = ended;
        let duration = (ended - started) / pages;
        for (reply, text) in replies.into_iter().zip(texts) {
            // The receiver is dropped when the process is stopping.
            let _ = reply.send(text.map(|text| EngineReading { text, duration }).map_err(TransportError::Failed));
        }
        Ok(())
    }
}

/// Takes the image out of its `Arc`. It is cloned if the page has a fallback, which holds the image too.
fn split_request(request: PageRequest) -> (PageImage, oneshot::Sender<EngineReply>) {
    (Arc::unwrap_or_clone(request.image), request.reply)
}

/// Ends a batch that exceeded its timeout. A thread inside native code cannot be interrupted, so the process has to
/// end. A page that was alone in its batch is the cause and fails; several are each retried alone after the next
/// receive.
fn fail_stuck(mut replies: Vec<oneshot::Sender<EngineReply>>, limit: Duration) -> anyhow::Result<()> {
    if let (Some(reply), true) = (replies.pop(), replies.is_empty()) {
        let _ = reply.send(Err(TransportError::Stuck(engine_transport::timeout_failure(limit))));
    }
    bail!("the model did not come back within {} s", limit.as_secs())
}
