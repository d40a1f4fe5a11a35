//! Parses how the documents of a request are read.

use quire_tasks::{Mode, ModeName, TextLayerPolicy};
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
    let text_layer = match json::text(fields, "text_layer")? {
        Some(text) => parse_text_layer(text, mode.name())?,
        None => TextLayerPolicy::default(),
    };
    Ok(ReadOptions { mode, engine: json::text(fields, "engine")?.map(str::to_owned), text_layer })
}

fn parse_text_layer(text: &str, mode: ModeName) -> Result<TextLayerPolicy, Problem> {
    let policy: TextLayerPolicy = text.parse().map_err(|_| {
        let known = TextLayerPolicy::ALL.map(TextLayerPolicy::as_str).join(", ");
        Problem::invalid_field("text_layer", format!("Unknown text layer policy; expected one of {known}."))
    })?;
    if !policy.is_possible_with(mode) {
        return Err(Problem::invalid_field("text_layer", format!("The mode {mode} needs an image.")));
    }
    Ok(policy)
}
