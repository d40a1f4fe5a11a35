//! The fields of requests that make a task: the same in JSON and in forms, where every value is text.

use quire_tasks::{MAX_FIELD_KEYS, MAX_WORD_CHARS};
use serde_json::{Map, Value};

use crate::{options::MAX_TAGS, problem::Problem};

/// How documents are to be read, and what is to become of their task.
pub(crate) const USUAL: [&str; 7] = ["mode", "keys", "language", "engine", "tags", "retention_hours", "redact"];
/// The same, where there may be a callback.
pub(crate) const WITH_CALLBACK: [&str; 10] =
    ["mode", "keys", "language", "engine", "tags", "retention_hours", "redact", "callback_url", "payload", "progress"];

/// The longest value of most of them: the longest key in the longest encoding. All other words are shorter.
const MAX_WORD_BYTES: usize = 4 * MAX_WORD_CHARS;
/// The longest policy: as many patterns as are taken, with every character escaped.
pub(crate) const MAX_POLICY_BYTES: usize = 64 << 10;

/// What a field's value is in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// An array; in a form, a field for each of its texts, of which so many are taken.
    Texts(usize),
    Number,
    Switch,
    Json,
}

fn kind(name: &str) -> Kind {
    match name {
        "keys" => Kind::Texts(MAX_FIELD_KEYS),
        "tags" => Kind::Texts(MAX_TAGS),
        "retention_hours" => Kind::Number,
        "progress" => Kind::Switch,
        "redact" => Kind::Json,
        _ => Kind::Text,
    }
}

/// The most bytes that a form's field may have.
pub(crate) fn most_bytes(name: &str) -> usize {
    match name {
        "callback_url" => quire_egress::MAX_URL_LENGTH,
        "redact" => MAX_POLICY_BYTES,
        _ => MAX_WORD_BYTES,
    }
}

/// The problem of a field that has more.
pub(crate) fn too_long(name: &str) -> Problem {
    match name {
        "callback_url" => Problem::url_refused(name, &quire_egress::UrlRefused::TooLong),
        _ => Problem::invalid_field(name, format!("The field is longer than {} bytes.", most_bytes(name))),
    }
}

/// Adds a form's field to those that have come before it, as JSON would have it. What is none of its kind stays text,
/// which is refused like any other value of the wrong kind.
pub(crate) fn add(fields: &mut Map<String, Value>, name: &str, text: String) -> Result<(), Problem> {
    let value = match kind(name) {
        Kind::Texts(most) => {
            add_text(fields, name, text, most);
            return Ok(());
        }
        Kind::Text => Value::String(text),
        Kind::Number => text.parse::<u64>().map_or(Value::String(text), Value::from),
        Kind::Switch => text.parse::<bool>().map_or(Value::String(text), Value::from),
        Kind::Json => serde_json::from_str(&text)
            .map_err(|error| Problem::invalid_field(name, format!("The field is no JSON (line {}).", error.line())))?,
    };
    match fields.insert(name.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(Problem::invalid_field(name, "The field is there more than once.")),
    }
}

fn add_text(fields: &mut Map<String, Value>, name: &str, text: String, most: usize) {
    let texts = fields.entry(name).or_insert_with(|| Value::Array(Vec::new()));
    // One more than are taken is kept, so that it is refused.
    if let Some(texts) = texts.as_array_mut().filter(|texts| texts.len() <= most) {
        texts.push(text.into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_s_fields_become_what_json_would_say() {
        let mut fields = Map::new();
        for (name, text) in [
            ("tags", "a"),
            ("retention_hours", "24"),
            ("progress", "true"),
            ("redact", r#"{"kinds": ["email"]}"#),
            ("tags", "b"),
            ("mode", "12"),
        ] {
            add(&mut fields, name, text.to_owned()).expect("a good field");
        }
        let said = json!({
            "tags": ["a", "b"], "retention_hours": 24, "progress": true, "redact": {"kinds": ["email"]}, "mode": "12",
        });
        assert_eq!(Value::Object(fields), said);
    }

    #[test]
    fn what_is_of_another_kind_stays_text_and_what_is_said_twice_is_refused() {
        let mut fields = Map::new();
        add(&mut fields, "retention_hours", "-1".to_owned()).expect("refused where it is read");
        add(&mut fields, "progress", "yes".to_owned()).expect("refused where it is read");
        assert_eq!(Value::Object(fields.clone()), json!({"retention_hours": "-1", "progress": "yes"}));
        assert!(add(&mut fields, "progress", "true".to_owned()).is_err());
        assert!(add(&mut fields, "redact", "{".to_owned()).is_err());
    }

    #[test]
    fn texts_without_an_end_are_kept_up_to_one_too_many() {
        let mut fields = Map::new();
        for _ in 0..100 {
            add(&mut fields, "tags", "a".to_owned()).expect("refused where it is read");
        }
        assert_eq!(fields["tags"].as_array().map(Vec::len), Some(MAX_TAGS + 1));
    }
}
