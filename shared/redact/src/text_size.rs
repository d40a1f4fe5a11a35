//! The size of a page's text.

use quire_tasks::PageText;
use serde_json::{Map, Value};

/// The text length that is counted for a JSON number: that of the longest one.
const NUMBER_BYTES: usize = 32;

/// Returns the number of bytes of text in the lines and fields of a page.
pub(crate) fn text_bytes(page: &PageText) -> usize {
    let line_bytes: usize = page.lines.iter().map(|line| line.text.len()).sum();
    line_bytes + page.fields.as_ref().map_or(0, field_bytes)
}

fn field_bytes(fields: &Map<String, Value>) -> usize {
    fields.iter().map(|(key, value)| key.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(value_bytes).sum(),
        Value::Object(fields) => field_bytes(fields),
        Value::Number(_) => NUMBER_BYTES,
        Value::Null | Value::Bool(_) => 0,
    }
}
