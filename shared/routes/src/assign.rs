//! Which engine a task is assigned to, and which engines read a page.

use quire_tasks::{BreakerState, EngineName, EngineStatuses, Mode, ModeName, ReadAs, TaskId, UnixMillis};
use sha2::{Digest, Sha256};

use crate::{Canary, Config, EngineEntry, Route, ScriptRoute};

/// Why a request cannot be read here. Decision: refuse the request; fail a page that was accepted before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOffered {
    /// No route has this mode.
    #[error("no engine offers the mode {mode}; available modes: {}", list(offered))]
    Mode {
        /// The requested mode.
        mode: ModeName,
        /// The modes that have a route.
        offered: Vec<ModeName>,
    },
    /// No engine has this name, or several versions have it.
    #[error("unknown or ambiguous engine {wanted}; available engines: {}", list(known))]
    Engine {
        /// The requested engine.
        wanted: String,
        /// The configured engines.
        known: Vec<EngineName>,
    },
    /// The requested engine does not offer this mode.
    #[error("{engine} does not offer the mode {mode}; its modes: {}", list(offered))]
    ModeOfEngine {
        /// The requested engine.
        engine: EngineName,
        /// The requested mode.
        mode: ModeName,
        /// The modes that the engine offers.
        offered: Vec<ModeName>,
    },
}

impl NotOffered {
    /// Returns the field of the request that is at fault: `mode` or `engine`.
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

/// The engines that read a page, in order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReadPlan<'a> {
    /// The engine that is asked first.
    pub first: &'a EngineEntry,
    /// The engine that is asked if the first fails, or if its confidence is below [`ReadPlan::fallback_below`].
    pub fallback: Option<&'a EngineEntry>,
    /// The confidence below which the fallback is asked, from 0 to 1.
    pub fallback_below: f32,
    /// The engines for scripts that the first one cannot read.
    pub script_routes: &'a [ScriptRoute],
    /// The confidence below which the page is filed for review, from 0 to 1.
    pub review_below: f32,
    /// Whether the first engine is the route's canary.
    pub is_canary: bool,
}

/// Why a task waits, if not only for its turn in the queue.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct WaitingReason {
    /// `engine_paused` or `engine_unavailable`.
    pub code: &'static str,
    /// Which engine, and why.
    pub detail: String,
}

impl Config {
    /// Assigns a new task to an engine: to the one that the customer wants, or to the primary of the mode's route, or,
    /// for a share of the tasks, to the route's canary. Deterministic: the same task always gets the same engine.
    ///
    /// # Errors
    /// [`NotOffered`] when no engine offers it.
    pub fn assign(
        &self,
        task: TaskId,
        mode: Mode,
        wanted: Option<&str>,
        statuses: &EngineStatuses,
    ) -> Result<ReadAs, NotOffered> {
        if let Some(wanted) = wanted {
            let entry = self.find_engine(wanted)?;
            check_mode(entry, mode.name())?;
            return Ok(ReadAs { mode, engine: Some(entry.engine.clone()), pinned: true, ..ReadAs::default() });
        }
        let route = self.require_route(mode.name())?;
        let engine = match &route.canary {
            Some(canary) if canary.takes(task) && !statuses.is_rolled_back(&canary.engine) => &canary.engine,
            _ => &route.primary,
        };
        Ok(ReadAs { mode, engine: Some(engine.clone()), ..ReadAs::default() })
    }

    /// Plans a page of a task. An assigned engine that has been removed from the configuration is replaced by the
    /// primary of the mode's route, unless the customer has named it.
    ///
    /// A canary has the same fallback as the primary, so that both are judged by the same rules; if the route has no
    /// fallback, the canary's fallback is the primary.
    ///
    /// # Errors
    /// [`NotOffered`] when no engine offers what the task wants.
    pub fn plan(&self, read_as: &ReadAs) -> Result<ReadPlan<'_>, NotOffered> {
        let mode = read_as.mode.name();
        let assigned = read_as.engine.as_ref().and_then(|engine| self.engines.get(engine));
        if read_as.pinned {
            match (assigned, &read_as.engine) {
                (Some(first), _) => return self.plan_pinned(first, mode),
                (None, Some(engine)) => return Err(self.unknown_engine(&engine.to_string())),
                (None, None) => {}
            }
        }
        let route = self.require_route(mode)?;
        let primary = &self.engines[&route.primary];
        let first = assigned.filter(|entry| entry.modes.contains(&mode)).unwrap_or(primary);
        let route_fallback = route.fallback.as_ref().map(|engine| &self.engines[engine]);
        let fallback_below = if route_fallback.is_some() { route.fallback_below } else { 0.0 };
        let primary_as_fallback = if first.engine == primary.engine { None } else { Some(primary) };
        let fallback = route_fallback.filter(|entry| entry.engine != first.engine).or(primary_as_fallback);
        let is_canary = route.canary.as_ref().is_some_and(|canary| canary.engine == first.engine);
        let script_routes = if mode == ModeName::Text { &self.script_routes[..] } else { &[] };
        let review_below = route.review_below;
        Ok(ReadPlan { first, fallback, fallback_below, script_routes, review_below, is_canary })
    }

    fn plan_pinned<'a>(&self, first: &'a EngineEntry, mode: ModeName) -> Result<ReadPlan<'a>, NotOffered> {
        check_mode(first, mode)?;
        let review_below = self.route(mode).map_or(0.0, |route| route.review_below);
        let script_routes = &[];
        Ok(ReadPlan { first, fallback: None, fallback_below: 0.0, script_routes, review_below, is_canary: false })
    }

    /// Returns why a task waits, if its engine and its fallback are paused or their breakers are not closed.
    pub fn waiting_reason(
        &self,
        read_as: &ReadAs,
        statuses: &EngineStatuses,
        now: UnixMillis,
    ) -> Option<WaitingReason> {
        let plan = self.plan(read_as).ok()?;
        // While the breaker is half-open, all pages except the probe still wait.
        let is_blocked = |entry: &EngineEntry| statuses.state(&entry.engine, now) != BreakerState::Closed;
        if !is_blocked(plan.first) || plan.fallback.is_some_and(|fallback| !is_blocked(fallback)) {
            return None;
        }
        let engine = &plan.first.engine;
        if statuses.state(engine, now) == BreakerState::Paused {
            let why = statuses.reason(engine, now).unwrap_or_default();
            return Some(WaitingReason { code: "engine_paused", detail: format!("{engine} is paused: {why}") });
        }
        // Without the breaker's reason: it names servers, which customers must not see.
        let detail = format!("{engine} does not respond; it is retried automatically");
        Some(WaitingReason { code: "engine_unavailable", detail })
    }

    fn require_route(&self, mode: ModeName) -> Result<&Route, NotOffered> {
        self.route(mode).ok_or_else(|| NotOffered::Mode { mode, offered: self.modes().into_iter().collect() })
    }

    /// Finds an engine by `name@version`, or by its name alone if it has only one version.
    ///
    /// # Errors
    /// [`NotOffered::Engine`] with the configured engines.
    pub fn find_engine(&self, wanted: &str) -> Result<&EngineEntry, NotOffered> {
        let has_version = wanted.contains('@');
        let mut matching = self
            .engines
            .values()
            .filter(|entry| if has_version { entry.engine.to_string() == wanted } else { entry.engine.name == wanted });
        match (matching.next(), matching.next()) {
            (Some(entry), None) => Ok(entry),
            _ => Err(self.unknown_engine(wanted)),
        }
    }

    fn unknown_engine(&self, wanted: &str) -> NotOffered {
        // A client's input is repeated only if it can be a name.
        let wanted = if wanted.len() <= 130 && wanted.is_ascii() { wanted.to_owned() } else { "…".to_owned() };
        NotOffered::Engine { wanted, known: self.engines.keys().cloned().collect() }
    }
}

fn check_mode(entry: &EngineEntry, mode: ModeName) -> Result<(), NotOffered> {
    if entry.modes.contains(&mode) {
        return Ok(());
    }
    let offered = entry.modes.iter().copied().collect();
    Err(NotOffered::ModeOfEngine { engine: entry.engine.clone(), mode, offered })
}

impl Canary {
    /// Returns whether a task is in the canary's share: by a hash, so that every process comes to the same result.
    pub fn takes(&self, task: TaskId) -> bool {
        let mut hash = Sha256::new();
        // With the engine's name, so that each canary gets other tasks.
        hash.update(format!("canary {} {task}", self.engine));
        let digest = hash.finalize();
        // 53 bits: the precision of an f64 between 0 and 1.
        let head = u64::from_be_bytes(std::array::from_fn(|index| digest[index])) >> 11;
        (head as f64) < self.share * 2.0_f64.powi(53)
    }
}

#[cfg(test)]
mod tests;
