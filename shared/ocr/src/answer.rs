//! What an end-to-end model says of a page, taken for what the mode asks for. Pure, and fair: what is not in the form that
//! was asked for stays as it was said, with a warning.

mod fence;
mod fields;
mod parsed;
mod spotting;
mod tables;
mod translation;

use quire_tasks::{EngineName, Line, Mode, PageText, Warning};

use crate::stop_reason::StopReason;
use parsed::{ModelAnswer, ParsedAnswer};

/// The page that an answer makes: `lines` is the answer as it stands, each line with how sure the model was of it. Places
/// are in pixels of a page of this width and height.
pub fn parse_answer(
    engine: EngineName,
    width: u32,
    height: u32,
    mode: &Mode,
    lines: Vec<(String, Option<f32>)>,
    end: StopReason,
) -> PageText {
    let answer = ModelAnswer::new(lines);
    let within = fence::within(&answer.text, end);
    let body = within.start..within.start + answer.text[within].trim_end().len();
    let taken = match mode {
        Mode::Text | Mode::Markdown | Mode::Formula => ParsedAnswer::from_lines(answer.lines(body)),
        Mode::Subtitles => ParsedAnswer::from_lines(answer.lines(body).flat_map(|line| line_breaks(&line))),
        Mode::Table => tables::tables(&answer, body),
        Mode::Fields { keys } => fields::fields(&answer, body, keys),
        Mode::Spotting => spotting::spots(&answer, body, (width, height)),
        Mode::Translate { .. } => translation::translation(&answer, body),
    };
    let mut page = PageText::of_lines(engine, width, height, 0, taken.lines);
    page.mode = mode.name();
    page.fields = taken.fields;
    page.warnings = match end {
        StopReason::EndOfText => Vec::new(),
        StopReason::TokenLimit => vec![Warning::CutOff],
        StopReason::Repetition => vec![Warning::Repetition],
    };
    if !taken.is_well_formed {
        page.warnings.push(Warning::OtherForm);
    }
    page
}

/// The model writes the break between subtitles as it is written in JSON, too.
fn line_breaks(line: &Line) -> Vec<Line> {
    line.text.split("\\n").map(|text| Line { text: text.trim().to_owned(), ..line.clone() }).collect()
}

#[cfg(test)]
mod tests;
