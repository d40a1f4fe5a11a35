//! The texts of a page while their matches are replaced.

use std::ops::Range;

use quire_tasks::{PageText, Polygon, Redaction, follow_change};
use serde_json::{Map, Value};

use crate::{part_polygon::part_polygon, placeholder::placeholder};

/// Where a text stands on the page.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A line, with its number from 0.
    Line(u32),
    /// A value in a field, or the name of a nested field.
    Field {
        /// The name of the field.
        field: String,
        /// What labels the value: its name.
        label: String,
    },
}

/// One text, and which of its parts were replaced.
#[derive(Debug)]
pub(crate) struct EditedText {
    pub(crate) source: Source,
    pub(crate) chars: Vec<char>,
    pub(crate) polygon: Option<Polygon>,
    original: Vec<char>,
    /// The range of the original text that each character stands for.
    origins: Vec<Range<usize>>,
    replacements: Vec<Replacement>,
}

/// A replaced part of a text. All positions are in characters.
#[derive(Debug, Clone)]
struct Replacement {
    kind: String,
    /// The part of the original text.
    original: Range<usize>,
    /// The placeholder in the text.
    placeholder: Range<usize>,
}

impl EditedText {
    fn new(source: Source, text: &str, polygon: Option<Polygon>) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let origins = (0..chars.len()).map(|index| index..index + 1).collect();
        Self { source, original: chars.clone(), chars, polygon, origins, replacements: Vec::new() }
    }

    pub(crate) fn text(&self) -> String {
        self.chars.iter().collect()
    }

    pub(crate) const fn is_line(&self) -> bool {
        matches!(self.source, Source::Line(_))
    }

    /// Replaces these ranges (start, end, kind), which must be in order and not empty. Earlier replacements inside a
    /// range are part of the new one.
    pub(crate) fn replace(&mut self, ranges: &[(usize, usize, &str)]) {
        let (mut chars, mut origins, mut replacements) = (Vec::new(), Vec::new(), Vec::new());
        let mut before = self.replacements.drain(..).peekable();
        let mut at = 0;
        for &(start, end, kind) in ranges {
            while let Some(kept) = before.next_if(|old| old.placeholder.end <= start) {
                let start = chars.len() + kept.placeholder.start - at;
                replacements.push(kept.moved(start));
            }
            while before.next_if(|old| old.placeholder.start < end).is_some() {}
            chars.extend_from_slice(&self.chars[at..start]);
            origins.extend_from_slice(&self.origins[at..start]);
            let original = self.origins[start].start..self.origins[end - 1].end;
            let text = placeholder(kind);
            let begin = chars.len();
            chars.extend(text.chars());
            origins.resize(chars.len(), original.clone());
            replacements.push(Replacement { kind: kind.to_owned(), original, placeholder: begin..chars.len() });
            at = end;
        }
        for kept in before {
            let start = chars.len() + kept.placeholder.start - at;
            replacements.push(kept.moved(start));
        }
        chars.extend_from_slice(&self.chars[at..]);
        origins.extend_from_slice(&self.origins[at..]);
        (self.chars, self.origins, self.replacements) = (chars, origins, replacements);
    }

    fn redactions(&self) -> impl Iterator<Item = Redaction> {
        let (line, field) = match &self.source {
            Source::Line(number) => (Some(*number), None),
            Source::Field { field, .. } => (None, Some(field.clone())),
        };
        self.replacements.iter().map(move |part| Redaction {
            kind: part.kind.clone(),
            line,
            field: field.clone(),
            start: part.placeholder.start as u32,
            end: part.placeholder.end as u32,
            polygon: self
                .polygon
                .map(|polygon| part_polygon(&polygon, &self.original, part.original.start, part.original.end)),
        })
    }
}

impl Replacement {
    fn moved(self, start: usize) -> Self {
        let placeholder = start..start + self.placeholder.len();
        Self { placeholder, ..self }
    }
}

/// Returns all lines, and then all values of the fields and names of nested ones. The names of the fields themselves
/// come from the customer and are no text of the page.
pub(crate) fn read_texts(page: &PageText) -> Vec<EditedText> {
    let lines = (0..).zip(&page.lines);
    let mut texts: Vec<EditedText> =
        lines.map(|(number, line)| EditedText::new(Source::Line(number), &line.text, line.polygon)).collect();
    for (field, value) in page.fields.iter().flatten() {
        read_value(field, field, value, &mut texts);
    }
    texts
}

fn read_value(field: &str, label: &str, value: &Value, texts: &mut Vec<EditedText>) {
    let read = |label: &str, text: &str| {
        let source = Source::Field { field: field.to_owned(), label: label.to_owned() };
        EditedText::new(source, text, None)
    };
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::String(text) => texts.push(read(label, text)),
        Value::Number(number) => texts.push(read(label, &number.to_string())),
        Value::Array(values) => values.iter().for_each(|value| read_value(field, label, value, texts)),
        Value::Object(fields) => {
            for (key, value) in fields {
                texts.push(read("", key));
                read_value(field, key, value, texts);
            }
        }
    }
}

/// Writes the changed texts into the page, and lists what was replaced.
pub(crate) fn write_texts(page: &mut PageText, texts: &[EditedText]) {
    let mut rest = texts.iter();
    for (number, line) in (0..).zip(&mut page.lines) {
        if let Some(changed) = rest.next().filter(|text| !text.replacements.is_empty()) {
            let before = std::mem::replace(&mut line.text, changed.text());
            follow_change(&mut page.blocks, number, &before, &line.text);
            // Words of the original text, and positions that the placeholder does not have.
            line.words.clear();
        }
    }
    for (_, value) in page.fields.iter_mut().flatten() {
        write_value(value, &mut rest);
    }
    page.redactions = Some(texts.iter().flat_map(EditedText::redactions).collect());
}

/// Writes the texts of a value in the order in which [`read_value`] has read them.
fn write_value<'a>(value: &mut Value, texts: &mut impl Iterator<Item = &'a EditedText>) {
    let mut next = || texts.next().filter(|text| !text.replacements.is_empty()).map(EditedText::text);
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::String(_) | Value::Number(_) => {
            if let Some(text) = next() {
                *value = Value::String(text);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| write_value(value, texts)),
        Value::Object(fields) => {
            let mut written = Map::new();
            for (key, mut value) in std::mem::take(fields) {
                let key = texts.next().filter(|text| !text.replacements.is_empty()).map_or(key, EditedText::text);
                write_value(&mut value, texts);
                written.insert(key, value);
            }
            *fields = written;
        }
    }
}
