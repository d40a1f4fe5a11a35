//! The status of the engines: what operators decided, and what each worker reports.
//!
//! The types are stored as JSON records; [`EngineStatuses`] folds them into one status for each engine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{EngineName, EngineStats, UnixMillis};

/// A worker without a report for this long counts as stopped.
const WORKER_TIMEOUT_MILLIS: i64 = 60_000;

/// The state of a circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// The engine gets pages.
    Closed,
    /// The engine gets no pages until a timeout has passed.
    Open,
    /// The engine gets one page, as a probe.
    HalfOpen,
    /// An operator paused the engine.
    Paused,
}

/// An operator's decision: the reason, the person and the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorNote {
    /// The reason for the decision.
    pub reason: String,
    /// The person or program that decided.
    pub by: String,
    /// The time of the decision.
    pub at: UnixMillis,
}

/// The decisions in force for one engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineControl {
    /// Set while the engine is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<OperatorNote>,
    /// The last request to probe the engine although its breaker is open. Each new note is one probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probed: Option<OperatorNote>,
    /// Set after the engine, as a canary, was rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<OperatorNote>,
    /// The number of the canary trial. Statistics of earlier trials do not count.
    #[serde(default)]
    pub trial: u32,
}

/// The status of one engine in one worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineReport {
    /// The engine.
    pub engine: EngineName,
    /// The worker's name.
    pub worker: String,
    /// The time of the report.
    pub at: UnixMillis,
    /// The state of the worker's circuit breaker.
    pub state: BreakerState,
    /// The failure that opened the breaker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Statistics since the worker or the trial started.
    pub stats: EngineStats,
    /// The trial that the statistics belong to.
    #[serde(default)]
    pub trial: u32,
}

impl EngineReport {
    /// Returns the last report of a worker that stops: its statistics still count, its state does not.
    #[must_use]
    pub fn of_stopped_worker(&self) -> Self {
        Self { at: UnixMillis(self.at.0 - WORKER_TIMEOUT_MILLIS - 1), ..self.clone() }
    }
}

/// A snapshot of the decisions and reports about all engines.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EngineStatuses {
    controls: BTreeMap<EngineName, EngineControl>,
    reports: Vec<EngineReport>,
}

impl EngineStatuses {
    /// Creates a snapshot.
    pub const fn new(controls: BTreeMap<EngineName, EngineControl>, reports: Vec<EngineReport>) -> Self {
        Self { controls, reports }
    }

    /// Returns the decisions about an engine. Default: none.
    pub fn control(&self, engine: &EngineName) -> EngineControl {
        self.controls.get(engine).cloned().unwrap_or_default()
    }

    /// Returns whether the engine was rolled back as a canary.
    pub fn is_rolled_back(&self, engine: &EngineName) -> bool {
        self.controls.get(engine).is_some_and(|control| control.rolled_back.is_some())
    }

    /// Returns the state of an engine over all live workers: open only if it is open in every one of them.
    pub fn state(&self, engine: &EngineName, now: UnixMillis) -> BreakerState {
        if self.is_paused(engine) {
            return BreakerState::Paused;
        }
        let mut states = self.worker_states(engine, now).peekable();
        if states.peek().is_none() || states.any(|state| state == BreakerState::Closed) {
            return BreakerState::Closed;
        }
        let half_open = self.worker_states(engine, now).any(|state| state == BreakerState::HalfOpen);
        if half_open { BreakerState::HalfOpen } else { BreakerState::Open }
    }

    /// Returns the reason why an engine is paused or open.
    pub fn reason(&self, engine: &EngineName, now: UnixMillis) -> Option<&str> {
        if let Some(note) = self.controls.get(engine).and_then(|control| control.paused.as_ref()) {
            return Some(note.reason.as_str());
        }
        self.live_reports(engine, now).find_map(|report| report.reason.as_deref())
    }

    /// Returns the number of live workers with this engine, and the number of those whose breaker is not closed.
    pub fn workers(&self, engine: &EngineName, now: UnixMillis) -> (usize, usize) {
        let not_closed = self.worker_states(engine, now).filter(|&state| state != BreakerState::Closed).count();
        (self.live_reports(engine, now).count(), not_closed)
    }

    /// Returns the statistics of an engine's current trial, summed over all workers.
    pub fn stats(&self, engine: &EngineName) -> EngineStats {
        let trial = self.controls.get(engine).map_or(0, |control| control.trial);
        let reports = self.reports.iter().filter(|report| report.engine == *engine && report.trial == trial);
        reports.fold(EngineStats::default(), |sum, report| sum.plus(report.stats))
    }

    fn is_paused(&self, engine: &EngineName) -> bool {
        self.controls.get(engine).is_some_and(|control| control.paused.is_some())
    }

    fn live_reports(&self, engine: &EngineName, now: UnixMillis) -> impl Iterator<Item = &EngineReport> {
        let since = now.0 - WORKER_TIMEOUT_MILLIS;
        self.reports.iter().filter(move |report| report.engine == *engine && report.at.0 >= since)
    }

    /// Returns the state of an engine in each live worker. A worker that still reports a pause that has ended counts as
    /// closed: it has not read the new decision yet.
    fn worker_states(&self, engine: &EngineName, now: UnixMillis) -> impl Iterator<Item = BreakerState> {
        let is_paused = self.is_paused(engine);
        self.live_reports(engine, now).map(move |report| match report.state {
            BreakerState::Paused if !is_paused => BreakerState::Closed,
            state => state,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine() -> EngineName {
        "a@1".parse().expect("a valid engine name")
    }

    fn report(worker: &str, state: BreakerState, at: UnixMillis) -> EngineReport {
        let mut counted = EngineStats::default();
        counted.answered(Some(0.5), false, 10);
        let reason = (state == BreakerState::Open).then(|| "connection refused".to_owned());
        EngineReport { engine: engine(), worker: worker.to_owned(), at, state, reason, stats: counted, trial: 0 }
    }

    #[test]
    fn an_engine_is_open_if_it_is_open_in_all_live_workers() {
        use BreakerState::{Closed, HalfOpen, Open, Paused};
        let now = UnixMillis(1_000_000);
        let stopped = report("2", Closed, now).of_stopped_worker();
        let state = |reports: Vec<EngineReport>| EngineStatuses::new(BTreeMap::new(), reports).state(&engine(), now);
        assert_eq!(state(vec![]), Closed);
        assert_eq!(state(vec![report("1", Open, now), report("2", Closed, now)]), Closed);
        assert_eq!(state(vec![report("1", Open, now), stopped]), Open);
        assert_eq!(state(vec![report("1", Open, now), report("2", HalfOpen, now)]), HalfOpen);
        assert_eq!(state(vec![report("1", Paused, now)]), Closed, "the pause has ended");
    }

    #[test]
    fn a_pause_overrides_what_workers_report() {
        let now = UnixMillis(1_000_000);
        let note = OperatorNote { reason: "new weights".to_owned(), by: "a test".to_owned(), at: UnixMillis(1) };
        let paused = EngineControl { paused: Some(note), ..EngineControl::default() };
        let statuses = EngineStatuses::new([(engine(), paused)].into(), vec![report("1", BreakerState::Paused, now)]);
        assert_eq!(statuses.state(&engine(), now), BreakerState::Paused);
        assert_eq!(statuses.reason(&engine(), now), Some("new weights"));
        assert_eq!(statuses.workers(&engine(), now), (1, 1));
    }

    #[test]
    fn a_stopped_worker_has_no_state_but_its_statistics_count() {
        let now = UnixMillis(1_000_000);
        let last = report("1", BreakerState::Open, now).of_stopped_worker();
        let statuses = EngineStatuses::new(BTreeMap::new(), vec![last]);
        assert_eq!(statuses.state(&engine(), now), BreakerState::Closed);
        assert_eq!(statuses.workers(&engine(), now), (0, 0));
        assert_eq!(statuses.stats(&engine()).pages, 1);
    }
}
