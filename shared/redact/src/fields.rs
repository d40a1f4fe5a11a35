//! Redaction of extracted fields.

use quire_tasks::Redaction;
use serde_json::{Map, Value};

use crate::Redactor;

impl Redactor {
    /// Redacts the values. The names of the fields come from the customer and are kept; the names of nested ones come
    /// from the model and are redacted.
    pub(crate) fn redact_fields(&self, fields: &mut Map<String, Value>, redactions: &mut Vec<Redaction>) {
        for (field, value) in fields.iter_mut() {
            self.redact_value(field, field, value, redactions);
        }
    }

    fn redact_value(&self, field: &str, label: &str, value: &mut Value, redactions: &mut Vec<Redaction>) {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::String(text) => {
                if let Some(redacted) = self.redact_text(field, label, text, redactions) {
                    *text = redacted;
                }
            }
            Value::Number(number) => {
                if let Some(redacted) = self.redact_text(field, label, &number.to_string(), redactions) {
                    *value = Value::String(redacted);
                }
            }
            Value::Array(values) => {
                for value in values {
                    self.redact_value(field, label, value, redactions);
                }
            }
            Value::Object(fields) => {
                for (key, mut value) in std::mem::take(fields) {
                    self.redact_value(field, &key, &mut value, redactions);
                    let redacted = self.redact_text(field, "", &key, redactions);
                    fields.insert(redacted.unwrap_or(key), value);
                }
            }
        }
    }

    /// Returns the redacted text, or `None` if nothing was found. `label` is the name of the value: `phone` labels a
    /// phone number.
    fn redact_text(&self, field: &str, label: &str, text: &str, redactions: &mut Vec<Redaction>) -> Option<String> {
        // The label is searched as a line of its own, so that it provides context. The colon ends any match inside it.
        let redacted = self.redact_lines(&[&format!("{label}:"), text]).pop()??;
        redactions.extend(redacted.replacements.iter().map(|part| Redaction {
            kind: part.kind.clone(),
            line: None,
            field: Some(field.to_owned()),
            start: part.placeholder.start as u32,
            end: part.placeholder.end as u32,
            polygon: None,
        }));
        Some(redacted.text)
    }
}
