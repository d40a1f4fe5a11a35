//! Engines and routes, as an operator writes them down.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

/// Opens after three failures, for a fifth of a second, and then for no longer than two.
const FAST_BREAKER: &str = r#"{"min_calls": 3, "open_secs": 0.2}"#;

/// A configuration: engines by their names, and routes. Its breaker is fast.
pub(crate) fn routed(engines: &Value, routes: &Value) -> Value {
    let breaker: Value = serde_json::from_str(FAST_BREAKER).expect("JSON");
    json!({ "engines": engines, "routes": routes, "breaker": breaker })
}

/// Where a configuration lies from now on.
pub(crate) fn written(folder: &Path, config: &Value) -> PathBuf {
    let file = folder.join("engines.json");
    fs::write(&file, config.to_string()).expect("a file");
    file
}

/// Which engine read a page.
pub(crate) fn engine_of(page: &Value) -> String {
    let engine = &page["engine"];
    let part = |name: &str| engine[name].as_str().unwrap_or_else(|| panic!("no engine in {page:#}"));
    format!("{}@{}", part("name"), part("version"))
}
