//! What an end-to-end model says of a page, taken for what the mode asks for. Pure, and fair: what is not in the form that
//! was asked for stays as it was said, with a warning.

mod fence;
mod fields;
mod spotting;
mod tables;
mod translation;

use std::ops::Range;

use quire_tasks::{EngineName, Line, Mode, PageText, Warning};
use serde_json::{Map, Value};

use crate::End;

/// The page that an answer makes: `lines` is the answer as it stands, each line with how sure the model was of it. Places
/// are in pixels of a page of this width and height.
pub fn page_of_answer(
    engine: EngineName,
    width: u32,
    height: u32,
    mode: &Mode,
    lines: Vec<(String, Option<f32>)>,
    end: End,
) -> PageText {
    let answer = Answer::new(lines);
    let within = fence::within(&answer.text, end);
    let body = within.start..within.start + answer.text[within].trim_end().len();
    let taken = match mode {
        Mode::Text | Mode::Markdown | Mode::Formula => Taken::in_form(answer.lines(body)),
        Mode::Subtitles => Taken::in_form(answer.lines(body).flat_map(|line| line_breaks(&line))),
        Mode::Table => tables::tables(&answer, body),
        Mode::Fields { keys } => fields::fields(&answer, body, keys),
        Mode::Spotting => spotting::spots(&answer, body, (width, height)),
        Mode::Translate { .. } => translation::translation(&answer, body),
    };
    let mut page = PageText::from_lines(engine, width, height, 0, taken.lines);
    page.mode = mode.name();
    page.fields = taken.fields;
    page.warnings = match end {
        End::Said => Vec::new(),
        End::TokenCap => vec![Warning::CutOff],
        End::Repetition => vec![Warning::Repetition],
    };
    if !taken.in_form {
        page.warnings.push(Warning::OtherForm);
    }
    page
}

/// What an answer is taken for.
struct Taken {
    lines: Vec<Line>,
    fields: Option<Map<String, Value>>,
    in_form: bool,
}

impl Taken {
    fn in_form(lines: impl IntoIterator<Item = Line>) -> Self {
        Self { lines: lines.into_iter().collect(), fields: None, in_form: true }
    }
}

/// An answer as it stands, without blanks at its end.
struct Answer {
    text: String,
    /// Where each line is, and how sure the model was of it.
    lines: Vec<(Range<usize>, Option<f32>)>,
}

impl Answer {
    fn new(lines: Vec<(String, Option<f32>)>) -> Self {
        let (mut text, mut places) = (String::new(), Vec::new());
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

    /// The lines of a part of it, blank ones too.
    fn lines(&self, part: Range<usize>) -> impl Iterator<Item = Line> {
        let lines = self.lines.iter().filter_map(move |(line, confidence)| {
            let shared = line.start.max(part.start)..line.end.min(part.end);
            let there = !shared.is_empty() || (line.is_empty() && shared == *line && !part.is_empty());
            there.then_some((shared, *confidence))
        });
        lines.map(move |(range, confidence)| Line { text: self.text[range].to_owned(), confidence, polygon: None })
    }

    /// A part of it as one line.
    fn line(&self, part: Range<usize>) -> Line {
        Line { text: one_line(&self.text[part.clone()]), confidence: self.confidence(part), polygon: None }
    }

    /// How sure the model was of a part: of its lines, by what each has of it.
    fn confidence(&self, part: Range<usize>) -> Option<f32> {
        let shared = self.lines.iter().filter_map(|(line, confidence)| {
            let bytes = line.end.min(part.end).saturating_sub(line.start.max(part.start));
            Some((bytes as f32, (*confidence)?))
        });
        let (bytes, sum) =
            shared.fold((0.0, 0.0), |(all, sum), (bytes, confidence)| (all + bytes, sum + bytes * confidence));
        (bytes > 0.0).then(|| sum / bytes)
    }
}

/// A text that stands in one line.
fn one_line(text: &str) -> String {
    let pieces: Vec<&str> = text.lines().map(str::trim).filter(|piece| !piece.is_empty()).collect();
    pieces.join(" ")
}

/// The model writes the break between subtitles as it is written in JSON, too.
fn line_breaks(line: &Line) -> Vec<Line> {
    line.text.split("\\n").map(|text| Line { text: text.trim().to_owned(), ..line.clone() }).collect()
}

#[cfg(test)]
mod tests;
