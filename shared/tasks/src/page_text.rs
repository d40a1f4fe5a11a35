//! The result schema: what was read on a page.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{EngineName, FailureCode, ModeName, Redaction};

/// Four corners `[x, y]` in pixels of the page as it was sent (after EXIF orientation; for a PDF, as rendered),
/// clockwise from the start of the text.
pub type Polygon = [[f32; 2]; 4];

/// A line of text and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// What it says.
    pub text: String,
    /// 0 to 1: the mean probability of its characters, where the engine says how sure it is.
    pub confidence: Option<f32>,
    /// Where, if the engine says so in this mode.
    pub polygon: Option<Polygon>,
}

/// What was read on a page: the object under [`crate::ObjectKey::PageText`].
///
/// | mode | `lines` | besides |
/// | --- | --- | --- |
/// | `text` | its text; with places if the engine has them | |
/// | `spotting` | its text with places | |
/// | `markdown` | markdown, with tables as HTML and formulas as LaTeX | |
/// | `table` | HTML | |
/// | `formula` | LaTeX | |
/// | `fields` | the model's answer | `fields`: each wanted key's value, `null` where there is none |
/// | `subtitles` | the subtitles | |
/// | `translate` | the translation | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageText {
    /// The page's width in pixels, the frame of the polygons.
    pub width: u32,
    /// The page's height in pixels.
    pub height: u32,
    /// By how many degrees clockwise the page must be turned to be upright: 0, 90, 180 or 270.
    pub rotation: u16,
    /// Who read it.
    pub engine: EngineName,
    /// What was to be made of it.
    #[serde(default)]
    pub mode: ModeName,
    /// The lines in reading order.
    pub lines: Vec<Line>,
    /// In the mode `fields`: the value of every wanted key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Map<String, Value>>,
    /// What is to be known before the text is trusted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// The other engines that were asked, in order, and why none of them is the one that answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<TriedEngine>,
    /// By whom the text was corrected, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrected: Option<Correction>,
    /// What was taken out of the text by the task's policy; there, if perhaps empty, exactly where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redactions: Option<Vec<Redaction>>,
}

/// What is to be known before a text is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// The answer was as long as one may be: there may be more on the page.
    CutOff,
    /// The model went round in circles and was stopped; the repetition is cut away.
    Repetition,
    /// The answer is not in the form that the mode asks for, and stands as the model gave it.
    OtherForm,
}

/// An engine that was asked for a page, and did not answer or not as well as another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriedEngine {
    /// Who.
    pub engine: EngineName,
    /// Why another one answered.
    pub why: FallbackReason,
    /// The failure's code, where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<FailureCode>,
    /// How sure it was of the text that was not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f32>,
}

/// Why an engine is not the one that answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FallbackReason {
    /// It could not be asked: paused, or its circuit breaker is open.
    Unavailable,
    /// It failed on this page.
    Failed,
    /// It was less sure of its text than the one that answered.
    LessSure,
}

/// Who corrected a page's text, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// Who, as they call themselves.
    pub by: String,
    /// When, as RFC 3339 has it.
    pub at: String,
}

impl PageText {
    /// The lines, one below the other.
    pub fn text(&self) -> String {
        let lines: Vec<&str> = self.lines.iter().map(|line| line.text.as_str()).collect();
        lines.join("\n")
    }

    /// A page that an engine has read to lines, and of which there is no more to say.
    pub fn from_lines(engine: EngineName, width: u32, height: u32, rotation: u16, lines: Vec<Line>) -> Self {
        let (mode, fields, corrected, redactions) = (ModeName::Text, None, None, None);
        let (warnings, tried) = (Vec::new(), Vec::new());
        Self { width, height, rotation, engine, mode, lines, fields, warnings, tried, corrected, redactions }
    }

    /// The mean of the lines' confidences weighted by their characters; `None` on a page without text, where there
    /// is nothing to be sure of, and where the engine does not say how sure it is.
    pub fn confidence(&self) -> Option<f32> {
        let known = self.lines.iter().filter_map(|line| Some((line.confidence?, line.text.chars().count() as f32)));
        let (sum, characters) =
            known.fold((0.0, 0.0), |(sum, all), (confidence, weight)| (sum + confidence * weight, all + weight));
        (characters > 0.0).then(|| sum / characters)
    }
}

/// A task's `avg_confidence`: the mean over its pages that have one.
pub fn average_confidence(pages: impl IntoIterator<Item = Option<f32>>) -> Option<f32> {
    let known: Vec<f32> = pages.into_iter().flatten().collect();
    (!known.is_empty()).then(|| known.iter().sum::<f32>() / known.len() as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, confidence: f32) -> Line {
        Line { text: text.to_owned(), confidence: Some(confidence), polygon: None }
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
    fn a_page_of_old_reads_as_text() {
        let old = r#"{"width":1,"height":1,"rotation":0,"engine":{"name":"a","version":"1"},
            "lines":[{"text":"x","confidence":0.5,"polygon":[[0,0],[1,0],[1,1],[0,1]]}]}"#;
        let page: PageText = serde_json::from_str(old).expect("a page");
        assert_eq!((page.mode, page.confidence()), (ModeName::Text, Some(0.5)));
    }

    #[test]
    fn an_engine_that_does_not_say_how_sure_it_is_leaves_it_open() {
        let unsaid = |text: &str| Line { confidence: None, ..line(text, 0.0) };
        assert_eq!(page(vec![unsaid("abc")]).confidence(), None);
        assert_eq!(page(vec![unsaid("abc"), line("x", 0.25)]).confidence(), Some(0.25));
    }

    #[test]
    fn a_blank_page_has_no_confidence_and_does_not_count() {
        assert_eq!(page(vec![]).confidence(), None);
        assert_eq!(average_confidence([None, Some(0.5), None, Some(1.0)]), Some(0.75));
        assert_eq!(average_confidence([None]), None);
    }
}
