//! The result schema of a page.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Block, Cell, EngineName, FailureCode, ModeName, Polygon, Redaction, TextSource, Warning, WarningCode, WarningKind,
    Word,
};

/// A line of text with its position.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The text.
    pub text: String,
    /// Mean probability of its characters, from 0 to 1; `None` if the engine does not report it.
    pub confidence: Option<f32>,
    /// Its position; `None` if the engine does not report it in this mode.
    pub polygon: Option<Polygon>,
    /// Its words in order: the text split at white space. Empty if the engine does not report their positions, or if
    /// the text was changed after it was read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<Word>,
}

/// The result of a page: the object under [`crate::ObjectKey::PageText`].
///
/// | mode | `lines` | other fields |
/// | --- | --- | --- |
/// | `text` | the text; with positions if the engine reports them | |
/// | `spotting` | the text with positions | |
/// | `markdown` | markdown, with tables as HTML and formulas as LaTeX; with `blocks`: the text with positions | |
/// | `table` | HTML; with `blocks`: the text with positions | |
/// | `formula` | LaTeX | |
/// | `fields` | the model's response | `fields`: the value of each requested key, or `null` |
/// | `subtitles` | the subtitles | |
/// | `translate` | the translation | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageText {
    /// Width of the page in pixels, the coordinate space of the polygons.
    pub width: u32,
    /// Height of the page in pixels.
    pub height: u32,
    /// Clockwise rotation, in degrees, that makes the page upright: 0, 90, 180 or 270.
    pub rotation: u16,
    /// The engine that read it.
    pub engine: EngineName,
    /// The output mode. Default: text.
    #[serde(default)]
    pub mode: ModeName,
    /// Where the text comes from. Default: the image.
    #[serde(default)]
    pub source: TextSource,
    /// The lines in reading order.
    pub lines: Vec<Line>,
    /// Its layout: regions in reading order, with the indices of their lines. Empty if the engine reports no positions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<Block>,
    /// In the mode `fields`: the value of each requested key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Map<String, Value>>,
    /// What is known to be missing or wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// The other engines that were tried, in order, and the reason why each was not used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<TriedEngine>,
    /// The engines that read lines in scripts which `engine` cannot read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub script_engines: Vec<EngineName>,
    /// Who corrected the text, if it was corrected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrected: Option<Correction>,
    /// Matches removed by the task's redaction policy; `Some` if and only if the task has a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redactions: Option<Vec<Redaction>>,
}

/// An engine that was tried for a page and not used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriedEngine {
    /// The engine.
    pub engine: EngineName,
    /// Why another engine was used.
    pub why: FallbackReason,
    /// The failure code, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<FailureCode>,
    /// The confidence of its discarded text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f32>,
}

/// Why an engine's text was not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FallbackReason {
    /// It was not called: it is paused, or its circuit breaker is open.
    Unavailable,
    /// It failed on this page.
    Failed,
    /// Its confidence was below that of the engine used.
    LessSure,
}

/// A manual correction of a page's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// The person, by the name they gave.
    pub by: String,
    /// The time in RFC 3339.
    pub at: String,
}

impl PageText {
    /// Removes the words of all lines, which keep their text.
    pub fn clear_words(&mut self) {
        self.lines.iter_mut().for_each(|line| line.words.clear());
    }

    /// Returns the lines joined by line breaks.
    pub fn text(&self) -> String {
        let lines: Vec<&str> = self.lines.iter().map(|line| line.text.as_str()).collect();
        lines.join("\n")
    }

    /// Returns the texts of a cell of one of its tables: one for each line, or part of a line, in the cell.
    pub fn cell_texts<'a>(&'a self, cell: &'a Cell) -> impl Iterator<Item = &'a str> {
        let texts = cell.lines.iter().filter_map(|part| Some(part.of(&self.lines.get(part.line as usize)?.text)));
        texts.filter(|text| !text.is_empty())
    }

    /// Returns an uncorrected text in the mode `text`, without warnings.
    pub fn from_lines(engine: EngineName, width: u32, height: u32, rotation: u16, lines: Vec<Line>) -> Self {
        Self {
            width,
            height,
            rotation,
            engine,
            mode: ModeName::Text,
            source: TextSource::Ocr,
            lines,
            blocks: Vec::new(),
            fields: None,
            warnings: Vec::new(),
            tried: Vec::new(),
            script_engines: Vec::new(),
            corrected: None,
            redactions: None,
        }
    }

    /// Returns the mean confidence of the text on the page, weighted by its number of characters: that of the lines,
    /// and 0 for text that was detected but not read. `None` if the page has no text or the engine reports no
    /// confidence.
    pub fn confidence(&self) -> Option<f32> {
        let known = self.lines.iter().filter_map(|line| Some((line.confidence?, line.text.chars().count() as f32)));
        let unread = self.warnings.iter().filter_map(|warning| match warning.kind {
            WarningKind::UnreadText { characters, .. } => Some((0.0, characters as f32)),
            _ => None,
        });
        let (sum, characters) = known
            .chain(unread)
            .fold((0.0, 0.0), |(sum, all), (confidence, weight)| (sum + confidence * weight, all + weight));
        if characters > 0.0 { Some(sum / characters) } else { None }
    }

    /// Returns whether text of the page is known to be missing or wrong.
    pub fn is_text_missing(&self) -> bool {
        self.warnings.iter().any(|warning| warning.code().is_text_missing())
    }

    /// Returns the codes of the warnings, each once.
    pub fn warning_codes(&self) -> Vec<WarningCode> {
        let codes: BTreeSet<WarningCode> = self.warnings.iter().map(Warning::code).collect();
        codes.into_iter().collect()
    }
}

/// Returns a task's `avg_confidence`: the mean over the pages that have a confidence.
pub fn average_confidence(pages: impl IntoIterator<Item = Option<f32>>) -> Option<f32> {
    let known: Vec<f32> = pages.into_iter().flatten().collect();
    if known.is_empty() { None } else { Some(known.iter().sum::<f32>() / known.len() as f32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, confidence: f32) -> Line {
        Line { text: text.to_owned(), confidence: Some(confidence), polygon: None, ..Line::default() }
    }

    fn page(lines: Vec<Line>) -> PageText {
        let engine = EngineName { name: "test".to_owned(), version: "1".to_owned() };
        PageText::from_lines(engine, 1, 1, 0, lines)
    }

    #[test]
    fn a_long_line_weighs_more_than_a_short_one() {
        let confidence = page(vec![line("abcdefghi", 1.0), line("x", 0.0)]).confidence();
        assert!(confidence.is_some_and(|c| (c - 0.9).abs() < 1e-6));
    }

    #[test]
    fn a_result_without_a_mode_is_text() {
        let old = r#"{"width":1,"height":1,"rotation":0,"engine":{"name":"a","version":"1"},
            "lines":[{"text":"x","confidence":0.5,"polygon":[[0,0],[1,0],[1,1],[0,1]]}]}"#;
        let page: PageText = serde_json::from_str(old).expect("a page");
        assert_eq!((page.mode, page.confidence()), (ModeName::Text, Some(0.5)));
    }

    #[test]
    fn lines_without_confidence_do_not_count() {
        let unknown = |text: &str| Line { confidence: None, ..line(text, 0.0) };
        assert_eq!(page(vec![unknown("abc")]).confidence(), None);
        assert_eq!(page(vec![unknown("abc"), line("x", 0.25)]).confidence(), Some(0.25));
    }

    #[test]
    fn text_that_was_not_read_lowers_the_confidence() {
        let unread = Warning::from(WarningKind::UnreadText { lines: 1, characters: 6 });
        let partly = PageText { warnings: vec![unread.clone()], ..page(vec![line("ab", 1.0)]) };
        assert!(partly.confidence().is_some_and(|confidence| (confidence - 0.25).abs() < 1e-6));
        let nothing = PageText { warnings: vec![unread], ..page(vec![]) };
        assert_eq!(nothing.confidence(), Some(0.0));
        assert!(nothing.is_text_missing() && !page(vec![]).is_text_missing());
    }

    #[test]
    fn a_blank_page_has_no_confidence_and_does_not_count() {
        assert_eq!(page(vec![]).confidence(), None);
        assert_eq!(average_confidence([None, Some(0.5), None, Some(1.0)]), Some(0.75));
        assert_eq!(average_confidence([None]), None);
    }
}
