//! The JSON schema of a configuration, and its validation.

use std::collections::{BTreeMap, BTreeSet};

use quire_tasks::{EngineName, ModeName};
use serde::Deserialize;

use super::{Canary, Config, EngineEntry, EngineKind, InvalidConfig, Route};
use crate::{BreakerSettings, CanaryLimits};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    engines: BTreeMap<String, EngineKind>,
    routes: Vec<RouteFile>,
    #[serde(default)]
    breaker: BreakerSettings,
    #[serde(default)]
    canary: CanaryLimits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteFile {
    modes: BTreeSet<ModeName>,
    primary: String,
    fallback: Option<String>,
    #[serde(default)]
    fallback_below: f32,
    #[serde(default)]
    review_below: f32,
    canary: Option<CanaryFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CanaryFile {
    engine: String,
    share: f64,
}

impl Config {
    /// Parses and validates a configuration.
    ///
    /// # Errors
    /// [`InvalidConfig`] with the first problem.
    pub fn parse(json: &str) -> Result<Self, InvalidConfig> {
        let ConfigFile { engines: kinds, routes, breaker, canary } = serde_json::from_str(json)?;
        let mut engines = BTreeMap::new();
        for (name, kind) in kinds {
            let engine = parse_engine(&name)?;
            let modes = kind.modes();
            engines.insert(engine.clone(), EngineEntry { engine, kind, modes });
        }
        let routes = routes.into_iter().map(parse_route).collect::<Result<_, _>>()?;
        let config = Self { engines, routes, breaker, canary };
        validate(&config).map_err(InvalidConfig::Contradiction)?;
        Ok(config)
    }
}

fn parse_route(route: RouteFile) -> Result<Route, InvalidConfig> {
    let canary = match route.canary {
        Some(CanaryFile { engine, share }) => Some(Canary { engine: parse_engine(&engine)?, share }),
        None => None,
    };
    Ok(Route {
        modes: route.modes,
        primary: parse_engine(&route.primary)?,
        fallback: route.fallback.as_deref().map(parse_engine).transpose()?,
        fallback_below: route.fallback_below,
        review_below: route.review_below,
        canary,
    })
}

fn parse_engine(text: &str) -> Result<EngineName, InvalidConfig> {
    text.parse().map_err(|why| InvalidConfig::Contradiction(format!("{text:?}: {why}")))
}

fn validate(config: &Config) -> Result<(), String> {
    let mut routed = BTreeSet::new();
    if config.routes.is_empty() {
        return Err("there must be at least one route".to_owned());
    }
    for route in &config.routes {
        if route.modes.is_empty() {
            return Err("a route has no modes".to_owned());
        }
        if let Some(twice) = route.modes.iter().find(|mode| !routed.insert(**mode)) {
            return Err(format!("the mode {twice} has two routes"));
        }
        validate_route(config, route)?;
    }
    config.engines.values().try_for_each(validate_engine)?;
    config.breaker.validate()
}

fn validate_route(config: &Config, route: &Route) -> Result<(), String> {
    let canary = route.canary.as_ref();
    let named = [Some(&route.primary), route.fallback.as_ref(), canary.map(|canary| &canary.engine)];
    let mut seen = BTreeSet::new();
    for engine in named.into_iter().flatten() {
        let entry = config.engines.get(engine).ok_or_else(|| format!("unknown engine {engine}"))?;
        if let Some(mode) = route.modes.iter().find(|mode| !entry.modes.contains(mode)) {
            return Err(format!("{engine} does not offer the mode {mode}"));
        }
        if !seen.insert(engine) {
            return Err(format!("a route names {engine} twice"));
        }
    }
    let confidences = [f64::from(route.fallback_below), f64::from(route.review_below)];
    let shares = confidences.into_iter().chain(canary.map(|canary| canary.share));
    if shares.into_iter().any(|share| !(0.0..=1.0).contains(&share)) {
        return Err("share, fallback_below and review_below must be between 0 and 1".to_owned());
    }
    Ok(())
}

fn validate_engine(entry: &EngineEntry) -> Result<(), String> {
    let EngineKind::Openai(server) = &entry.kind else { return Ok(()) };
    let in_range = (1..=1024).contains(&server.concurrency) && (1..=3600).contains(&server.timeout_secs);
    if !in_range || server.max_tokens == 0 {
        return Err(format!(
            "{}: concurrency must be between 1 and 1024, timeout_secs between 1 and 3600, max_tokens at least 1",
            entry.engine
        ));
    }
    Ok(())
}
