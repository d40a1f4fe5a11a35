//! The JSON schema of a configuration, and its validation.

use std::collections::{BTreeMap, BTreeSet};

use quire_tasks::{EngineName, ModeName, Script};
use serde::Deserialize;

use super::{
    Canary, Config, EngineEntry, EngineKind, InvalidConfig, OpenAiEntry, PpOcrEntry, Route, ScriptRoute, TesseractEntry,
};
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
    #[serde(default)]
    modes: BTreeSet<ModeName>,
    #[serde(default)]
    scripts: BTreeSet<Script>,
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
        let (by_script, by_mode): (Vec<_>, Vec<_>) = routes.into_iter().partition(|route| !route.scripts.is_empty());
        let routes = by_mode.into_iter().map(parse_route).collect::<Result<_, _>>()?;
        let script_routes = by_script.into_iter().map(parse_script_route).collect::<Result<_, _>>()?;
        let config = Self { engines, routes, script_routes, breaker, canary };
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

fn parse_script_route(route: RouteFile) -> Result<ScriptRoute, InvalidConfig> {
    let RouteFile { modes, scripts, primary, fallback, fallback_below, review_below, canary } = route;
    let has_others = !modes.is_empty() || fallback.is_some() || canary.is_some() || fallback_below + review_below > 0.0;
    if has_others {
        let why = "a route with scripts has no other member than primary: it belongs to the mode text";
        return Err(InvalidConfig::Contradiction(why.to_owned()));
    }
    Ok(ScriptRoute { scripts, primary: parse_engine(&primary)? })
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
            return Err("a route has no modes and no scripts".to_owned());
        }
        if let Some(twice) = route.modes.iter().find(|mode| !routed.insert(**mode)) {
            return Err(format!("the mode {twice} has two routes"));
        }
        validate_route(config, route)?;
    }
    validate_script_routes(config)?;
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

fn validate_script_routes(config: &Config) -> Result<(), String> {
    let mut routed = BTreeSet::new();
    for route in &config.script_routes {
        let engine = &route.primary;
        let entry = config.engines.get(engine).ok_or_else(|| format!("unknown engine {engine}"))?;
        if !entry.modes.contains(&ModeName::Text) {
            return Err(format!("{engine} does not offer the mode text"));
        }
        if let Some(twice) = route.scripts.iter().find(|script| !routed.insert(**script)) {
            return Err(format!("the script {} has two routes", twice.as_str()));
        }
    }
    Ok(())
}

fn validate_engine(entry: &EngineEntry) -> Result<(), String> {
    match &entry.kind {
        EngineKind::Openai(server) => validate_server(&entry.engine, server),
        EngineKind::Tesseract(program) => validate_program(&entry.engine, program),
        EngineKind::PpOcr(PpOcrEntry { tier: Some(_), folder: Some(_) }) => Err(format!(
            "{}: tier selects a downloaded model and folder another one; only one of them can be set",
            entry.engine
        )),
        EngineKind::PpOcr(_) | EngineKind::HunyuanOcr(_) => Ok(()),
    }
}

fn validate_server(engine: &EngineName, server: &OpenAiEntry) -> Result<(), String> {
    let in_range = (1..=1024).contains(&server.concurrency) && (1..=3600).contains(&server.timeout_secs);
    if !in_range || server.max_tokens == 0 {
        return Err(format!(
            "{engine}: concurrency must be between 1 and 1024, timeout_secs between 1 and 3600, max_tokens at least 1"
        ));
    }
    Ok(())
}

fn validate_program(engine: &EngineName, program: &TesseractEntry) -> Result<(), String> {
    if !(1..=64).contains(&program.concurrency) || !(1..=3600).contains(&program.timeout_secs) {
        return Err(format!("{engine}: concurrency must be between 1 and 64, timeout_secs between 1 and 3600"));
    }
    // Tesseract takes paths as well, and `+` separates languages.
    let is_name = |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if program.languages.is_empty() || !program.languages.iter().all(is_name) {
        return Err(format!("{engine}: languages must be Tesseract's names of languages, e.g. rus and chi_sim"));
    }
    Ok(())
}
