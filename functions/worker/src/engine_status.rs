//! Keeps this worker and the engine status store in sync: applies the operators' decisions, reports how the engines do,
//! and rolls back canaries.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use quire_platform::{
    Backend,
    engine_status::{self, report, report_stopped, roll_back},
    now,
};
use quire_routes::Route;
use quire_tasks::{BreakerState, EngineName, EngineStatuses, OperatorNote};
use quire_telemetry::metrics;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::engines::Engines;

/// Poll interval for the operators' decisions. The read is a small listing, and a pause should take effect at once.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Report interval while nothing changes; every change of a breaker is reported at once. Well within the minute after
/// which a worker without reports counts as stopped.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// Timeout for the last report: a graceful shutdown must end in time.
const EXIT_REPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// The author of automatic rollbacks.
const CANARY_JUDGE: &str = "canary judge";

/// Polls the engine status store and reports to it.
#[derive(Debug)]
pub(crate) struct EngineStatusSync {
    backend: Backend,
    engines: Arc<Engines>,
    worker: String,
    /// The breaker states of the last report, and its time.
    last_report: Option<(Vec<BreakerState>, Instant)>,
    /// Whether the last read failed: only the first failure in a row is logged as a warning.
    is_unreadable: bool,
}

impl EngineStatusSync {
    pub(crate) const fn new(backend: Backend, engines: Arc<Engines>, worker: String) -> Self {
        Self { backend, engines, worker, last_report: None, is_unreadable: false }
    }

    /// Polls and reports until it is dropped.
    pub(crate) async fn run(&mut self) -> Infallible {
        let mut changes = self.engines.changes();
        loop {
            if self.is_report_due() {
                self.report().await;
            }
            tokio::select! {
                () = sleep(POLL_INTERVAL) => self.apply_controls().await,
                changed = changes.changed() => changed.unwrap_or(()),
            }
        }
    }

    /// Reads and applies the operators' decisions. If they cannot be read, the last known ones stay in force.
    pub(crate) async fn apply_controls(&mut self) {
        match engine_status::read_controls(&self.backend).await {
            Ok(statuses) => {
                for (engine, guard) in self.engines.guards() {
                    guard.apply_control(&statuses.control(engine));
                }
                self.is_unreadable = false;
            }
            Err(error) if self.is_unreadable => debug!(%error, "still cannot read engine status"),
            Err(error) => {
                warn!(%error, "cannot read engine status; using the last known state");
                self.is_unreadable = true;
            }
        }
    }

    fn is_report_due(&self) -> bool {
        let Some((states, at)) = &self.last_report else { return true };
        at.elapsed() >= REPORT_INTERVAL || *states != self.engines.breaker_states()
    }

    /// Reports every engine, then judges the canaries by the reports of all workers.
    async fn report(&mut self) {
        self.last_report = Some((self.engines.breaker_states(), Instant::now()));
        for engine_report in self.engines.reports(&self.worker, now()) {
            if let Err(error) = report(&self.backend, &engine_report).await {
                return warn!(%error, "cannot report engine status; it is reported again");
            }
        }
        if self.engines.config().routes.iter().any(|route| route.canary.is_some())
            && let Err(error) = self.judge_canaries().await
        {
            warn!(%error, "cannot judge a canary; it is judged again after the next report");
        }
    }

    async fn judge_canaries(&self) -> quire_platform::Result<()> {
        let statuses = engine_status::read(&self.backend).await?;
        for route in &self.engines.config().routes {
            let Some((canary, reason)) = self.find_worse_canary(route, &statuses) else { continue };
            let note = OperatorNote { reason: reason.clone(), by: CANARY_JUDGE.to_owned(), at: now() };
            if roll_back(&self.backend, canary, note).await? {
                metrics::count("CanaryRolledBack", 1);
                warn!(engine.name = canary.name, engine.version = canary.version, reason, "canary rolled back");
            }
        }
        Ok(())
    }

    /// Returns the route's canary with the reason for a rollback, if it does worse than the primary.
    fn find_worse_canary<'a>(&self, route: &'a Route, statuses: &EngineStatuses) -> Option<(&'a EngineName, String)> {
        let canary = &route.canary.as_ref()?.engine;
        if statuses.is_rolled_back(canary) {
            return None;
        }
        let limits = self.engines.config().canary;
        let reason = limits.rollback_reason(&statuses.stats(&route.primary), &statuses.stats(canary))?;
        Some((canary, reason))
    }

    /// Reports that this worker has stopped: its state no longer counts, its statistics still do.
    pub(crate) async fn report_exit(&self) {
        let reports = async {
            for last_report in self.engines.reports(&self.worker, now()) {
                report_stopped(&self.backend, &last_report).await?;
            }
            Ok::<_, quire_platform::Error>(())
        };
        if !matches!(timeout(EXIT_REPORT_TIMEOUT, reports).await, Ok(Ok(()))) {
            warn!("cannot report that this worker has stopped; it counts as running for another minute");
        }
    }
}
