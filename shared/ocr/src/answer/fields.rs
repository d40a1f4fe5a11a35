//! Extracts requested fields from a JSON answer.

use std::ops::Range;

use serde_json::{Map, Value};

use super::parsed::{ModelAnswer, ParsedAnswer};

/// Returns the value of every requested key; `null` if the model did not find it. Other keys are ignored. The answer
/// itself is kept as lines.
pub(super) fn fields(answer: &ModelAnswer, body: Range<usize>, keys: &[String]) -> ParsedAnswer {
    let object = object(&answer.text[body.clone()]);
    let values: Map<String, Value> = keys
        .iter()
        .map(|key| (key.clone(), object.as_ref().map_or(Value::Null, |object| value(object, key))))
        .collect();
    // An object with none of the requested keys is not an answer to the request.
    let is_well_formed =
        object.is_some_and(|object| object.is_empty() || keys.iter().any(|key| find(&object, key).is_some()));
    ParsedAnswer { fields: Some(values), is_well_formed, ..ParsedAnswer::from_lines(answer.lines(body)) }
}

/// Parses the first JSON object in a text: alone, as the only item of a list, or surrounded by prose.
fn object(text: &str) -> Option<Map<String, Value>> {
    let value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(_) => serde_json::Deserializer::from_str(&text[text.find('{')?..]).into_iter().next()?.ok()?,
    };
    match value {
        Value::Object(object) => Some(object),
        Value::Array(mut list) if list.len() == 1 => match list.pop() {
            Some(Value::Object(object)) => Some(object),
            _ => None,
        },
        _ => None,
    }
}

/// Looks a key up; if there is no exact match, ignores case and spaces.
fn find<'o>(object: &'o Map<String, Value>, key: &str) -> Option<&'o Value> {
    if let Some(value) = object.get(key) {
        return Some(value);
    }
    let normalized = normalize_key(key);
    object.iter().find(|(name, _)| normalize_key(name) == normalized).map(|(_, value)| value)
}

fn normalize_key(key: &str) -> String {
    key.trim().to_lowercase()
}

/// Returns the value of a key. The model returns "" for a field that it did not find.
fn value(object: &Map<String, Value>, key: &str) -> Value {
    match find(object, key) {
        Some(Value::String(text)) if text.trim().is_empty() => Value::Null,
        Some(value) => value.clone(),
        None => Value::Null,
    }
}
