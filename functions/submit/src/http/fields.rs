//! The fields of requests that create a task: the same in JSON and in forms, where every value is text.

use quire_tasks::MAX_FIELD_KEYS;
use serde_json::{Map, Value};

use crate::{
    http::problem::Problem,
    limits::{MAX_POLICY_BYTES, MAX_TAGS, MAX_WORD_BYTES},
};

/// The fields of all these requests.
pub(crate) const USUAL: [&str; 9] =
    ["mode", "keys", "language", "engine", "text_layer", "tags", "retention_hours", "redact", "words"];
/// The fields of requests that may have a callback.
pub(crate) const WITH_CALLBACK: [&str; 12] = [
    "mode",
    "keys",
    "language",
    "engine",
    "text_layer",
    "tags",
    "retention_hours",
    "redact",
    "words",
    "callback_url",
    "payload",
    "progress",
];

/// The JSON type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldKind {
    Text,
    /// An array of at most this many strings; in a form, a repeated field.
    Texts(usize),
    Number,
    Bool,
    Json,
}

fn kind_of(name: &str) -> FieldKind {
    match name {
        "keys" => FieldKind::Texts(MAX_FIELD_KEYS),
        "tags" => FieldKind::Texts(MAX_TAGS),
        "retention_hours" => FieldKind::Number,
        "progress" | "words" => FieldKind::Bool,
        "redact" => FieldKind::Json,
        _ => FieldKind::Text,
    }
}

/// Returns the maximum size of a form's field.
pub(crate) fn max_bytes(name: &str) -> usize {
    match name {
        "callback_url" => quire_egress::MAX_URL_LENGTH,
        "redact" => MAX_POLICY_BYTES,
        _ => MAX_WORD_BYTES,
    }
}

/// Returns the problem of a field that exceeds [`max_bytes`].
pub(crate) fn too_long(name: &str) -> Problem {
    match name {
        "callback_url" => Problem::url_refused(name, &quire_egress::UrlRefused::TooLong),
        _ => Problem::invalid_field(name, format!("Must not exceed {} bytes.", max_bytes(name))),
    }
}

/// Adds a form's field to the fields before it, converted to its JSON type. A value that cannot be converted stays a
/// string, which is then refused like any other value of the wrong type.
pub(crate) fn add(fields: &mut Map<String, Value>, name: &str, text: String) -> Result<(), Problem> {
    let value = match kind_of(name) {
        FieldKind::Texts(max) => {
            add_text(fields, name, text, max);
            return Ok(());
        }
        FieldKind::Text => Value::String(text),
        FieldKind::Number => text.parse::<u64>().map_or(Value::String(text), Value::from),
        FieldKind::Bool => text.parse::<bool>().map_or(Value::String(text), Value::from),
        FieldKind::Json => serde_json::from_str(&text)
            .map_err(|error| Problem::invalid_field(name, format!("Must be JSON (error in line {}).", error.line())))?,
    };
    match fields.insert(name.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(Problem::invalid_field(name, "The field must not be repeated.")),
    }
}

fn add_text(fields: &mut Map<String, Value>, name: &str, text: String, max: usize) {
    let texts = fields.entry(name).or_insert_with(|| Value::Array(Vec::new()));
    // One more than allowed is kept, so that the request is refused; further ones are dropped to bound the memory.
    match texts {
        Value::Array(texts) if texts.len() <= max => texts.push(text.into()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn form_fields_become_json_values() {
        let mut fields = Map::new();
        for (name, text) in [
            ("tags", "a"),
            ("retention_hours", "24"),
            ("progress", "true"),
            ("redact", r#"{"kinds": ["email"]}"#),
            ("tags", "b"),
            ("mode", "12"),
        ] {
            add(&mut fields, name, text.to_owned()).expect("a valid field");
        }
        let expected = json!({
            "tags": ["a", "b"], "retention_hours": 24, "progress": true, "redact": {"kinds": ["email"]}, "mode": "12",
        });
        assert_eq!(Value::Object(fields), expected);
    }

    #[test]
    fn an_inconvertible_value_stays_a_string_and_a_repeated_field_is_refused() {
        let mut fields = Map::new();
        add(&mut fields, "retention_hours", "-1".to_owned()).expect("refused when it is parsed");
        add(&mut fields, "progress", "yes".to_owned()).expect("refused when it is parsed");
        assert_eq!(Value::Object(fields.clone()), json!({"retention_hours": "-1", "progress": "yes"}));
        assert!(add(&mut fields, "progress", "true".to_owned()).is_err());
        assert!(add(&mut fields, "redact", "{".to_owned()).is_err());
    }

    #[test]
    fn a_repeated_field_is_kept_up_to_one_more_than_allowed() {
        let mut fields = Map::new();
        for _ in 0..100 {
            add(&mut fields, "tags", "a".to_owned()).expect("refused when it is parsed");
        }
        assert_eq!(fields["tags"].as_array().map(Vec::len), Some(MAX_TAGS + 1));
    }
}
