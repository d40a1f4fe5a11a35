//! The text of an answer, and the result of parsing it.

use std::ops::Range;

use quire_tasks::Line;
use serde_json::{Map, Value};

/// Result of parsing an answer in a mode.
pub(super) struct ParsedAnswer {
    pub(super) lines: Vec<Line>,
    pub(super) fields: Option<Map<String, Value>>,
    pub(super) is_well_formed: bool,
}

impl ParsedAnswer {
    pub(super) fn from_lines(lines: impl IntoIterator<Item = Line>) -> Self {
        Self { lines: lines.into_iter().collect(), fields: None, is_well_formed: true }
    }
}

/// An answer without trailing white space.
pub(super) struct ModelAnswer {
    pub(super) text: String,
    /// Range and confidence of each line.
    pub(super) lines: Vec<(Range<usize>, Option<f32>)>,
}

impl ModelAnswer {
    pub(super) fn new(lines: Vec<(String, Option<f32>)>) -> Self {
        let mut text = String::new();
        let mut places = Vec::new();
        for (said, confidence) in lines {
            for line in said.split('\n') {
                let start = text.len();
                text.push_str(line);
                places.push((start..text.len(), confidence));
                text.push('\n');
            }
        }
        text.truncate(text.trim_end().len());
        Self { text, lines: places }
    }

    /// Returns the lines inside a range, including blank ones.
    pub(super) fn lines(&self, part: Range<usize>) -> impl Iterator<Item = Line> {
        let lines = self.lines.iter().filter_map(move |(line, confidence)| {
            let shared = line.start.max(part.start)..line.end.min(part.end);
            let there = !shared.is_empty() || (line.is_empty() && shared == *line && !part.is_empty());
            there.then_some((shared, *confidence))
        });
        lines.map(move |(range, confidence)| Line {
            text: self.text[range].to_owned(),
            confidence,
            polygon: None,
            ..Line::default()
        })
    }

    /// Returns a range joined to one line.
    pub(super) fn line(&self, part: Range<usize>) -> Line {
        Line {
            text: join_lines(&self.text[part.clone()]),
            confidence: self.confidence(part),
            polygon: None,
            ..Line::default()
        }
    }

    /// Returns the mean confidence of a range, weighted by the bytes of each line.
    pub(super) fn confidence(&self, part: Range<usize>) -> Option<f32> {
        let shared = self.lines.iter().filter_map(|(line, confidence)| {
            let bytes = line.end.min(part.end).saturating_sub(line.start.max(part.start));
            Some((bytes as f32, (*confidence)?))
        });
        let (bytes, sum) =
            shared.fold((0.0, 0.0), |(all, sum), (bytes, confidence)| (all + bytes, sum + bytes * confidence));
        (bytes > 0.0).then(|| sum / bytes)
    }
}

/// Moves a range of a part of the answer to the whole answer.
pub(super) fn shift_range(range: &Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

/// Joins trimmed, non-blank lines with spaces.
pub(super) fn join_lines(text: &str) -> String {
    let pieces: Vec<&str> = text.lines().map(str::trim).filter(|piece| !piece.is_empty()).collect();
    pieces.join(" ")
}
