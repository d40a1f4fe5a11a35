//! Configurations of engines and routes, as an operator writes them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

/// The calls before the circuit breaker may open.
const BREAKER_MIN_CALLS: u32 = 3;
/// How long the circuit breaker first stays open; it backs off from there.
const BREAKER_OPEN_SECS: f64 = 0.2;

/// Returns a configuration with these engines and routes, and a circuit breaker that opens and retries fast.
pub(crate) fn engine_config(engines: &Value, routes: &Value) -> Value {
    let breaker = json!({ "min_calls": BREAKER_MIN_CALLS, "open_secs": BREAKER_OPEN_SECS });
    json!({ "engines": engines, "routes": routes, "breaker": breaker })
}

/// Writes a configuration to a file in `folder` and returns its path.
pub(crate) fn write_config(folder: &Path, config: &Value) -> PathBuf {
    let file = folder.join("engines.json");
    fs::write(&file, config.to_string()).expect("the configuration can be written");
    file
}

/// Returns the engine that read a page, as `name@version`.
pub(crate) fn engine_of(page: &Value) -> String {
    let engine = &page["engine"];
    let member = |name: &str| engine[name].as_str().unwrap_or_else(|| panic!("no engine in {page:#}"));
    format!("{}@{}", member("name"), member("version"))
}
