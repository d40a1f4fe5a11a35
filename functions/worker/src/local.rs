//! Engines in this process. Each has one thread that makes it, owns it and does nothing else; an engine with several
//! readers has one thread per reader.

use std::{pin::Pin, thread, time::Duration};

use anyhow::{Context, anyhow, ensure};
use quire_pp_ocr::Engine;
use quire_routes::EngineEntry;
use quire_tasks::EngineName;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    batch::{BatchLimits, target_pages_in_flight},
    engine_transport::{EngineTransport, PageRequest},
    local_engine::LocalEngine,
    model::{self, BatchJob, ModelThreads},
    stream::{self, OpenPages},
};

/// A local engine that has started.
pub(crate) struct StartedEngine {
    pub(crate) transport: EngineTransport,
    /// Moves pages between the transport and the threads; ends with the transport.
    pub(crate) driver: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// How many pages in flight keep the engine busy.
    pub(crate) target_pages: u32,
}

/// What the thread of a new engine reports.
enum LoadedEngine {
    Batches { readers: Vec<mpsc::Sender<BatchJob>>, limits: BatchLimits },
    Stream { requests: mpsc::Sender<PageRequest>, open_pages: OpenPages, slots: usize },
}

/// Starts the thread and waits until it has made the engine.
///
/// # Errors
/// When the engine cannot be made, or has another name than configured.
pub(crate) async fn start(
    entry: EngineEntry,
    make_engine: impl FnOnce(&EngineEntry) -> anyhow::Result<LocalEngine> + Send + 'static,
    page_timeout: Duration,
) -> anyhow::Result<StartedEngine> {
    let (report, reported) = oneshot::channel();
    let engine = entry.engine.clone();
    let thread = thread::Builder::new().name(format!("engine {}", engine.name));
    thread.spawn(move || match make_engine(&entry).and_then(|made| check_name(made, &entry)) {
        Ok(engine) => run_engine_thread(engine, report, page_timeout),
        // The receiver is dropped when the process is stopping.
        Err(error) => drop(report.send(Err(error))),
    })?;
    let loaded = reported.await.map_err(|_| anyhow!("{engine}: its thread died while it started"))?;
    let loaded = loaded.with_context(|| engine.to_string())?;
    info!(engine.name, engine.version, "engine loaded");
    Ok(connect(&engine, loaded, page_timeout))
}

/// Checks that the engine has the configured name: otherwise results would name the wrong engine.
fn check_name(made: LocalEngine, entry: &EngineEntry) -> anyhow::Result<LocalEngine> {
    let actual = made.name();
    let expected = &entry.engine;
    ensure!(actual == *expected, "the loaded engine is {actual}, but the configuration names it {expected}");
    Ok(made)
}

fn run_engine_thread(
    engine: LocalEngine,
    report: oneshot::Sender<anyhow::Result<LoadedEngine>>,
    page_timeout: Duration,
) {
    match engine {
        LocalEngine::Batches(engine) => {
            let limits = BatchLimits::of(engine.policy());
            match start_reader_threads(engine) {
                Ok((readers, first, queue)) => {
                    let _ = report.send(Ok(LoadedEngine::Batches { readers, limits }));
                    model::run_reader_thread(first, queue);
                }
                Err(error) => drop(report.send(Err(error))),
            }
        }
        LocalEngine::Stream(engine) => {
            let slots = engine.slots();
            // One queued page per slot: a slot that becomes free finds its next page here.
            let (requests, queue) = mpsc::channel(slots);
            let open_pages = OpenPages::default();
            let _ = report.send(Ok(LoadedEngine::Stream { requests, open_pages: open_pages.clone(), slots }));
            stream::run_stream_thread(engine, queue, &open_pages, page_timeout);
        }
    }
}

/// Starts a thread for each reader except one, which stays on this thread and is returned with its queue.
fn start_reader_threads(
    engine: Engine,
) -> anyhow::Result<(Vec<mpsc::Sender<BatchJob>>, Engine, mpsc::Receiver<BatchJob>)> {
    let name = engine.name().name;
    let mut readers = engine.into_readers();
    let first = readers.pop().context("an engine has at least one reader")?;
    let (jobs, first_queue) = mpsc::channel(1);
    let mut all_jobs = vec![jobs];
    for (number, reader) in (2..).zip(readers) {
        let (jobs, queue) = mpsc::channel(1);
        let thread = thread::Builder::new().name(format!("engine {name} {number}"));
        thread.spawn(move || model::run_reader_thread(reader, queue))?;
        all_jobs.push(jobs);
    }
    Ok((all_jobs, first, first_queue))
}

fn connect(engine: &EngineName, loaded: LoadedEngine, page_timeout: Duration) -> StartedEngine {
    let lost = CancellationToken::new();
    match loaded {
        LoadedEngine::Batches { readers, limits } => {
            let (requests, queue) = mpsc::channel(1);
            let target_pages = target_pages_in_flight(limits, readers.len());
            let threads = ModelThreads { engine: engine.clone(), readers, page_timeout };
            let driver = Box::pin(threads.drive(limits, queue, lost.clone()));
            StartedEngine { transport: EngineTransport::Local { requests, lost }, driver, target_pages }
        }
        LoadedEngine::Stream { requests, open_pages, slots } => {
            let driver = Box::pin(stream::watch(open_pages, page_timeout, lost.clone()));
            // One page per slot in flight, and one per slot being prepared.
            let target_pages = 2 * slots as u32;
            StartedEngine { transport: EngineTransport::Local { requests, lost }, driver, target_pages }
        }
    }
}
