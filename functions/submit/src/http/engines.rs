//! The health of the engines, for `GET /healthz`.

use std::collections::BTreeSet;

use quire_platform::{Backend, Result, engine_status, now};
use quire_routes::{Config, Route};
use quire_tasks::{BreakerState, EngineName, EngineStatuses, ModeName, OperatorNote, UnixMillis};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::time::rfc3339;

/// Returns the members of a [`crate::HealthReport`] that describe engines: `engines`, the list; `degraded`, whether an
/// engine that a route needs is paused or its circuit breaker is open; and in that case `unavailable`, their names. A
/// degraded deployment is still healthy: the pages wait, or a fallback engine reads them.
///
/// # Errors
/// Any [`quire_platform::Error`].
pub async fn engine_health(backend: &Backend, routes: &Config) -> Result<Map<String, Value>> {
    let statuses = engine_status::read(backend).await?;
    Ok(members(&statuses, routes, now()))
}

fn members(statuses: &EngineStatuses, routes: &Config, now: UnixMillis) -> Map<String, Value> {
    let engines: Vec<_> =
        routes.engines.keys().map(|engine| EngineAnswer::new(engine, statuses, routes, now)).collect();
    let unavailable: Vec<String> =
        engines.iter().filter(|engine| engine.is_unavailable()).map(|engine| engine.engine.clone()).collect();
    let mut members = Map::new();
    members.insert("degraded".to_owned(), (!unavailable.is_empty()).into());
    if !unavailable.is_empty() {
        members.insert("unavailable".to_owned(), unavailable.into());
    }
    members.insert("engines".to_owned(), json!(engines));
    members
}

/// One engine. Its counters are sums over all workers of the last day.
#[derive(Debug, Serialize)]
struct EngineAnswer<'a> {
    engine: String,
    state: BreakerState,
    /// Why it is paused, or why its circuit breaker is open.
    reason: Option<&'a str>,
    routes: Vec<EngineRole<'a>>,
    workers: WorkerCounts,
    pages: u64,
    failures: u64,
    /// Pages without text.
    empty: u64,
    mean_confidence: Option<f64>,
    mean_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rolled_back: Option<RollbackAnswer>,
}

/// The role of an engine in a route.
#[derive(Debug, Serialize)]
struct EngineRole<'a> {
    role: &'static str,
    modes: &'a BTreeSet<ModeName>,
    /// A canary's share of the tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<f64>,
}

#[derive(Debug, Serialize)]
struct WorkerCounts {
    live: usize,
    not_closed: usize,
}

#[derive(Debug, Serialize)]
struct RollbackAnswer {
    reason: String,
    by: String,
    at: String,
}

impl<'a> EngineAnswer<'a> {
    fn new(engine: &EngineName, statuses: &'a EngineStatuses, routes: &'a Config, now: UnixMillis) -> Self {
        let state = statuses.state(engine, now);
        let counted = statuses.stats(engine);
        let (live, not_closed) = statuses.workers(engine, now);
        let rolled_back = statuses.control(engine).rolled_back;
        Self {
            engine: engine.to_string(),
            state,
            reason: statuses.reason(engine, now).filter(|_| state != BreakerState::Closed),
            routes: routes.routes.iter().filter_map(|route| role_in(route, engine)).collect(),
            workers: WorkerCounts { live, not_closed },
            pages: counted.pages,
            failures: counted.failures,
            empty: counted.empty,
            mean_confidence: counted.mean_confidence(),
            mean_ms: counted.mean_millis().map(|millis| millis.round() as u64),
            rolled_back: rolled_back.map(|OperatorNote { reason, by, at }| RollbackAnswer {
                reason,
                by,
                at: rfc3339(at),
            }),
        }
    }

    /// Whether a route needs the engine and it is unavailable. A canary that was rolled back is not needed.
    fn is_unavailable(&self) -> bool {
        let is_rolled_back = self.rolled_back.is_some();
        let is_needed = self.routes.iter().any(|role| role.role != CANARY || !is_rolled_back);
        self.state != BreakerState::Closed && is_needed
    }
}

const CANARY: &str = "canary";

fn role_in<'a>(route: &'a Route, engine: &EngineName) -> Option<EngineRole<'a>> {
    let share = route.canary.as_ref().filter(|canary| canary.engine == *engine).map(|canary| canary.share);
    let role = match share {
        Some(_) => CANARY,
        None if route.primary == *engine => "primary",
        None if route.fallback.as_ref() == Some(engine) => "fallback",
        None => return None,
    };
    Some(EngineRole { role, modes: &route.modes, share })
}
