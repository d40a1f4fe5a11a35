//! The worker: receives pages from the queue, reads them in micro-batches and stores the results.
//!
//! ```text
//! intake ──── render ──── read ─────────────────────────── complete
//! lease       sandboxed   plan → engine guard → transport,  result → table → callback → acknowledge,
//! permits     child       and the fallback → decision       always in this order
//!
//! transports, one per engine                                each behind a guard: circuit breaker, statistics
//!   batches   micro-batches, one thread per model reader
//!   stream    pages join and leave at any step, one thread
//!   remote    an HTTP server
//!   program   a process for each page
//! ```
//!
//! Each step passes an [`InFlight`] page to the next over a channel of one, which is the backpressure. The lease
//! travels with the page: when the process dies at any point, the visibility timeout returns every page to the queue.
//! While no engine accepts pages, nothing is received.

mod batch;
mod batch_metrics;
mod canary;
mod cancellation;
mod complete;
mod engine_guard;
mod engine_status;
mod engine_transport;
mod engines;
mod in_flight;
mod intake;
mod layout;
mod local;
mod local_engine;
mod model;
mod outcome;
mod read;
mod redact;
mod render;
mod render_budget;
mod review;
mod scripts;
mod settings;
mod stream;
mod suspects;

use std::{
    pin::pin,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use anyhow::Context;
use quire_fair_share::pool_size;
use quire_platform::{Backend, Consumer, QueueName};
use quire_routes::{Config, EngineEntry};
use quire_sandbox::Sandbox;
use quire_tasks::PageMessage;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub use batch::{BatchDue, BatchLimits, Batcher, target_pages_in_flight};
pub use in_flight::InFlight;
pub use local_engine::LocalEngine;
pub use settings::{WorkerSettings, policy_from_env};

use crate::{
    complete::Completer, engine_status::EngineStatusSync, engines::Engines, intake::Intake, read::PageReadStep,
    render::RenderStep,
};

/// Timeout for releasing all leases during a shutdown, retries included: the shutdown itself must end in time.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// How a worker stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum WorkerExit {
    /// A graceful shutdown: no page is in flight.
    Drained,
    /// The drain timeout has passed, and the remaining leases are released. The model may still be running, so the
    /// process must end with `abort`: `exit` would unload ONNX Runtime during a run.
    Interrupted,
}

/// A worker that is ready to start.
#[derive(Debug, Clone)]
pub struct Worker {
    /// The queues, the stores and the task table.
    pub backend: Backend,
    /// Renders pages in child processes. Shared by all workers of a process.
    pub sandbox: Sandbox,
    /// Limits and timeouts.
    pub settings: WorkerSettings,
    /// The engines and the routes through them.
    pub config: Arc<Config>,
    /// The name in engine reports: unique among running workers, visible ASCII characters only.
    pub name: String,
}

impl Worker {
    /// Reads pages until `shutdown`, then finishes the pages in flight. Pages that are not finished within
    /// [`WorkerSettings::drain_timeout`] are released to other workers. Each local engine of the configuration is made
    /// by `make_engine` on the thread that will own it; `ready` is called once all engines have started.
    ///
    /// # Errors
    /// When an engine cannot start or has another name than configured, when the backend fails permanently, or when a
    /// page is stuck in native code: then the process must end, since nothing else frees the thread.
    pub async fn run(
        self,
        make_engine: impl Fn(&EngineEntry) -> anyhow::Result<LocalEngine> + Send + Sync + 'static,
        ready: impl FnOnce() + Send,
        shutdown: CancellationToken,
    ) -> anyhow::Result<WorkerExit> {
        let Self { backend, sandbox, settings, config, name } = self;
        let starting = engines::start(config, Arc::new(make_engine), settings.page_timeout);
        let Some(started) = shutdown.run_until_cancelled(starting).await else { return Ok(WorkerExit::Interrupted) };
        // The drivers stop when they are dropped, so they must live as long as pages are read.
        let (engines, _drivers) = started.context("an engine could not start")?;
        let mut status_sync = EngineStatusSync::new(backend.clone(), Arc::clone(&engines), name);
        // Before the first page, so that a paused engine does not receive even one.
        let Some(()) = shutdown.run_until_cancelled(status_sync.apply_controls()).await else {
            return Ok(WorkerExit::Interrupted);
        };
        ready();
        let stopped = tokio::select! {
            stopped = run_pipeline(backend, sandbox, settings, engines, shutdown) => stopped,
            never = status_sync.run() => match never {},
        };
        status_sync.report_exit().await;
        stopped
    }
}

async fn run_pipeline(
    backend: Backend,
    sandbox: Sandbox,
    settings: WorkerSettings,
    engines: Arc<Engines>,
    shutdown: CancellationToken,
) -> anyhow::Result<WorkerExit> {
    let limits = settings.in_flight_limits(engines.target_pages());
    let max_lease = settings.max_lease(pool_size(limits.pages as usize) as u32);
    let consumer = Consumer::<PageMessage>::new(backend.queue(QueueName::Pages), max_lease);
    // Also canceled when an engine is lost: the pages in flight are finished, then the process ends.
    let stopping = shutdown.child_token();
    let pages_completed = Arc::new(AtomicU64::new(0));
    let intake = Intake::new(backend.clone(), limits, Arc::clone(&engines), Arc::clone(&pages_completed));
    let completer = Completer::new(backend.clone(), pages_completed, shutdown.clone());
    let reader = Arc::new(PageReadStep::new(backend.clone(), engines, completer.clone(), settings));
    let (to_render, rendering) = mpsc::channel(1);
    let (to_read, reading) = mpsc::channel(1);
    let (to_complete, completing) = mpsc::channel(1);
    let render_outputs = render::RenderOutputs { to_read, to_complete: to_complete.clone() };
    let render_step = RenderStep::new(backend, sandbox, limits, render_outputs, completer.clone());

    // Each step ends once the step before it has ended, so a shutdown of the intake drains all of them in order.
    let steps = async {
        tokio::try_join!(
            intake.run(&consumer, to_render, to_complete, stopping.clone()),
            render_step.run(rendering),
            read::run(&reader, reading, stopping.clone()),
            completer.run(completing),
        )
    };
    // Not dropped before the leases are released: a dropped lease only expires.
    let mut steps = pin!(steps);
    tokio::select! {
        ended = &mut steps => {
            // The pages in flight of a worker that fails must not wait until their leases expire.
            if ended.is_err() {
                release_leases(&consumer, "the worker failed").await;
            }
            ended.map(|_| WorkerExit::Drained)
        }
        () = drain_timeout(&shutdown, settings.drain_timeout) => {
            release_leases(&consumer, "drain timeout").await;
            Ok(WorkerExit::Interrupted)
        }
    }
}

async fn drain_timeout(shutdown: &CancellationToken, limit: Duration) {
    shutdown.cancelled().await;
    sleep(limit).await;
}

/// Releases the messages that the consumer still holds. `why` is for the log.
async fn release_leases(consumer: &Consumer<PageMessage>, why: &'static str) {
    match timeout(RELEASE_TIMEOUT, consumer.release_held()).await {
        Ok(Ok(pages)) => warn!(pages, why, "the unfinished pages are released to other workers"),
        Ok(Err(error)) => warn!(%error, why, "the unfinished pages return when their leases expire"),
        Err(_) => {
            warn!(why, "the queue does not respond: the unfinished pages return when their leases expire");
        }
    }
}
