//! The board, where operators say what is to be done with engines, and workers how they do.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) use quire_platform::now;
use quire_platform::{
    Backend,
    engine_status::{self, report, report_stopped, roll_back},
};
use quire_routes::Route;
use quire_tasks::{BreakerState, EngineName, EngineStatuses, OperatorNote};
use quire_telemetry::metrics;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::engines::Engines;

/// How often it is looked at: a small listing, so that a pause takes effect while the operator still looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often a worker says how its engines do, besides at every change: well within what makes it silent.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// How long the last word may take: a stop that was asked to end in time must end.
const LAST_WORD_LIMIT: Duration = Duration::from_secs(5);
/// Who rolls canaries back.
const JUDGE: &str = "canary judge";

/// Reads the board for this worker's engines and writes on it.
#[derive(Debug)]
pub(crate) struct BoardWatch {
    backend: Backend,
    engines: Arc<Engines>,
    worker: String,
    /// What was written last, and when.
    said: Option<(Vec<BreakerState>, Instant)>,
    /// Whether it could not be read the last time: that is logged once.
    unreadable: bool,
}

impl BoardWatch {
    pub(crate) const fn new(backend: Backend, engines: Arc<Engines>, worker: String) -> Self {
        Self { backend, engines, worker, said: None, unreadable: false }
    }

    /// Looks at it and writes on it for as long as pages are read.
    pub(crate) async fn run(&mut self) -> Infallible {
        let mut changes = self.engines.changes();
        loop {
            if self.is_news() {
                self.say().await;
            }
            tokio::select! {
                () = sleep(LOOK_EVERY) => self.look().await,
                heard = changes.changed() => heard.unwrap_or(()),
            }
        }
    }

    /// Does what it says. A worker that cannot read it goes on as before.
    pub(crate) async fn look(&mut self) {
        match engine_status::read_controls(&self.backend).await {
            Ok(board) => {
                for (engine, gate) in self.engines.gates() {
                    gate.follow(&board.control(engine));
                }
                self.unreadable = false;
            }
            Err(error) if self.unreadable => debug!(%error, "the board can still not be read"),
            Err(error) => {
                warn!(%error, "the board cannot be read: nobody's word about engines is heard");
                self.unreadable = true;
            }
        }
    }

    fn is_news(&self) -> bool {
        let Some((states, at)) = &self.said else { return true };
        at.elapsed() >= REPORT_EVERY || *states != self.engines.states()
    }

    /// Says how the engines do, and judges canaries by what all say.
    async fn say(&mut self) {
        self.said = Some((self.engines.states(), Instant::now()));
        for last in self.engines.reports(&self.worker, now()) {
            if let Err(error) = report(&self.backend, &last).await {
                return warn!(%error, "how the engines do could not be reported");
            }
        }
        if self.engines.config().routes.iter().any(|route| route.canary.is_some())
            && let Err(error) = self.judge().await
        {
            warn!(%error, "a canary could not be judged");
        }
    }

    async fn judge(&self) -> quire_platform::Result<()> {
        let board = engine_status::read(&self.backend).await?;
        for route in &self.engines.config().routes {
            if let Some((canary, reason)) = self.condemned(route, &board) {
                let note = OperatorNote { reason: reason.clone(), by: JUDGE.to_owned(), at: now() };
                if roll_back(&self.backend, canary, note).await? {
                    metrics::count("CanaryRolledBack", 1);
                    warn!(
                        engine.name = canary.name,
                        engine.version = canary.version,
                        reason,
                        "a canary is rolled back"
                    );
                }
            }
        }
        Ok(())
    }

    fn condemned<'a>(&self, route: &'a Route, board: &EngineStatuses) -> Option<(&'a EngineName, String)> {
        let canary = &route.canary.as_ref()?.engine;
        if board.is_rolled_back(canary) {
            return None;
        }
        let limits = self.engines.config().canary;
        Some((canary, limits.verdict(&board.stats(&route.primary), &board.stats(canary))?))
    }

    /// Says that this worker has ended: nobody waits for it, and what it has counted stays.
    pub(crate) async fn report_stopped(&self) {
        let words = async {
            for last in self.engines.reports(&self.worker, now()) {
                report_stopped(&self.backend, &last).await?;
            }
            Ok::<_, quire_platform::Error>(())
        };
        if !matches!(timeout(LAST_WORD_LIMIT, words).await, Ok(Ok(()))) {
            warn!("the board does not know that this worker has ended, and will find out in a minute");
        }
    }
}
