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

use std::sync::Arc;

use anyhow::Context;
use quire_ocr::Engine;
use quire_platform::{Consumer, Home, QueueName};
use quire_tasks::PageMessage;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use batch::{BatchLimits, Batcher};
pub use in_flight::InFlight;
pub use render::Renderer;
pub use settings::Settings;

use crate::{complete::Completer, intake::Intake, read::ModelThread};

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
    /// Reads pages until `shutdown`, then finishes what is in hand. `engine` is made on the thread that will own it;
    /// `ready` is called once it is there.
    ///
    /// # Errors
    /// When the engine cannot be made, when the home fails for good, or when a page is stuck in native code: then the
    /// process must end, since nothing else frees the thread.
    pub async fn run(
        self,
        engine: impl FnOnce() -> anyhow::Result<Engine> + Send + 'static,
        ready: impl FnOnce() + Send,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let Self { home, renderer, settings } = self;
        let model = ModelThread::start(engine, settings.page_limit).await.context("the engine could not start")?;
        ready();
        let consumer = Consumer::<PageMessage>::new(home.queue(QueueName::Pages), settings.longest_lease());
        let intake = Arc::new(Intake::new(home.clone(), settings));
        let completer = Completer::new(home, Arc::clone(&intake), shutdown.clone());
        let (to_render, rendering) = mpsc::channel(1);
        let (to_batch, batching) = mpsc::channel(1);
        let (to_complete, completing) = mpsc::channel(1);
        let limits = model.batch_limits();

        // Each step ends when the one before it has, so that a shutdown of the intake drains them all in order.
        tokio::try_join!(
            intake.run(&consumer, to_render, to_complete.clone(), shutdown),
            render::run(renderer, settings, rendering, to_batch, to_complete.clone(), &completer),
            batch::run(limits, batching, model.handle()),
            model.run(to_complete, &completer),
            completer.run(completing),
        )?;
        Ok(())
    }
}
