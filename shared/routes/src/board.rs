//! What operators and workers have written down about engines, where everybody can read it.

use std::collections::BTreeMap;

use quire_platform::{Backend, Collection, Error, Result, retry_with_backoff};
use quire_tasks::{EngineName, UnixMillis};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{BreakerState as State, EngineStats};

/// A worker that has not reported for this long has ended.
const SILENT_AFTER_MILLIS: i64 = 60_000;
/// What a worker has counted is remembered for so long: a canary with few pages is judged by the workers of a day.
const REMEMBERED_MILLIS: i64 = 24 * 60 * 60 * 1000;
/// More engines and workers than anybody has.
const MOST: usize = 10_000;
/// How often a change is tried that others get in the way of.
const TRIES: usize = 10;

/// Who did something to an engine, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorNote {
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When.
    pub at: UnixMillis,
}

/// What is to be done with an engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineControl {
    /// It is not to be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<OperatorNote>,
    /// It is to be tried once although its breaker is open; each time is a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probed: Option<OperatorNote>,
    /// It was on trial, and was worse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<OperatorNote>,
    /// Goes up when it is put on trial again: what was counted before no longer counts.
    #[serde(default)]
    pub trial: u32,
}

/// How an engine does in one worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineReport {
    /// The engine.
    pub engine: EngineName,
    /// The worker.
    pub worker: String,
    /// When it says so.
    pub at: UnixMillis,
    /// Its breaker.
    pub state: State,
    /// What opened it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it has counted since it began, or since the trial began.
    pub stats: EngineStats,
    /// Which trial of the engine it counts for.
    #[serde(default)]
    pub trial: u32,
}

/// All that is written down.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EngineStatuses {
    controls: BTreeMap<EngineName, EngineControl>,
    reports: Vec<EngineReport>,
}

impl EngineStatuses {
    /// A board with this on it.
    pub const fn new(controls: BTreeMap<EngineName, EngineControl>, reports: Vec<EngineReport>) -> Self {
        Self { controls, reports }
    }

    /// Reads it.
    ///
    /// # Errors
    /// Any [`quire_platform::Error`].
    pub async fn read(backend: &Backend) -> Result<Self> {
        let Self { controls, .. } = Self::read_controls(backend).await?;
        let reports = backend.records.list(Collection::Reports, None, MOST).await?;
        Ok(Self::new(controls, reports.iter().filter_map(|record| parse(&record.body).ok()).collect()))
    }

    /// Reads what is to be done with engines, and not how they do: enough for who does it, who looks often.
    ///
    /// # Errors
    /// Any [`quire_platform::Error`].
    pub async fn read_controls(backend: &Backend) -> Result<Self> {
        let controls = backend.records.list(Collection::Engines, None, MOST).await?;
        let controls =
            controls.into_iter().filter_map(|record| Some((record.key.parse().ok()?, parse(&record.body).ok()?)));
        Ok(Self::new(controls.collect(), Vec::new()))
    }

    /// What is to be done with an engine.
    pub fn control(&self, engine: &EngineName) -> EngineControl {
        self.controls.get(engine).cloned().unwrap_or_default()
    }

    /// Whether an engine was on trial and was worse.
    pub fn is_rolled_back(&self, engine: &EngineName) -> bool {
        self.controls.get(engine).is_some_and(|control| control.rolled_back.is_some())
    }

    /// How an engine stands over all workers that are at work: open where it is open in all of them.
    pub fn state(&self, engine: &EngineName, now: UnixMillis) -> State {
        if self.controls.get(engine).is_some_and(|control| control.paused.is_some()) {
            return State::Paused;
        }
        let mut states = self.states(engine, now).peekable();
        if states.peek().is_none() || states.any(|state| state == State::Closed) {
            return State::Closed;
        }
        let half_open = self.states(engine, now).any(|state| state == State::HalfOpen);
        if half_open { State::HalfOpen } else { State::Open }
    }

    /// Why an engine is paused or open.
    pub fn reason(&self, engine: &EngineName, now: UnixMillis) -> Option<&str> {
        let paused = self.controls.get(engine).and_then(|control| control.paused.as_ref());
        let opened = || self.live(engine, now).find_map(|report| report.reason.as_deref());
        paused.map(|note| note.reason.as_str()).or_else(opened)
    }

    /// How many workers that are at work have an engine, and in how many of them its breaker is not closed.
    pub fn workers(&self, engine: &EngineName, now: UnixMillis) -> (usize, usize) {
        let open = self.states(engine, now).filter(|&state| state != State::Closed).count();
        (self.live(engine, now).count(), open)
    }

    /// What all workers have counted in an engine's present trial.
    pub fn stats(&self, engine: &EngineName) -> EngineStats {
        let trial = self.controls.get(engine).map_or(0, |control| control.trial);
        let counted = self.reports.iter().filter(|report| report.engine == *engine && report.trial == trial);
        counted.fold(EngineStats::default(), |sum, report| sum.plus(report.stats))
    }

    fn live(&self, engine: &EngineName, now: UnixMillis) -> impl Iterator<Item = &EngineReport> {
        let since = now.0 - SILENT_AFTER_MILLIS;
        self.reports.iter().filter(move |report| report.engine == *engine && report.at.0 >= since)
    }

    /// How an engine stands in each worker that is at work. One that still says that it is paused has not heard yet that
    /// the pause is over.
    fn states(&self, engine: &EngineName, now: UnixMillis) -> impl Iterator<Item = State> {
        let is_paused = self.controls.get(engine).is_some_and(|control| control.paused.is_some());
        let resumed = move |report: &EngineReport| !is_paused && report.state == State::Paused;
        self.live(engine, now).map(move |report| if resumed(report) { State::Closed } else { report.state })
    }
}

/// Writes down how an engine does in one worker.
///
/// # Errors
/// Any [`quire_platform::Error`].
pub async fn report(backend: &Backend, report: &EngineReport) -> Result<()> {
    let expires_at = UnixMillis(report.at.0 + REMEMBERED_MILLIS);
    backend
        .records
        .set(Collection::Reports, &key(&report.engine, &report.worker), written(report)?, Some(expires_at))
        .await
}

/// Says that a worker has ended as it should: what it counted is remembered, and nothing is waited for.
///
/// # Errors
/// Any [`quire_platform::Error`].
pub async fn drop_out(backend: &Backend, last: &EngineReport) -> Result<()> {
    let silent = UnixMillis(last.at.0 - SILENT_AFTER_MILLIS - 1);
    report(backend, &EngineReport { at: silent, ..last.clone() }).await
}

/// Has nobody ask an engine until it is resumed.
///
/// # Errors
/// Any [`quire_platform::Error`].
pub async fn pause(backend: &Backend, engine: &EngineName, note: OperatorNote) -> Result<()> {
    change(backend, engine, |control| control.paused = Some(note.clone())).await
}

/// Ends a pause.
///
/// # Errors
/// Any [`quire_platform::Error`].
pub async fn resume(backend: &Backend, engine: &EngineName) -> Result<()> {
    change(backend, engine, |control| control.paused = None).await
}

/// Has every worker whose breaker is open try one page now.
///
/// # Errors
/// Any [`quire_platform::Error`].
pub async fn probe(backend: &Backend, engine: &EngineName, note: OperatorNote) -> Result<()> {
    change(backend, engine, |control| control.probed = Some(note.clone())).await
}

/// Ends a canary's trial: no further task gets it. Of several who say so the first one's reason stays.
///
/// # Errors
/// Any [`quire_platform::Error`].
pub async fn roll_back(backend: &Backend, engine: &EngineName, note: OperatorNote) -> Result<bool> {
    let mut first = false;
    change(backend, engine, |control| {
        first = control.rolled_back.is_none();
        control.rolled_back.get_or_insert_with(|| note.clone());
    })
    .await?;
    Ok(first)
}

/// Puts a canary on trial again, from nothing.
///
/// # Errors
/// Any [`quire_platform::Error`].
pub async fn reinstate(backend: &Backend, engine: &EngineName) -> Result<()> {
    change(backend, engine, |control| {
        control.rolled_back = None;
        control.trial += 1;
    })
    .await
}

async fn change(backend: &Backend, engine: &EngineName, mut change: impl FnMut(&mut EngineControl)) -> Result<()> {
    let name = engine.to_string();
    for _ in 0..TRIES {
        let record = retry_with_backoff(|| backend.records.read(Collection::Engines, &name)).await?;
        let mut control: EngineControl =
            record.as_ref().map(|record| parse(&record.body)).transpose()?.unwrap_or_default();
        change(&mut control);
        let (body, seen) = (written(&control)?, record.map(|record| record.version));
        if retry_with_backoff(|| backend.records.put(Collection::Engines, &name, body.clone(), seen, None)).await? {
            return Ok(());
        }
    }
    Err(Error::Busy { what: "an engine's record", why: "others keep changing it".to_owned() })
}

fn key(engine: &EngineName, worker: &str) -> String {
    format!("{engine}/{worker}")
}

fn parse<T: DeserializeOwned>(body: &str) -> Result<T> {
    serde_json::from_str(body).map_err(|error| Error::Failed { what: "an engine's record", why: error.to_string() })
}

fn written<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Failed { what: "an engine's record", why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use quire_platform::Embedded;

    use super::*;

    fn engine() -> EngineName {
        "a@1".parse().expect("a name")
    }

    fn note(reason: &str) -> OperatorNote {
        OperatorNote { reason: reason.to_owned(), by: "a test".to_owned(), at: UnixMillis(1) }
    }

    /// As of now, by the clock that the backend goes by.
    fn said(worker: &str, state: State, at: UnixMillis) -> EngineReport {
        let mut counted = EngineStats::default();
        counted.answered(Some(0.5), false, 10);
        let reason = (state == State::Open).then(|| "connection refused".to_owned());
        EngineReport { engine: engine(), worker: worker.to_owned(), at, state, reason, stats: counted, trial: 0 }
    }

    fn now() -> UnixMillis {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        UnixMillis(since.as_millis() as i64)
    }

    fn backend() -> (Backend, tempfile::TempDir) {
        let dir = tempfile::tempdir().expect("a folder");
        (Embedded::open(dir.path(), "board").expect("open the backend").backend(), dir)
    }

    #[test]
    fn an_engine_is_open_where_it_is_open_in_all_workers_that_are_at_work() {
        let now = UnixMillis(1_000_000);
        let silent = UnixMillis(now.0 - SILENT_AFTER_MILLIS - 1);
        let state = |reports: Vec<EngineReport>| EngineStatuses::new(BTreeMap::new(), reports).state(&engine(), now);
        assert_eq!(state(vec![]), State::Closed);
        assert_eq!(state(vec![said("1", State::Open, now), said("2", State::Closed, now)]), State::Closed);
        assert_eq!(state(vec![said("1", State::Open, now), said("2", State::Closed, silent)]), State::Open);
        assert_eq!(state(vec![said("1", State::Open, now), said("2", State::HalfOpen, now)]), State::HalfOpen);
        assert_eq!(state(vec![said("1", State::Paused, now)]), State::Closed, "the pause is over");
        let paused = EngineControl { paused: Some(note("new weights")), ..EngineControl::default() };
        let board = EngineStatuses::new([(engine(), paused)].into(), vec![said("1", State::Paused, now)]);
        assert_eq!((board.state(&engine(), now), board.workers(&engine(), now)), (State::Paused, (1, 1)));
    }

    #[tokio::test]
    async fn what_operators_say_is_on_the_board() {
        let (backend, _dir) = backend();
        pause(&backend, &engine(), note("new weights")).await.expect("paused");
        let board = EngineStatuses::read(&backend).await.expect("a board");
        assert_eq!(
            (board.state(&engine(), now()), board.reason(&engine(), now())),
            (State::Paused, Some("new weights"))
        );
        resume(&backend, &engine()).await.expect("resumed");
        probe(&backend, &engine(), note("is it back?")).await.expect("probed");
        assert!(roll_back(&backend, &engine(), note("worse")).await.expect("rolled back"));
        assert!(!roll_back(&backend, &engine(), note("worse still")).await.expect("was rolled back before"));
        let control = EngineStatuses::read(&backend).await.expect("a board").control(&engine());
        let expected = EngineControl {
            probed: Some(note("is it back?")),
            rolled_back: Some(note("worse")),
            ..EngineControl::default()
        };
        assert_eq!(control, expected);
    }

    #[tokio::test]
    async fn what_was_counted_before_a_new_trial_no_longer_counts() {
        let (backend, _dir) = backend();
        report(&backend, &said("1", State::Closed, now())).await.expect("reported");
        report(&backend, &said("2", State::Closed, now())).await.expect("reported");
        assert_eq!(EngineStatuses::read(&backend).await.expect("a board").stats(&engine()).pages, 2);
        roll_back(&backend, &engine(), note("worse")).await.expect("rolled back");
        reinstate(&backend, &engine()).await.expect("reinstated");
        let board = EngineStatuses::read(&backend).await.expect("a board");
        assert_eq!((board.stats(&engine()).pages, board.is_rolled_back(&engine())), (0, false));
    }

    #[tokio::test]
    async fn a_worker_that_has_ended_is_not_waited_for_and_what_it_counted_stays() {
        let (backend, _dir) = backend();
        drop_out(&backend, &said("1", State::Open, now())).await.expect("reported");
        let board = EngineStatuses::read(&backend).await.expect("a board");
        assert_eq!((board.state(&engine(), now()), board.workers(&engine(), now())), (State::Closed, (0, 0)));
        assert_eq!(board.stats(&engine()).pages, 1);
    }
}
