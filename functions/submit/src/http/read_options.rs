//! What a request says of how its documents are to be read.

use quire_tasks::Mode;
use serde_json::{Map, Value};

use crate::{
    http::{json, problem::Problem},
    tasks::options::ReadOptions,
};

/// What the fields of a request say; `null` is as good as nothing.
pub(crate) fn parse_read_options(fields: &Map<String, Value>) -> Result<ReadOptions, Problem> {
    let text = |name| Ok::<_, Problem>(json::text(fields, name)?.map(str::to_owned));
    let name = json::text(fields, "mode")?.map(str::parse).transpose()?.unwrap_or_default();
    let mode = Mode::new(name, json::texts(fields, "keys")?, text("language")?)?;
    Ok(ReadOptions { mode, engine: text("engine")? })
}
