//! Redaction of what was read for certain fields.

use quire_tasks::Redaction;
use serde_json::{Map, Value};

use crate::Redactor;

/// How much text there is.
pub(crate) fn size(values: &Map<String, Value>) -> usize {
    values.iter().map(|(key, value)| key.len() + size_of(value)).sum()
}

fn size_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(size_of).sum(),
        Value::Object(values) => size(values),
        // The longest number that is written out.
        Value::Number(_) => 32,
        Value::Null | Value::Bool(_) => 0,
    }
}

impl Redactor {
    /// Redacts the values. The fields' own names are the customer's; those of what is nested are the model's.
    pub(crate) fn redact_fields(&self, values: &mut Map<String, Value>, report: &mut Vec<Redaction>) {
        for (field, value) in values.iter_mut() {
            self.redact_value(field, field, value, report);
        }
    }

    fn redact_value(&self, field: &str, label: &str, value: &mut Value, report: &mut Vec<Redaction>) {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::String(text) => {
                if let Some(redacted) = self.redact_text(field, label, text, report) {
                    *text = redacted;
                }
            }
            Value::Number(number) => {
                if let Some(redacted) = self.redact_text(field, label, &number.to_string(), report) {
                    *value = Value::String(redacted);
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.redact_value(field, label, value, report)),
            Value::Object(values) => {
                for (key, mut value) in std::mem::take(values) {
                    self.redact_value(field, &key, &mut value, report);
                    let redacted = self.redact_text(field, "", &key, report);
                    values.insert(redacted.unwrap_or(key), value);
                }
            }
        }
    }

    /// The text as it is to be kept; nothing where it is to stay. `label` is what stands before it.
    fn redact_text(&self, field: &str, label: &str, text: &str, report: &mut Vec<Redaction>) -> Option<String> {
        // The label only says what the text is: a colon ends whatever it may be itself.
        let replaced = self.replaced(&[&format!("{label}:"), text]).pop()??;
        report.extend(replaced.parts.iter().map(|part| Redaction {
            kind: part.kind.clone(),
            line: None,
            field: Some(field.to_owned()),
            start: part.start as u32,
            end: part.end as u32,
            polygon: None,
        }));
        Some(replaced.text)
    }
}
