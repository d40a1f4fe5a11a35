//! The result schema: what was read on a page.

use serde::{Deserialize, Serialize};

/// Four corners `[x, y]` in pixels of the page as it was sent (after EXIF orientation; for a PDF, as rendered),
/// clockwise from the start of the text.
pub type Polygon = [[f32; 2]; 4];

/// Which engine read a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineName {
    /// `pp-ocr`, say.
    pub name: String,
    /// `v6-small`, say.
    pub version: String,
}

/// A line of text and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// What it says.
    pub text: String,
    /// 0 to 1: the mean probability of its characters.
    pub confidence: f32,
    /// Where.
    pub polygon: Polygon,
}

/// What was read on a page: the object under [`crate::Key::PageText`].
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
    /// The lines in reading order.
    pub lines: Vec<Line>,
}

impl PageText {
    /// The lines, one below the other.
    pub fn text(&self) -> String {
        let lines: Vec<&str> = self.lines.iter().map(|line| line.text.as_str()).collect();
        lines.join("\n")
    }

    /// The mean of the lines' confidences weighted by their characters; `None` on a page without text, where there
    /// is nothing to be sure of.
    pub fn confidence(&self) -> Option<f32> {
        let weight = |line: &Line| line.text.chars().count() as f32;
        let characters: f32 = self.lines.iter().map(weight).sum();
        let sum: f32 = self.lines.iter().map(|line| line.confidence * weight(line)).sum();
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
        Line { text: text.to_owned(), confidence, polygon: [[0.0; 2]; 4] }
    }

    fn page(lines: Vec<Line>) -> PageText {
        let engine = EngineName { name: "test".to_owned(), version: "1".to_owned() };
        PageText { width: 1, height: 1, rotation: 0, engine, lines }
    }

    #[test]
    fn a_long_line_weighs_more_than_a_short_one() {
        let confidence = page(vec![line("abcdefghi", 1.0), line("x", 0.0)]).confidence();
        assert!(confidence.is_some_and(|c| (c - 0.9).abs() < 1e-6));
    }

    #[test]
    fn a_blank_page_has_no_confidence_and_does_not_count() {
        assert_eq!(page(vec![]).confidence(), None);
        assert_eq!(average_confidence([None, Some(0.5), None, Some(1.0)]), Some(0.75));
        assert_eq!(average_confidence([None]), None);
    }
}
