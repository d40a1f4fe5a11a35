//! Which engine a task gets, and which a page is asked of.

use quire_tasks::{BreakerState, EngineName, EngineStatuses, Mode, ModeName, ReadAs, TaskId, UnixMillis};
use sha2::{Digest, Sha256};

use crate::{Canary, Config, EngineEntry, Route};

/// Why something cannot be read here. Decision: refuse the request; of a page that was accepted before, fail it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOffered {
    /// No engine reads in this mode.
    #[error("no engine here reads in the mode {mode}; there are {}", list(offered))]
    Mode {
        /// What was asked for.
        mode: ModeName,
        /// What there is.
        offered: Vec<ModeName>,
    },
    /// There is no such engine.
    #[error("there is no engine {wanted} here; there are {}", list(known))]
    Engine {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: Vec<EngineName>,
    },
    /// The engine does not read in this mode.
    #[error("{engine} does not read in the mode {mode}; it reads in {}", list(offered))]
    ModeOfEngine {
        /// Who was asked for.
        engine: EngineName,
        /// What was asked for.
        mode: ModeName,
        /// What it can do.
        offered: Vec<ModeName>,
    },
}

impl NotOffered {
    /// The part of the request that is at fault: `mode` or `engine`.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Mode { .. } | Self::ModeOfEngine { .. } => "mode",
            Self::Engine { .. } => "engine",
        }
    }
}

fn list<T: ToString>(all: &[T]) -> String {
    all.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// Whom a page is asked of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan<'a> {
    /// Who is asked first.
    pub first: &'a EngineEntry,
    /// Who is asked when the first does not answer, or is less sure than [`Plan::fallback_below`].
    pub fallback: Option<&'a EngineEntry>,
    /// How sure the first must be for its answer to stand.
    pub fallback_below: f32,
    /// How sure the answer must be for nobody to look at it.
    pub review_below: f32,
    /// Whether the first is on trial.
    pub is_canary: bool,
}

/// Why a task waits, where it is not only for its turn.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct WaitingReason {
    /// `engine_paused` or `engine_unavailable`.
    pub code: &'static str,
    /// Which engine, since when, and why.
    pub detail: String,
}

impl Config {
    /// How a new task is to be read: by the engine that its customer wants, or else by the one of its mode's route, which
    /// is the canary for a share of the tasks. The same task gets the same engine, whoever asks.
    ///
    /// # Errors
    /// [`NotOffered`] when there is nobody who could.
    pub fn assign(
        &self,
        task: TaskId,
        mode: Mode,
        wanted: Option<&str>,
        board: &EngineStatuses,
    ) -> Result<ReadAs, NotOffered> {
        if let Some(wanted) = wanted {
            let entry = self.named(wanted)?;
            check_mode(entry, mode.name())?;
            return Ok(ReadAs { mode, engine: Some(entry.engine.clone()), pinned: true });
        }
        let route = self.routed(mode.name())?;
        let canary = route.canary.as_ref().filter(|canary| canary.takes(task) && !board.is_rolled_back(&canary.engine));
        let engine = canary.map_or(&route.primary, |canary| &canary.engine).clone();
        Ok(ReadAs { mode, engine: Some(engine), pinned: false })
    }

    /// Whom a page is asked of. An engine that was assigned and is no longer there is replaced by the route's, unless the
    /// customer has named it.
    ///
    /// A canary's pages have the same fallback as the others, so that it is judged by the same rules; without one, what
    /// it cannot read is read by the engine that it is to replace.
    ///
    /// # Errors
    /// [`NotOffered`] when there is nobody who could.
    pub fn plan(&self, read_as: &ReadAs) -> Result<Plan<'_>, NotOffered> {
        let mode = read_as.mode.name();
        let assigned = read_as.engine.as_ref().and_then(|engine| self.engines.get(engine));
        if let (None, true, Some(engine)) = (assigned, read_as.pinned, &read_as.engine) {
            return Err(self.unknown(&engine.to_string()));
        }
        let (fallback, is_canary) = (None, false);
        if let (Some(first), true) = (assigned, read_as.pinned) {
            check_mode(first, mode)?;
            let review_below = self.route(mode).map_or(0.0, |route| route.review_below);
            return Ok(Plan { first, fallback, fallback_below: 0.0, review_below, is_canary });
        }
        let route = self.routed(mode)?;
        let primary = &self.engines[&route.primary];
        let first = assigned.filter(|entry| entry.modes.contains(&mode)).unwrap_or(primary);
        let stable = (first.engine != primary.engine).then_some(primary);
        let fallback = route.fallback.as_ref().map(|engine| &self.engines[engine]);
        let fallback_below = if fallback.is_some() { route.fallback_below } else { 0.0 };
        let fallback = fallback.filter(|entry| entry.engine != first.engine).or(stable);
        let is_canary = route.canary.as_ref().is_some_and(|canary| canary.engine == first.engine);
        Ok(Plan { first, fallback, fallback_below, review_below: route.review_below, is_canary })
    }

    /// Why a task that is read like this waits, if there is a reason beyond its turn.
    pub fn waiting_reason(&self, read_as: &ReadAs, board: &EngineStatuses, now: UnixMillis) -> Option<WaitingReason> {
        let plan = self.plan(read_as).ok()?;
        // Half-open, all pages but one wait still, for as long as that one takes.
        let blocked = |entry: &EngineEntry| board.state(&entry.engine, now) != BreakerState::Closed;
        if !blocked(plan.first) || plan.fallback.is_some_and(|fallback| !blocked(fallback)) {
            return None;
        }
        let engine = &plan.first.engine;
        if board.state(engine, now) == BreakerState::Paused {
            let why = board.reason(engine, now).unwrap_or_default();
            return Some(WaitingReason { code: "engine_paused", detail: format!("{engine} is paused: {why}") });
        }
        // What opened a breaker names servers, which are not the customers' business.
        let detail = format!("{engine} does not answer; it is tried again and again");
        Some(WaitingReason { code: "engine_unavailable", detail })
    }

    fn routed(&self, mode: ModeName) -> Result<&Route, NotOffered> {
        let offered = || self.modes().into_iter().collect();
        self.route(mode).ok_or_else(|| NotOffered::Mode { mode, offered: offered() })
    }

    /// The engine that somebody names, with its version or, where there is only one, without.
    ///
    /// # Errors
    /// [`NotOffered::Engine`] says what there is.
    pub fn named(&self, wanted: &str) -> Result<&EngineEntry, NotOffered> {
        let mut named = self.engines.values().filter(|entry| match wanted.split_once('@') {
            Some(_) => entry.engine.to_string() == wanted,
            None => entry.engine.name == wanted,
        });
        match (named.next(), named.next()) {
            (Some(entry), None) => Ok(entry),
            _ => Err(self.unknown(wanted)),
        }
    }

    fn unknown(&self, wanted: &str) -> NotOffered {
        // What a client sends is repeated only where it can be a name.
        let wanted = if wanted.len() <= 130 && wanted.is_ascii() { wanted.to_owned() } else { "…".to_owned() };
        NotOffered::Engine { wanted, known: self.engines.keys().cloned().collect() }
    }
}

fn check_mode(entry: &EngineEntry, mode: ModeName) -> Result<(), NotOffered> {
    let (engine, offered) = (entry.engine.clone(), entry.modes.iter().copied().collect());
    if entry.modes.contains(&mode) { Ok(()) } else { Err(NotOffered::ModeOfEngine { engine, mode, offered }) }
}

impl Canary {
    /// Whether a task is among its share: by a hash, so that everybody comes to the same answer.
    pub fn takes(&self, task: TaskId) -> bool {
        let mut hash = Sha256::new();
        // With the engine's name, so that each canary has other tasks.
        hash.update(format!("canary {} {task}", self.engine));
        let digest = hash.finalize();
        // 53 bits: as many as a number from 0 to 1 has.
        let head = u64::from_be_bytes(std::array::from_fn(|index| digest[index])) >> 11;
        (head as f64) < self.share * 2.0_f64.powi(53)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use quire_tasks::{EngineControl, EngineReport, EngineStats, OperatorNote};
    use uuid::Uuid;

    use super::*;

    const ROUTE: &str = r#""modes": ["text"], "primary": "a@1""#;

    fn config(route: &str) -> Config {
        let server = r#"{"kind": "openai", "url": "http://127.0.0.1:1/v1", "model": "m"}"#;
        let json = format!(
            r#"{{"engines": {{"a@1": {server}, "a@2": {server}, "b@1": {server}, "pp-ocr@v6-small": {{"kind": "pp-ocr"}}}},
                "routes": [{{{route}}}]}}"#
        );
        Config::parse(&json).expect("it is right")
    }

    fn task(number: u128) -> TaskId {
        TaskId::new(Uuid::from_u128(number))
    }

    fn engine(read_as: &ReadAs) -> String {
        read_as.engine.as_ref().expect("one is assigned").to_string()
    }

    fn rolled_back(engine: &str) -> EngineStatuses {
        let note = OperatorNote { reason: "worse".to_owned(), by: "a test".to_owned(), at: UnixMillis(1) };
        let control = EngineControl { rolled_back: Some(note), ..EngineControl::default() };
        EngineStatuses::new([(engine.parse().expect("a name"), control)].into(), Vec::new())
    }

    #[test]
    fn a_task_is_read_by_its_route_and_by_nobody_else() {
        let config = config(ROUTE);
        let read_as = config.assign(task(1), Mode::Text, None, &EngineStatuses::default()).expect("it is offered");
        assert_eq!((engine(&read_as).as_str(), read_as.pinned), ("a@1", false));
        let plan = config.plan(&read_as).expect("it is offered");
        assert_eq!((plan.first.engine.to_string().as_str(), plan.fallback), ("a@1", None));
    }

    #[test]
    fn what_nobody_reads_is_refused_with_what_there_is() {
        let config = config(ROUTE);
        let refused =
            |mode, wanted| config.assign(task(1), mode, wanted, &EngineStatuses::default()).expect_err("not offered");
        let mode = refused(Mode::Markdown, None);
        assert_eq!(
            (mode.field(), mode.to_string().as_str()),
            ("mode", "no engine here reads in the mode markdown; there are text")
        );
        let unknown = refused(Mode::Text, Some("c@1"));
        assert_eq!(unknown.field(), "engine");
        assert!(unknown.to_string().contains("a@1, a@2, b@1"), "{unknown}");
        assert_eq!(refused(Mode::Text, Some("a")).field(), "engine", "there are two versions of it");
        assert_eq!(refused(Mode::Table, Some("pp-ocr")).field(), "mode");
    }

    #[test]
    fn a_task_that_names_its_engine_gets_it_and_no_other() {
        let config = config(&format!(r#"{ROUTE}, "fallback": "b@1", "review_below": 0.5"#));
        for (wanted, expected) in [("a@2", "a@2"), ("b", "b@1")] {
            let read_as =
                config.assign(task(1), Mode::Text, Some(wanted), &EngineStatuses::default()).expect("it is offered");
            assert_eq!((engine(&read_as).as_str(), read_as.pinned), (expected, true));
            let plan = config.plan(&read_as).expect("it is offered");
            assert_eq!((plan.first.engine.to_string().as_str(), plan.fallback), (expected, None));
        }
        // Its own modes count, not those that have a route.
        assert!(config.assign(task(1), Mode::Table, Some("b@1"), &EngineStatuses::default()).is_ok());
        let gone = ReadAs { engine: "c@1".parse().ok(), pinned: true, ..ReadAs::default() };
        assert!(config.plan(&gone).is_err());
    }

    #[test]
    fn an_engine_that_is_gone_is_replaced_by_the_route_s() {
        let gone = ReadAs { engine: "c@1".parse().ok(), ..ReadAs::default() };
        let config = config(ROUTE);
        assert_eq!(config.plan(&gone).expect("it is offered").first.engine.to_string(), "a@1");
        assert_eq!(config.plan(&ReadAs::default()).expect("of old").first.engine.to_string(), "a@1");
    }

    #[test]
    fn a_canary_gets_its_share_until_it_is_rolled_back() {
        let config = config(&format!(r#"{ROUTE}, "canary": {{"engine": "a@2", "share": 0.25}}"#));
        let assign = |board: &EngineStatuses, number| {
            engine(&config.assign(task(number), Mode::Text, None, board).expect("it is offered"))
        };
        let taken = (0..4000).filter(|&number| assign(&EngineStatuses::default(), number) == "a@2").count();
        assert!((900..1100).contains(&taken), "{taken} of 4000");
        let back = rolled_back("a@2");
        assert!((0..100).all(|number| assign(&back, number) == "a@1"));
    }

    #[test]
    fn what_a_canary_cannot_read_is_read_by_the_route_s_fallback_or_by_what_it_is_to_replace() {
        let trial = ReadAs { engine: "a@2".parse().ok(), ..ReadAs::default() };
        let canary = r#""canary": {"engine": "a@2", "share": 1}"#;
        for (route, fallback, below) in [
            (format!("{ROUTE}, {canary}"), "a@1", 0.0),
            (format!(r#"{ROUTE}, {canary}, "fallback": "b@1", "fallback_below": 0.5"#), "b@1", 0.5),
        ] {
            let config = config(&route);
            let plan = config.plan(&trial).expect("it is offered");
            assert!(plan.is_canary);
            assert_eq!(plan.fallback.map(|entry| entry.engine.to_string()).as_deref(), Some(fallback));
            assert!((plan.fallback_below - below).abs() < 1e-6);
        }
    }

    #[test]
    fn a_task_waits_for_an_engine_that_is_paused_unless_another_may_answer() {
        let note = OperatorNote { reason: "new weights".to_owned(), by: "ops".to_owned(), at: UnixMillis(1) };
        let control = EngineControl { paused: Some(note), ..EngineControl::default() };
        let board = EngineStatuses::new([("a@1".parse().expect("a name"), control)].into(), Vec::new());
        let reason = |route: &str| config(route).waiting_reason(&ReadAs::default(), &board, UnixMillis(2));
        let waiting = reason(ROUTE).expect("it waits");
        assert_eq!((waiting.code, waiting.detail.as_str()), ("engine_paused", "a@1 is paused: new weights"));
        assert_eq!(reason(&format!(r#"{ROUTE}, "fallback": "b@1""#)), None);
        assert_eq!(config(ROUTE).waiting_reason(&ReadAs::default(), &EngineStatuses::default(), UnixMillis(2)), None);
    }

    #[test]
    fn a_task_waits_for_an_engine_as_long_as_no_page_of_it_was_read_again() {
        let waits = |state| {
            let engine = "a@1".parse().expect("a name");
            let (reason, stats) = (Some("h does not read".to_owned()), EngineStats::default());
            let report =
                EngineReport { engine, worker: "w".to_owned(), at: UnixMillis(1), state, reason, stats, trial: 0 };
            let board = EngineStatuses::new(BTreeMap::new(), vec![report]);
            config(ROUTE).waiting_reason(&ReadAs::default(), &board, UnixMillis(2)).map(|waiting| waiting.code)
        };
        assert_eq!(waits(BreakerState::Open), Some("engine_unavailable"));
        assert_eq!(waits(BreakerState::HalfOpen), Some("engine_unavailable"));
        assert_eq!(waits(BreakerState::Closed), None);
    }

    proptest! {
        #[test]
        fn a_larger_share_keeps_the_tasks_of_a_smaller_one(number in any::<u128>(), a in 0.0..=1.0, b in 0.0..=1.0) {
            let (small, large) = if a < b { (a, b) } else { (b, a) };
            let takes = |share| Canary { engine: "a@2".parse().expect("a name"), share }.takes(task(number));
            prop_assert!(takes(large) || !takes(small));
            prop_assert!(takes(1.0) && !takes(0.0));
        }
    }
}
