//! Joins the characters of a page to words and lines.

use std::collections::{BTreeMap, btree_map::Entry};

use quire_tasks::Polygon;

use crate::{LayerLine, LayerWord};

/// The gap between two words without a space between them, as a share of the line's height.
const WORD_GAP: f32 = 0.25;
/// The gap between two lines on the same row, e.g. cells of a table, as a share of the line's height: more than between
/// most words of a justified column.
const LINE_GAP: f32 = 1.5;
/// How far a character may begin before the end of the one before it, as a share of the height of the line: kerning and
/// accents.
const MAX_OVERLAP: f32 = 0.5;
/// By how much the widths of two glyphs of the same character may differ, as a share of the wider one. Glyphs of one
/// font and size are the same, but for rounding; those of a letter and a ligature differ more.
const MAX_WIDTH_DIFFERENCE: f32 = 0.12;
/// The share of the lower height by which two characters on one line overlap across it: also superscripts.
const MIN_SHARED_HEIGHT: f32 = 0.4;

/// Largest distance of the bounds of the same glyph, in pixels.
const SAME_PLACE: f32 = 0.01;

/// A visible character.
#[derive(Debug, Clone)]
pub(super) struct LayerChar {
    /// One character, or the letters of a ligature.
    pub(super) text: String,
    /// The bounds of the glyph, in pixels: left, top, right, bottom.
    pub(super) glyph: [f32; 4],
    /// The space that it takes in its font at this size, in pixels: left, top, right, bottom.
    pub(super) cell: [f32; 4],
    /// The width of the glyph, as a share of the font's size.
    pub(super) relative_width: f32,
    pub(super) font: u32,
}

/// What follows a character in the document.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Char(LayerChar),
    /// A space, also one that is only a gap.
    Space,
    LineEnd,
}

impl Item {
    /// Returns whether two characters are parts of a ligature, of which pdfium returns each letter in the same place.
    pub(super) fn is_same_glyph(&self, next: &Self) -> bool {
        let (Self::Char(a), Self::Char(b)) = (self, next) else { return false };
        let is_near = |(one, other): (f32, f32)| (one - other).abs() < SAME_PLACE;
        a.font == b.font && a.glyph.into_iter().zip(b.glyph).all(is_near)
    }

    /// Returns a ligature of these items, or the only one.
    pub(super) fn joined(items: &[Self]) -> Self {
        let mut first = items[0].clone();
        for item in &items[1..] {
            if let (Self::Char(first), Self::Char(next)) = (&mut first, item) {
                first.text.push_str(&next.text);
            }
        }
        first
    }
}

/// Collects lines, character by character, in the order of the document.
#[derive(Debug, Default)]
pub(super) struct LineBuilder {
    lines: Vec<LayerLine>,
    words: Vec<OpenWord>,
    /// The top and bottom of the line.
    extent: [f32; 2],
    /// The right end of the last character.
    end: f32,
    is_after_space: bool,
    /// The relative width of each character's first glyph, by font and character.
    widths: BTreeMap<(u32, String), f32>,
}

#[derive(Debug)]
struct OpenWord {
    text: String,
    bounds: [f32; 4],
    font: u32,
    is_doubtful: bool,
}

impl LineBuilder {
    pub(super) fn push(&mut self, item: Item) {
        match item {
            Item::Space => self.is_after_space = true,
            Item::LineEnd => self.end_line(),
            Item::Char(character) => self.push_char(character),
        }
    }

    pub(super) fn finish(mut self) -> Vec<LayerLine> {
        self.end_line();
        self.lines
    }

    fn push_char(&mut self, character: LayerChar) {
        if !self.words.is_empty() && !self.continues(&character) {
            self.end_line();
        }
        let is_doubtful = self.is_other_glyph(&character);
        let LayerChar { text, glyph, cell: [left, top, right, bottom], font, .. } = character;
        let gap = left - self.end;
        let height = bottom - top;
        let is_first = self.words.is_empty();
        let begins_word = self.is_after_space || gap > WORD_GAP * height;
        match self.words.last_mut().filter(|_| !begins_word) {
            Some(word) => {
                word.text.push_str(&text);
                word.bounds = union(word.bounds, glyph);
                word.is_doubtful |= is_doubtful;
            }
            None => self.words.push(OpenWord { text, bounds: glyph, font, is_doubtful }),
        }
        let [line_top, line_bottom] = self.extent;
        self.extent = if is_first { [top, bottom] } else { [line_top.min(top), line_bottom.max(bottom)] };
        self.end = right;
        self.is_after_space = false;
    }

    /// Returns whether an earlier glyph of this font and character has another width.
    fn is_other_glyph(&mut self, character: &LayerChar) -> bool {
        let width = character.relative_width;
        match self.widths.entry((character.font, character.text.clone())) {
            Entry::Occupied(first) => {
                let first = *first.get();
                (first - width).abs() > MAX_WIDTH_DIFFERENCE * first.max(width) + f32::EPSILON
            }
            Entry::Vacant(place) => {
                place.insert(width);
                false
            }
        }
    }

    /// Returns whether a character belongs to the open line.
    fn continues(&self, character: &LayerChar) -> bool {
        let [left, top, _, bottom] = character.cell;
        let [line_top, line_bottom] = self.extent;
        let lower = (bottom - top).min(line_bottom - line_top);
        let shared = bottom.min(line_bottom) - top.max(line_top);
        let height = (bottom - top).max(line_bottom - line_top);
        let gap = left - self.end;
        shared >= MIN_SHARED_HEIGHT * lower && gap <= LINE_GAP * height && gap >= -MAX_OVERLAP * height
    }

    fn end_line(&mut self) {
        self.is_after_space = false;
        let words = std::mem::take(&mut self.words);
        let (Some(first), Some(last)) = (words.first(), words.last()) else { return };
        let [top, bottom] = self.extent;
        let polygon = corners([first.bounds[0], top, last.bounds[2], bottom]);
        let words = words.into_iter().map(OpenWord::close).collect();
        self.lines.push(LayerLine { words, polygon });
    }
}

impl OpenWord {
    fn close(self) -> LayerWord {
        let Self { text, bounds, font, is_doubtful } = self;
        LayerWord { text, polygon: corners(bounds), font, is_doubtful }
    }
}

/// Returns the bounds of two bounds: left, top, right, bottom.
pub(super) fn union(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
    [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]
}

const fn corners([left, top, right, bottom]: [f32; 4]) -> Polygon {
    [[left, top], [right, top], [right, bottom], [left, bottom]]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A character of 8 × 10 pixels in a line of 16 pixels.
    fn character(text: &str, left: f32, top: f32) -> Item {
        Item::Char(LayerChar {
            text: text.to_owned(),
            glyph: [left, top + 3.0, left + 8.0, top + 13.0],
            cell: [left, top, left + 8.0, top + 16.0],
            relative_width: 0.5,
            font: 0,
        })
    }

    fn lines(items: impl IntoIterator<Item = Item>) -> Vec<String> {
        let mut builder = LineBuilder::default();
        for item in items {
            builder.push(item);
        }
        builder.finish().iter().map(LayerLine::text).collect()
    }

    #[test]
    fn words_are_divided_by_spaces_and_by_gaps() {
        let items = [character("a", 0.0, 0.0), character("b", 9.0, 0.0), Item::Space, character("c", 20.0, 0.0)];
        assert_eq!(lines(items), ["ab c"]);
        assert_eq!(lines([character("a", 0.0, 0.0), character("b", 14.0, 0.0)]), ["a b"]);
    }

    #[test]
    fn rows_and_wide_gaps_divide_lines() {
        assert_eq!(lines([character("a", 0.0, 0.0), character("b", 9.0, 18.0)]), ["a", "b"]);
        assert_eq!(lines([character("a", 0.0, 0.0), Item::Space, character("b", 40.0, 0.0)]), ["a", "b"]);
        assert_eq!(lines([character("a", 30.0, 0.0), character("b", 0.0, 0.0)]), ["a", "b"], "a jump to the left");
        assert_eq!(lines([character("a", 0.0, 0.0), character("2", 9.0, -6.0)]), ["a2"], "a superscript");
    }

    #[test]
    fn a_line_has_the_heights_of_its_fonts_and_the_ends_of_its_glyphs() {
        let mut builder = LineBuilder::default();
        builder.push(character("a", 2.0, 0.0));
        builder.push(character("b", 11.0, 4.0));
        let lines = builder.finish();
        assert_eq!(lines[0].polygon, corners([2.0, 0.0, 19.0, 20.0]));
        assert_eq!(lines[0].words[0].polygon, corners([2.0, 3.0, 19.0, 17.0]));
    }
}
