//! The text that a page of a PDF contains, as positions and Unicode characters.

use quire_tasks::Polygon;
use serde::{Deserialize, Serialize};

/// The visible text of a page as its PDF states it, in pixels of the [page's image](crate::PageImage). It may be wrong:
/// fonts may map their glyphs to other characters, and text may be covered or white on white.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TextLayer {
    /// The lines in the document's order, which may differ from the reading order.
    pub lines: Vec<LayerLine>,
    /// Whether the page has content that `lines` do not contain: images, drawings, annotations, or text that is skewed
    /// or on its side.
    pub has_other_content: bool,
    /// Whether a part of the text cannot be known: characters without Unicode values, or scripts that run from right to
    /// left or from top to bottom.
    pub is_incomplete: bool,
}

/// A line: words of one height in one direction, without wide gaps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerLine {
    /// The words in their order.
    pub words: Vec<LayerWord>,
    /// The place of the line, from the start of its text, with the heights of its fonts.
    pub polygon: Polygon,
}

/// A word: characters without a space between them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerWord {
    /// The text, not empty and without control characters.
    pub text: String,
    /// The bounds of its glyphs.
    pub polygon: Polygon,
    /// The number of the font of its first character, counted from 0 on each page.
    pub font: u32,
    /// Whether one of its characters has another width elsewhere in the same font and size: two glyphs have the same
    /// character, so one of them is probably wrong.
    pub is_doubtful: bool,
}

impl LayerLine {
    /// Returns the words with single spaces between them.
    pub fn text(&self) -> String {
        let words: Vec<&str> = self.words.iter().map(|word| word.text.as_str()).collect();
        words.join(" ")
    }
}
