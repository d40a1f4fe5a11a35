//! The worker: takes pages off the queue and reads them.
//!
//! ```text
//! intake ─ render ─ batch ─ read ─ complete
//! lease    owner    ≤wait   model   result → table → callback owed → acknowledged, always last
//! permit   thread   ≤cost   thread
//! ```
//!
//! Each step hands an [`InFlight`] page to the next over a channel of one; the lease travels along, and a process that
//! dies anywhere leaves every page it held to be received again.

mod batch;
mod complete;
mod in_flight;
mod intake;
mod read;
mod render;
mod settings;

use std::{pin::pin, sync::Arc, time::Duration};

use anyhow::Context;
use quire_ocr::Engine;
use quire_platform::{Consumer, Home, QueueName};
use quire_tasks::PageMessage;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub use batch::{BatchLimits, Batcher};
pub use in_flight::InFlight;
pub use render::Renderer;
pub use settings::Settings;

use crate::{complete::Completer, intake::Intake, read::ModelThread};

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
    pub home: Home,
    /// Renders pages; shared by the workers of one process, since pdfium takes one thread at a time.
    pub renderer: Renderer,
    /// How much is in hand at once, and how long.
    pub settings: Settings,
}

impl Worker {
    /// Reads pages until `shutdown`, then finishes what is in hand, and gives back what takes longer than
    /// [`Settings::drain_limit`]. `engine` is made on the thread that will own it; `ready` is called once it is there.
    ///
    /// # Errors
    /// When the engine cannot be made, when the home fails for good, or when a page is stuck in native code: then the
    /// process must end, since nothing else frees the thread.
    pub async fn run(
        self,
        engine: impl FnOnce() -> anyhow::Result<Engine> + Send + 'static,
        ready: impl FnOnce() + Send,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Stopped> {
        let starting = ModelThread::start(engine, self.settings.page_limit);
        let Some(model) = shutdown.run_until_cancelled(starting).await else { return Ok(Stopped::BrokenOff) };
        let model = model.context("the engine could not start")?;
        ready();
        let Self { home, renderer, settings } = self;
        let consumer = Consumer::<PageMessage>::new(home.queue(QueueName::Pages), settings.longest_lease());
        let intake = Arc::new(Intake::new(home.clone(), settings));
        let completer = Completer::new(home, Arc::clone(&intake), shutdown.clone());
        let (to_render, rendering) = mpsc::channel(1);
        let (to_batch, batching) = mpsc::channel(1);
        let (to_complete, completing) = mpsc::channel(1);
        let limits = model.batch_limits();

        // Each step ends when the one before it has, so that a shutdown of the intake drains them all in order.
        let steps = async {
            tokio::try_join!(
                intake.run(&consumer, to_render, to_complete.clone(), shutdown.clone()),
                render::run(renderer, settings, rendering, to_batch, to_complete.clone(), &completer),
                batch::run(limits, batching, model.handle()),
                model.run(to_complete, &completer),
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
