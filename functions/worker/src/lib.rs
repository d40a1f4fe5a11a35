//! The worker: takes pages off the queue and reads them.
//!
//! ```text
//! intake ─ render ─ read ──────────────────────────── complete
//! lease    owner    plan → gate → lane, and perhaps   result → table → callback owed → acknowledged, always last
//! permit   thread   the fallback's → verdict
//!
//! lanes, one for each engine                          behind a gate: circuit breaker, statistics
//!   batch ─ model     micro-batches, each on the thread of one reader
//!   stream            pages that come and go, on one thread
//!   remote            a server
//! ```
//!
//! Each step hands an [`InFlight`] page to the next over a channel of one; the lease travels along, and a process that
//! dies anywhere leaves every page it held to be received again. While nobody could read anything, nothing is received.

mod batch;
mod board;
mod canary;
mod complete;
mod engines;
mod figures;
mod gate;
mod in_flight;
mod intake;
mod lane;
mod local;
mod local_engine;
mod model;
mod read;
mod redact;
mod render;
mod review;
mod settings;
pub mod simulate;
mod standing;
mod stream;
mod verdict;

use std::{pin::pin, sync::Arc, time::Duration};

use anyhow::Context;
use quire_platform::{Backend, Consumer, QueueName};
use quire_routes::{Config, EngineEntry};
use quire_tasks::PageMessage;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub use batch::{BatchLimits, Batcher};
pub use in_flight::InFlight;
pub use local_engine::LocalEngine;
pub use render::Renderer;
pub use settings::{Settings, policy_from_env};

use crate::{board::BoardWatch, complete::Completer, engines::Engines, intake::Intake, read::Reader};

/// How long giving back may take, with all its retries: a stop that was asked to end in time must end.
const GIVE_BACK_LIMIT: Duration = Duration::from_secs(5);

/// How a worker came to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Stopped {
    /// Nothing is in hand any more.
    Finished,
    /// What it could not finish in time is given back. The model may still be at work, so the process must end by
    /// `abort`: `exit` would take ONNX Runtime's tables down under a run.
    BrokenOff,
}

/// A worker that is ready to start.
#[derive(Debug)]
pub struct Worker {
    /// Where pages come from and results go.
    pub backend: Backend,
    /// Renders pages; shared by the workers of one process, since pdfium takes one thread at a time.
    pub renderer: Renderer,
    /// How much is in hand at once, and how long.
    pub settings: Settings,
    /// The engines, and the routes through them.
    pub config: Arc<Config>,
    /// What it calls itself on the board: no two that are at work have the same name. Visible ASCII characters.
    pub name: String,
}

impl Worker {
    /// Reads pages until `shutdown`, then finishes what is in hand, and gives back what takes longer than
    /// [`Settings::drain_limit`]. Each of the configuration's local engines is made by `make_engine` on the thread that
    /// will own it; `ready` is called once all are there.
    ///
    /// # Errors
    /// When an engine cannot be made or is another than the configuration says, when the backend fails for good, or when a
    /// page is stuck in native code: then the process must end, since nothing else frees the thread.
    pub async fn run(
        self,
        make_engine: impl Fn(&EngineEntry) -> anyhow::Result<LocalEngine> + Send + Sync + 'static,
        ready: impl FnOnce() + Send,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Stopped> {
        let Self { backend, renderer, settings, config, name } = self;
        let starting = engines::start(config, Arc::new(make_engine), settings.page_limit);
        let Some(started) = shutdown.run_until_cancelled(starting).await else { return Ok(Stopped::BrokenOff) };
        // Held for as long as pages are read: dropped, they end.
        let (engines, _drivers) = started.context("an engine could not start")?;
        let mut board = BoardWatch::new(backend.clone(), Arc::clone(&engines), name);
        // What an operator has paused is not asked even once.
        let Some(()) = shutdown.run_until_cancelled(board.look()).await else { return Ok(Stopped::BrokenOff) };
        ready();
        let stopped = tokio::select! {
            stopped = work(backend, renderer, settings, engines, shutdown) => stopped,
            never = board.run() => match never {},
        };
        board.report_stopped().await;
        stopped
    }
}

async fn work(
    backend: Backend,
    renderer: Renderer,
    settings: Settings,
    engines: Arc<Engines>,
    shutdown: CancellationToken,
) -> anyhow::Result<Stopped> {
    let in_hand = settings.in_hand(engines.appetite());
    let longest_lease = settings.longest_lease(in_hand.pages);
    let consumer = Consumer::<PageMessage>::new(backend.queue(QueueName::Pages), longest_lease);
    // Stops the intake when an engine is lost, too: what is in hand is ended, then the process.
    let stopping = shutdown.child_token();
    let intake = Arc::new(Intake::new(backend.clone(), in_hand, Arc::clone(&engines)));
    let completer = Completer::new(backend.clone(), Arc::clone(&intake), shutdown.clone());
    let reader = Arc::new(Reader::new(backend, engines, completer.clone(), settings));
    let (to_render, rendering) = mpsc::channel(1);
    let (to_read, reading) = mpsc::channel(1);
    let (to_complete, completing) = mpsc::channel(1);
    let pages_out = render::Out { to_read, to_complete: to_complete.clone() };

    // Each step ends when the one before it has, so that a shutdown of the intake drains them all in order.
    let steps = async {
        tokio::try_join!(
            intake.run(&consumer, to_render, to_complete, stopping.clone()),
            render::run(renderer, settings.page_limit, in_hand, rendering, pages_out, &completer),
            read::run(&reader, reading, stopping.clone()),
            completer.run(completing),
        )
    };
    // Kept until what it holds is given back: dropped, a lease only runs out.
    let mut steps = pin!(steps);
    tokio::select! {
        ended = &mut steps => ended.map(|_| Stopped::Finished),
        () = time_is_up(&shutdown, settings.drain_limit) => {
            give_back(&consumer).await;
            Ok(Stopped::BrokenOff)
        }
    }
}

async fn time_is_up(shutdown: &CancellationToken, limit: Duration) {
    shutdown.cancelled().await;
    sleep(limit).await;
}

async fn give_back(consumer: &Consumer<PageMessage>) {
    let given_back = timeout(GIVE_BACK_LIMIT, consumer.release_held()).await;
    match given_back {
        Ok(Ok(pages)) => warn!(pages, "the time for a stop is up: what is not finished is given back to others"),
        Ok(Err(error)) => warn!(%error, "the time for a stop is up: what is not finished comes again later"),
        Err(_) => warn!("the time for a stop is up, and the queue is silent: what is not finished comes again later"),
    }
}
