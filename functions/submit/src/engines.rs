//! How the engines do, for `GET /healthz`.

use std::collections::BTreeSet;

use quire_platform::{Backend, Result, engine_status};
use quire_routes::{Config, Route};
use quire_tasks::{BreakerState, EngineName, EngineStatuses, ModeName, OperatorNote, UnixMillis};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{accept::now, task::rfc3339};

/// The members of a [`crate::HealthReport`] that are about engines: `engines`, one by one; `degraded`, whether one that a
/// route counts on is paused or left alone; and then `unavailable`, which. Its pages wait or are read by another, so it is
/// for whoever calls this to say that the whole is well all the same.
///
/// # Errors
/// Any [`quire_platform::Error`].
pub async fn engines(backend: &Backend, routes: &Config) -> Result<Map<String, Value>> {
    let board = engine_status::read(backend).await?;
    Ok(members(&board, routes, now()))
}

fn members(board: &EngineStatuses, routes: &Config, now: UnixMillis) -> Map<String, Value> {
    let engines: Vec<_> = routes.engines.keys().map(|engine| EngineAnswer::new(engine, board, routes, now)).collect();
    let missed = engines.iter().filter(|engine| engine.is_missed()).map(|engine| engine.engine.clone());
    let unavailable: Vec<String> = missed.collect();
    let mut members = Map::new();
    members.insert("degraded".to_owned(), (!unavailable.is_empty()).into());
    if !unavailable.is_empty() {
        members.insert("unavailable".to_owned(), unavailable.into());
    }
    members.insert("engines".to_owned(), json!(engines));
    members
}

/// One engine. What it counted, all workers of the last day have counted.
#[derive(Debug, Serialize)]
struct EngineAnswer<'a> {
    engine: String,
    state: BreakerState,
    /// Why it is paused or left alone.
    reason: Option<&'a str>,
    routes: Vec<Duty<'a>>,
    workers: Workers,
    pages: u64,
    failures: u64,
    /// Answers without text.
    empty: u64,
    mean_confidence: Option<f64>,
    mean_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rolled_back: Option<RolledBack>,
}

/// What a route has an engine for.
#[derive(Debug, Serialize)]
struct Duty<'a> {
    role: &'static str,
    modes: &'a BTreeSet<ModeName>,
    /// A canary's share of the tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Workers {
    live: usize,
    not_closed: usize,
}

#[derive(Debug, Serialize)]
struct RolledBack {
    reason: String,
    by: String,
    at: String,
}

impl<'a> EngineAnswer<'a> {
    fn new(engine: &EngineName, board: &'a EngineStatuses, routes: &'a Config, now: UnixMillis) -> Self {
        let (state, counted) = (board.state(engine, now), board.stats(engine));
        let (live, not_closed) = board.workers(engine, now);
        let rolled_back = board.control(engine).rolled_back;
        Self {
            engine: engine.to_string(),
            state,
            reason: board.reason(engine, now).filter(|_| state != BreakerState::Closed),
            routes: routes.routes.iter().filter_map(|route| duty(route, engine)).collect(),
            workers: Workers { live, not_closed },
            pages: counted.pages,
            failures: counted.failures,
            empty: counted.empty,
            mean_confidence: counted.mean_confidence(),
            mean_ms: counted.mean_millis().map(|millis| millis.round() as u64),
            rolled_back: rolled_back.map(|OperatorNote { reason, by, at }| RolledBack { reason, by, at: rfc3339(at) }),
        }
    }

    /// Whether a route counts on it in vain. Nobody counts on a canary that was rolled back.
    fn is_missed(&self) -> bool {
        let is_trusted = |duty: &Duty<'_>| duty.role != CANARY || self.rolled_back.is_none();
        self.state != BreakerState::Closed && self.routes.iter().any(is_trusted)
    }
}

const CANARY: &str = "canary";

fn duty<'a>(route: &'a Route, engine: &EngineName) -> Option<Duty<'a>> {
    let share = route.canary.as_ref().filter(|canary| canary.engine == *engine).map(|canary| canary.share);
    let role = match share {
        Some(_) => CANARY,
        None if route.primary == *engine => "primary",
        None if route.fallback.as_ref() == Some(engine) => "fallback",
        None => return None,
    };
    Some(Duty { role, modes: &route.modes, share })
}
