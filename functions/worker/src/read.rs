//! Detection and recognition, on the one thread that owns the model.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use quire_document::PageImage;
use quire_ocr::Engine;
use quire_tasks::{Failure, FailureCode, PageText};
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::{error, info};

use crate::{
    batch::BatchLimits,
    complete::Completer,
    in_flight::{InFlight, Read},
};

/// A micro-batch.
#[derive(Debug)]
pub(crate) struct Batch(pub(crate) Vec<InFlight<PageImage>>);

type Texts = Vec<Result<PageText, Failure>>;

/// The thread, from this side. It is handed images and hands back texts; leases stay on this side, so that a page that
/// never comes back can still be given up.
#[derive(Debug)]
pub(crate) struct ModelThread {
    jobs: mpsc::Sender<(Vec<PageImage>, oneshot::Sender<Texts>)>,
    limits: BatchLimits,
    page_limit: Duration,
    batches: mpsc::Receiver<Batch>,
    handle: ModelHandle,
}

/// For whoever feeds the model.
#[derive(Debug, Clone)]
pub(crate) struct ModelHandle {
    /// A channel of one: the next batch is ready while this one is read.
    batches: mpsc::Sender<Batch>,
    load: Arc<Load>,
}

#[derive(Debug, Default)]
struct Load {
    running: AtomicBool,
    idle: Notify,
}

impl ModelHandle {
    /// Room for a batch, once there is some.
    pub(crate) async fn reserve(&self) -> anyhow::Result<mpsc::Permit<'_, Batch>> {
        self.batches.reserve().await.context("the model's thread has ended")
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

impl ModelThread {
    /// Starts the thread and waits for the engine to be made on it.
    pub(crate) async fn start(
        engine: impl FnOnce() -> anyhow::Result<Engine> + Send + 'static,
        page_limit: Duration,
    ) -> anyhow::Result<Self> {
        let (jobs, mut queue) = mpsc::channel::<(Vec<PageImage>, oneshot::Sender<Texts>)>(1);
        let (started, start) = oneshot::channel();
        std::thread::Builder::new().name("model".to_owned()).spawn(move || {
            let mut engine = match engine() {
                Ok(engine) => engine,
                Err(error) => return drop(started.send(Err(error))),
            };
            let policy = engine.policy();
            let limits =
                BatchLimits { max_cost: policy.max_batch_pixels, max_wait: Duration::from_millis(policy.max_wait_ms) };
            let _ = started.send(Ok((engine.name(), limits)));
            while let Some((images, answer)) = queue.blocking_recv() {
                // Nobody waits for it any more when the process is stopping.
                let _ = answer.send(read(&mut engine, &images));
            }
        })?;
        let (name, limits) = start.await.map_err(|_| anyhow!("the model's thread died while it started"))??;
        info!(engine.name = name.name, engine.version = name.version, "the model is loaded");
        let (sender, batches) = mpsc::channel(1);
        let handle = ModelHandle { batches: sender, load: Arc::default() };
        Ok(Self { jobs, limits, page_limit, batches, handle })
    }

    /// What bounds a micro-batch of this engine.
    pub(crate) const fn batch_limits(&self) -> BatchLimits {
        self.limits
    }

    /// The way in. Only one may be taken before [`ModelThread::run`], which ends when it is dropped.
    pub(crate) fn handle(&self) -> ModelHandle {
        self.handle.clone()
    }

    /// Reads batch after batch.
    pub(crate) async fn run(self, to_complete: mpsc::Sender<Read>, completer: &Completer) -> anyhow::Result<()> {
        let Self { jobs, page_limit, mut batches, handle, .. } = self;
        let load = Arc::clone(&handle.load);
        drop(handle);
        while let Some(Batch(pages)) = batches.recv().await {
            load.running.store(true, Ordering::SeqCst);
            let (images, pages): (Vec<_>, Vec<_>) = pages.into_iter().map(InFlight::split).unzip();
            let limit = page_limit * images.len() as u32;
            let started = Instant::now();
            let (answer, answered) = oneshot::channel();
            jobs.send((images, answer)).await.ok().context("the model's thread has ended")?;
            let Ok(texts) = tokio::time::timeout(limit, answered).await else {
                return stuck(pages, limit, completer).await;
            };
            let texts = texts.context("the model's thread has died")?;
            load.running.store(false, Ordering::SeqCst);
            load.idle.notify_one();
            info!(batch.pages = pages.len(), duration_ms = started.elapsed().as_millis() as u64, "read");
            for (page, text) in pages.into_iter().zip(texts) {
                to_complete.send(page.with(text)).await.ok().context("completing has ended")?;
            }
        }
        Ok(())
    }
}

/// Reads a micro-batch. A panic in the engine is one page's failure, and finding out whose costs a run a page.
fn read(engine: &mut Engine, images: &[PageImage]) -> Texts {
    let result = catch_unwind(AssertUnwindSafe(|| engine.read(images)));
    match (result, images) {
        (Ok(texts), _) => texts,
        (Err(_), [_]) => vec![Err(Failure::new(FailureCode::ModelFailed, "the engine panicked on this page"))],
        (Err(_), _) => images.iter().flat_map(|image| read(engine, std::slice::from_ref(image))).collect(),
    }
}

/// A thread inside native code cannot be interrupted: the process has to end. A page that was alone in its batch is the
/// one at fault, and fails; of several, each is tried alone by whoever receives it next.
async fn stuck(mut pages: Vec<InFlight<()>>, limit: Duration, completer: &Completer) -> anyhow::Result<()> {
    error!(batch.pages = pages.len(), limit_secs = limit.as_secs(), "the model does not come back");
    if let (Some(page), true) = (pages.pop(), pages.is_empty()) {
        completer.give_up(page, "reading", limit).await;
    }
    bail!("the model did not come back within {} s", limit.as_secs())
}
