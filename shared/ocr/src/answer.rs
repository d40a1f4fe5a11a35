//! Parses the answer of an end-to-end model for the requested mode. Pure. A malformed answer is kept as text, with a
//! warning.

mod fence;
mod fields;
mod parsed;
mod spotting;
mod tables;
mod translation;

use quire_tasks::{EngineName, Line, Mode, PageText, WarningKind};

use crate::stop_reason::StopReason;
use parsed::{ModelAnswer, ParsedAnswer};

/// Parses an answer to a page. `lines` is the answer, each line with its confidence; `width` and `height` are the size
/// of the page in pixels, which polygons refer to.
///
/// # Examples
/// ```
/// use quire_ocr::{StopReason, parse_answer};
/// use quire_tasks::{EngineName, Mode};
///
/// let engine = EngineName { name: "hunyuan-ocr".to_owned(), version: "1".to_owned() };
/// let lines = vec![("Total(100,200),(300,250)".to_owned(), Some(0.9))];
/// let page = parse_answer(engine, 2_000, 1_000, &Mode::Spotting, lines, StopReason::EndOfText);
/// assert_eq!(page.text(), "Total");
/// assert_eq!(page.lines[0].polygon, Some([[200.0, 200.0], [600.0, 200.0], [600.0, 250.0], [200.0, 250.0]]));
/// ```
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
    let mut page = PageText::from_lines(engine, width, height, 0, taken.lines);
    page.mode = mode.name();
    page.fields = taken.fields;
    page.warnings = match end {
        StopReason::EndOfText => Vec::new(),
        StopReason::TokenLimit => vec![WarningKind::CutOff.into()],
        StopReason::Repetition => vec![WarningKind::Repetition.into()],
    };
    if !taken.is_well_formed {
        page.warnings.push(WarningKind::OtherForm.into());
    }
    page
}

/// Splits a line at `\n` as two characters: the model escapes the break between subtitles as in JSON.
fn line_breaks(line: &Line) -> Vec<Line> {
    line.text.split("\\n").map(|text| Line { text: text.trim().to_owned(), ..line.clone() }).collect()
}

#[cfg(test)]
mod tests;
