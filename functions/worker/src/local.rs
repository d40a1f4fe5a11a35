//! Engines in this process: each has one thread that makes it, owns it and does nothing else; one with several readers has
//! a thread for each.

use std::{pin::Pin, time::Duration};

use anyhow::{Context, anyhow, ensure};
use quire_pp_ocr::Engine;
use quire_routes::EngineEntry;
use quire_tasks::EngineName;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    batch::BatchLimits,
    lane::{Ask, Lane},
    local_engine::LocalEngine,
    model::{self, Job, ModelThreads},
    stream::{self, Open},
};

/// Pixels of an A4 page at 200 dpi: what the pages of a micro-batch are counted by before there are any.
const PAGE_PIXELS: u64 = 1_654 * 2_339;
/// Pages on their way to the engine, or from it, where micro-batches have one page.
const FEWEST_ON_THEIR_WAY: u32 = 2;

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
    Batches { readers: Vec<mpsc::Sender<Job>>, limits: BatchLimits },
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
    Ok(local(&engine, made, page_limit))
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
            let limits = BatchLimits::of(engine.policy());
            match apart(engine) {
                Ok((readers, first, queue)) => {
                    let _ = started.send(Ok(Made::Batches { readers, limits }));
                    model::own(first, queue);
                }
                Err(error) => drop(started.send(Err(error))),
            }
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

/// Gives each reader but one a thread; that one stays here, with its queue.
fn apart(engine: Engine) -> anyhow::Result<(Vec<mpsc::Sender<Job>>, Engine, mpsc::Receiver<Job>)> {
    let name = engine.name().name;
    let mut readers = engine.into_readers();
    let here = readers.pop().context("an engine without a reader")?;
    let (jobs, own_queue) = mpsc::channel(1);
    let mut all = vec![jobs];
    for (number, reader) in (2..).zip(readers) {
        let (jobs, queue) = mpsc::channel(1);
        let thread = std::thread::Builder::new().name(format!("engine {name} {number}"));
        thread.spawn(move || model::own(reader, queue))?;
        all.push(jobs);
    }
    Ok((all, here, own_queue))
}

/// How many pages keep so many readers busy: a micro-batch with each, one that is ready, and as many pages again on their
/// way to or from them.
pub(crate) fn appetite(limits: BatchLimits, readers: usize) -> u32 {
    let batch = (limits.max_cost / PAGE_PIXELS).max(1) as u32;
    batch * (readers as u32 + 1) + batch.max(FEWEST_ON_THEIR_WAY)
}

fn local(engine: &EngineName, made: Made, page_limit: Duration) -> Local {
    let lost = CancellationToken::new();
    match made {
        Made::Batches { readers, limits } => {
            let (asks, queue) = mpsc::channel(1);
            let appetite = appetite(limits, readers.len());
            let model = ModelThreads { engine: engine.clone(), readers, page_limit };
            let driver = Box::pin(model.drive(limits, queue, lost.clone()));
            Local { lane: Lane::Local { asks, lost }, driver, appetite }
        }
        Made::Stream { asks, open, slots } => {
            let driver = Box::pin(stream::watch(open, page_limit, lost.clone()));
            // As many as are in flight are looked at ahead of them.
            Local { lane: Lane::Local { asks, lost }, driver, appetite: 2 * slots as u32 }
        }
    }
}

#[cfg(test)]
mod tests {
    use quire_pp_ocr::{BatchPolicy, Provider};

    use super::*;

    #[test]
    fn full_batches_for_all_readers_are_in_hand() {
        let of = |provider| BatchLimits::of(&BatchPolicy::for_provider(provider));
        assert_eq!(appetite(of(Provider::OnnxRuntime), 1), 4, "one is read, one is ready, two are on their way");
        let gpu = BatchLimits { max_cost: 16 * PAGE_PIXELS, ..of(Provider::Cuda) };
        assert_eq!(appetite(gpu, 2), 16 * 4, "two are read, one is ready, one is on its way");
    }
}
