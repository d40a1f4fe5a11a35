//! Micro-batches, each with one of the threads that own a reader of the model.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
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
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::{
    batch::{self, BatchLimits},
    figures::{BatchFigures, BusyShare},
    lane::{self, Answer, Ask, LaneError, Reading},
};

type Texts = Vec<Result<PageText, Failure>>;

/// Images for a thread, and where their texts go, with what reading them has cost.
pub(crate) type Job = (Vec<PageImage>, oneshot::Sender<(Texts, CostCounters)>);

/// A page that waits for its micro-batch.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) ask: Ask,
    pub(crate) since: Instant,
}

/// For whoever feeds the model.
#[derive(Debug)]
pub(crate) struct ModelHandle {
    /// A channel of one: the next batch is ready while others are read.
    batches: mpsc::Sender<Vec<Queued>>,
    load: Arc<Load>,
}

/// What all readers share.
#[derive(Debug)]
struct Load {
    readers: usize,
    /// Batches that have left for the readers and are not read yet.
    in_work: AtomicUsize,
    idle: Notify,
    busy: std::sync::Mutex<BusyShare>,
}

impl ModelHandle {
    /// Room for a batch, once there is some; `None` when the threads have ended.
    pub(crate) async fn reserve(&self) -> Option<Room<'_>> {
        let permit = self.batches.reserve().await.ok()?;
        Some(Room { permit, load: &self.load })
    }

    /// Whether a reader has nothing to do, and no batch is on its way to it.
    pub(crate) fn has_idle_reader(&self) -> bool {
        self.load.in_work.load(Ordering::SeqCst) < self.load.readers
    }

    /// Waits until a batch has been read.
    pub(crate) async fn reader_becomes_idle(&self) {
        self.load.idle.notified().await;
    }
}

/// Room for a batch.
pub(crate) struct Room<'a> {
    permit: mpsc::Permit<'a, Vec<Queued>>,
    load: &'a Load,
}

impl Room<'_> {
    /// Counts the batch before a reader can have ended it.
    pub(crate) fn send(self, batch: Vec<Queued>) {
        self.load.in_work.fetch_add(1, Ordering::SeqCst);
        self.permit.send(batch);
    }
}

/// What a thread does: it reads batch after batch, until none comes any more.
pub(crate) fn own(mut engine: Engine, mut jobs: mpsc::Receiver<Job>) {
    while let Some((images, answer)) = jobs.blocking_recv() {
        let texts = read(&mut engine, &images);
        // Nobody waits for it any more when the process is stopping.
        let _ = answer.send((texts, engine.take_costs()));
    }
}

/// Reads a micro-batch. A panic in the engine is one page's failure, and finding out whose costs a run a page.
fn read(engine: &mut Engine, images: &[PageImage]) -> Texts {
    let result = catch_unwind(AssertUnwindSafe(|| engine.read(images)));
    match (result, images) {
        (Ok(texts), _) => texts,
        (Err(_), [_]) => vec![Err(lane::panicked())],
        (Err(_), _) => images.iter().flat_map(|image| read(engine, std::slice::from_ref(image))).collect(),
    }
}

/// The threads of an engine, from the side of those who feed them.
#[derive(Debug)]
pub(crate) struct ModelThreads {
    /// What is loaded, for the log.
    pub(crate) engine: EngineName,
    /// One for each reader.
    pub(crate) readers: Vec<mpsc::Sender<Job>>,
    /// How long a page may take.
    pub(crate) page_limit: Duration,
}

impl ModelThreads {
    /// Gathers what is asked into batches and has them read, until nothing is asked any more or a thread is lost. Then what
    /// has not begun is lost as well, and what other readers have begun they finish.
    pub(crate) async fn drive(self, limits: BatchLimits, asks: mpsc::Receiver<Ask>, lost: CancellationToken) {
        let Self { engine, readers, page_limit } = self;
        let (sender, batches) = mpsc::channel(1);
        let busy = std::sync::Mutex::new(BusyShare::new(Instant::now()));
        let load = Load { readers: readers.len(), in_work: AtomicUsize::new(0), idle: Notify::new(), busy };
        let (load, batches) = (Arc::new(load), Arc::new(Mutex::new(batches)));
        let mut reading = JoinSet::new();
        for jobs in readers {
            let (engine, load) = (engine.clone(), Arc::clone(&load));
            let reader = Reader { engine, jobs, load, page_limit, free_since: Instant::now() };
            reading.spawn(reader.run(Arc::clone(&batches)));
        }
        let mut ended = {
            let mut feeding = pin!(batch::run(limits, asks, ModelHandle { batches: sender, load }));
            tokio::select! {
                fed = &mut feeding => fed,
                // Before its feed has ended, a reader ends only when it is lost.
                Some(reader) = reading.join_next() => joined(reader),
            }
        };
        while let Some(reader) = reading.join_next().await {
            ended = ended.and(joined(reader));
        }
        if let Err(error) = ended {
            error!(engine.name, engine.version, %error, "an engine is lost");
            lost.cancel();
        }
    }
}

fn joined(reader: Result<anyhow::Result<()>, tokio::task::JoinError>) -> anyhow::Result<()> {
    reader.context("whoever feeds a reader has died")?
}

/// Feeds one thread.
struct Reader {
    engine: EngineName,
    jobs: mpsc::Sender<Job>,
    load: Arc<Load>,
    page_limit: Duration,
    free_since: Instant,
}

impl Reader {
    async fn run(mut self, batches: Arc<Mutex<mpsc::Receiver<Vec<Queued>>>>) -> anyhow::Result<()> {
        loop {
            // Whoever waits for the next batch holds the lock, and the others wait for that.
            let next = batches.lock().await.recv().await;
            let Some(batch) = next else { return Ok(()) };
            self.read(batch).await?;
        }
    }

    async fn read(&mut self, batch: Vec<Queued>) -> anyhow::Result<()> {
        let started = Instant::now();
        let since: Vec<Instant> = batch.iter().map(|queued| queued.since).collect();
        let (images, answers): (Vec<_>, Vec<_>) = batch.into_iter().map(|queued| split(queued.ask)).unzip();
        let (pages, limit) = (images.len(), self.page_limit * images.len() as u32);
        let (answer, answered) = oneshot::channel();
        self.jobs.send((images, answer)).await.ok().context("the model's thread has ended")?;
        let Ok(read) = tokio::time::timeout(limit, answered).await else { return stuck(answers, limit) };
        let (texts, work) = read.context("the model's thread has died")?;
        let ended = Instant::now();
        self.load.in_work.fetch_sub(1, Ordering::SeqCst);
        self.load.idle.notify_one();
        let busy = self.load.busy.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(ended, &work);
        BatchFigures::new(&since, self.free_since, started, ended, &work, busy).tell(&self.engine);
        self.free_since = ended;
        for (answer, text) in answers.into_iter().zip(texts) {
            let took = (ended - started) / pages as u32;
            // Whoever asked may have gone.
            let _ = answer.send(text.map(|text| Reading { text, took }).map_err(LaneError::Failed));
        }
        Ok(())
    }
}

/// Where a second engine may be asked for the page, it has an image of its own.
fn split(ask: Ask) -> (PageImage, oneshot::Sender<Answer>) {
    (Arc::unwrap_or_clone(ask.image), ask.answer)
}

/// A thread inside native code cannot be interrupted: the process has to end. A page that was alone in its batch is the
/// one at fault, and fails; of several, each is tried alone by whoever receives it next.
fn stuck(mut answers: Vec<oneshot::Sender<Answer>>, limit: Duration) -> anyhow::Result<()> {
    if let (Some(answer), true) = (answers.pop(), answers.is_empty()) {
        let _ = answer.send(Err(LaneError::Stuck(lane::stuck(limit))));
    }
    bail!("the model did not come back within {} s", limit.as_secs())
}
