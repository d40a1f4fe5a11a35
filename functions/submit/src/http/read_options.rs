//! Parses how the documents of a request are read.

use quire_tasks::Mode;
use serde_json::{Map, Value};

use crate::{
    http::{json, problem::Problem},
    tasks::options::ReadOptions,
};

/// Parses the read options from the fields of a request. `null` counts as absent.
pub(crate) fn parse_read_options(fields: &Map<String, Value>) -> Result<ReadOptions, Problem> {
    let name = json::text(fields, "mode")?.map(str::parse).transpose()?.unwrap_or_default();
    let keys = json::texts(fields, "keys")?;
    let language = json::text(fields, "language")?.map(str::to_owned);
    let mode = Mode::new(name, keys, language)?;
    Ok(ReadOptions { mode, engine: json::text(fields, "engine")?.map(str::to_owned) })
}
