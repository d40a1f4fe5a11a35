//! Engines in this process: each has one thread that makes it, owns it and does nothing else.

use std::{pin::Pin, time::Duration};

use anyhow::{Context, anyhow, ensure};
use quire_ocr::LocalEngine;
use quire_routes::EngineEntry;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    batch::BatchLimits,
    lane::{Ask, Lane},
    model::{self, Job},
    stream::{self, Open},
};

/// A page that is read, one that is ready, and two on their way.
const PAGES_OF_A_BATCHER: u32 = 4;

/// An engine that has started.
pub(crate) struct Local {
    pub(crate) lane: Lane,
    /// What stands between the lane and the thread; ends with the lane.
    pub(crate) driver: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// How many pages keep it busy.
    pub(crate) appetite: u32,
}

/// What a thread says of its engine once it is made.
enum Made {
    Batches { jobs: mpsc::Sender<Job>, limits: BatchLimits },
    Stream { asks: mpsc::Sender<Ask>, open: Open, slots: usize },
}

/// Starts the thread and waits for the engine to be made on it.
pub(crate) async fn start(
    entry: EngineEntry,
    maker: impl FnOnce(&EngineEntry) -> anyhow::Result<LocalEngine> + Send + 'static,
    page_limit: Duration,
) -> anyhow::Result<Local> {
    let (started, start) = oneshot::channel();
    let engine = entry.engine.clone();
    let thread = std::thread::Builder::new().name(format!("engine {}", engine.name));
    thread.spawn(move || match maker(&entry).and_then(|made| named(made, &entry)) {
        Ok(engine) => own(engine, started, page_limit),
        // Nobody waits for it any more when the process is stopping.
        Err(error) => drop(started.send(Err(error))),
    })?;
    let made = start.await.map_err(|_| anyhow!("{engine}: its thread died while it started"))?;
    let made = made.with_context(|| engine.to_string())?;
    info!(engine.name, engine.version, "an engine is loaded");
    Ok(local(made, page_limit))
}

/// An engine under another name would sign what it did not read.
fn named(made: LocalEngine, entry: &EngineEntry) -> anyhow::Result<LocalEngine> {
    let (own, given) = (made.name(), &entry.engine);
    ensure!(own == *given, "it calls itself {own}, and the configuration calls it {given}");
    Ok(made)
}

fn own(engine: LocalEngine, started: oneshot::Sender<anyhow::Result<Made>>, page_limit: Duration) {
    match engine {
        LocalEngine::Batches(engine) => {
            let (jobs, queue) = mpsc::channel(1);
            let policy = engine.policy();
            let limits =
                BatchLimits { max_cost: policy.max_batch_pixels, max_wait: Duration::from_millis(policy.max_wait_ms) };
            let _ = started.send(Ok(Made::Batches { jobs, limits }));
            model::own(engine, queue);
        }
        LocalEngine::Stream(engine) => {
            // A slot that becomes free finds its next page here.
            let (asks, queue) = mpsc::channel(engine.slots());
            let open = Open::default();
            let _ = started.send(Ok(Made::Stream { asks, open: open.clone(), slots: engine.slots() }));
            stream::own(engine, queue, &open, page_limit);
        }
    }
}

fn local(made: Made, page_limit: Duration) -> Local {
    let lost = CancellationToken::new();
    match made {
        Made::Batches { jobs, limits } => {
            let (asks, queue) = mpsc::channel(1);
            let driver = Box::pin(model::drive(limits, queue, jobs, page_limit, lost.clone()));
            Local { lane: Lane::Local { asks, lost }, driver, appetite: PAGES_OF_A_BATCHER }
        }
        Made::Stream { asks, open, slots } => {
            let driver = Box::pin(stream::watch(open, page_limit, lost.clone()));
            // As many as are in flight are looked at ahead of them.
            Local { lane: Lane::Local { asks, lost }, driver, appetite: 2 * slots as u32 }
        }
    }
}
