//! Micro-batches, on the one thread that owns the model.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use quire_document::PageImage;
use quire_ocr::Engine;
use quire_tasks::{Failure, PageText};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::{
    batch::{self, BatchLimits},
    lane::{self, Answer, Ask, LaneError, Reading},
};

type Texts = Vec<Result<PageText, Failure>>;

/// Images for the thread, and where their texts go.
pub(crate) type Job = (Vec<PageImage>, oneshot::Sender<Texts>);

/// For whoever feeds the model.
#[derive(Debug)]
pub(crate) struct ModelHandle {
    /// A channel of one: the next batch is ready while this one is read.
    batches: mpsc::Sender<Vec<Ask>>,
    load: Arc<Load>,
}

#[derive(Debug, Default)]
struct Load {
    running: AtomicBool,
    idle: Notify,
}

impl ModelHandle {
    /// Room for a batch, once there is some; `None` when the thread has ended.
    pub(crate) async fn reserve(&self) -> Option<mpsc::Permit<'_, Vec<Ask>>> {
        self.batches.reserve().await.ok()
    }

    /// Whether the model has nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        !self.load.running.load(Ordering::SeqCst) && self.batches.capacity() == self.batches.max_capacity()
    }

    /// Waits until a run has ended.
    pub(crate) async fn becomes_idle(&self) {
        self.load.idle.notified().await;
    }
}

/// What the thread does: it reads batch after batch, until none comes any more.
pub(crate) fn own(mut engine: Engine, mut jobs: mpsc::Receiver<Job>) {
    while let Some((images, answer)) = jobs.blocking_recv() {
        // Nobody waits for it any more when the process is stopping.
        let _ = answer.send(read(&mut engine, &images));
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

/// Gathers what is asked into batches and has them read, until nothing is asked any more or the thread is lost.
pub(crate) async fn drive(
    limits: BatchLimits,
    asks: mpsc::Receiver<Ask>,
    jobs: mpsc::Sender<Job>,
    page_limit: Duration,
    lost: CancellationToken,
) {
    let (sender, batches) = mpsc::channel(1);
    let load = Arc::<Load>::default();
    let handle = ModelHandle { batches: sender, load: Arc::clone(&load) };
    let driven = tokio::try_join!(batch::run(limits, asks, handle), run(batches, jobs, &load, page_limit));
    if let Err(error) = driven {
        error!(%error, "an engine is lost");
        lost.cancel();
    }
}

async fn run(
    mut batches: mpsc::Receiver<Vec<Ask>>,
    jobs: mpsc::Sender<Job>,
    load: &Load,
    page_limit: Duration,
) -> anyhow::Result<()> {
    while let Some(batch) = batches.recv().await {
        load.running.store(true, Ordering::SeqCst);
        let (images, answers): (Vec<_>, Vec<_>) = batch.into_iter().map(split).unzip();
        let limit = page_limit * images.len() as u32;
        let started = Instant::now();
        let (answer, answered) = oneshot::channel();
        jobs.send((images, answer)).await.ok().context("the model's thread has ended")?;
        let Ok(texts) = tokio::time::timeout(limit, answered).await else { return stuck(answers, limit) };
        let texts = texts.context("the model's thread has died")?;
        load.running.store(false, Ordering::SeqCst);
        load.idle.notify_one();
        let (pages, took) = (answers.len(), started.elapsed());
        info!(batch.pages = pages, duration_ms = took.as_millis() as u64, "read");
        for (answer, text) in answers.into_iter().zip(texts) {
            let took = took / pages as u32;
            // Whoever asked may have gone.
            let _ = answer.send(text.map(|text| Reading { text, took }).map_err(LaneError::Failed));
        }
    }
    Ok(())
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
