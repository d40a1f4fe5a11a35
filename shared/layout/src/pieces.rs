//! Lines, or parts of lines that are divided by wide gaps, with the place of their ink.

use quire_tasks::LinePart;

use crate::{
    gray::GrayImage,
    ink::{Ink, find_ink},
    rect::Rect,
    rulings::Rulings,
    text_widths::{boundary, widths},
};

/// Minimum width of a gap that divides a line, in heights of its box: spaces between words are at most 0.5, also in
/// justified text, and the cells of a table that detection has joined are further apart.
const MIN_GAP: f32 = 0.75;

/// A line or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Piece {
    pub(crate) line: usize,
    /// The range of its characters; `None` for the whole line.
    pub(crate) characters: Option<[usize; 2]>,
    /// Where its text is, without the margins of its box.
    pub(crate) rect: Rect,
    pub(crate) text: String,
}

impl Piece {
    /// Returns the reference to its line.
    pub(crate) fn part(&self) -> LinePart {
        let characters = self.characters.map(|range| range.map(|character| character as u32));
        LinePart { line: self.line as u32, characters }
    }

    /// Returns whether it is a number, an amount or a date: mostly digits.
    pub(crate) fn is_numeric(&self) -> bool {
        is_numeric(&self.text)
    }
}

/// Returns whether a text has at least as many digits as letters.
pub(crate) fn is_numeric(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    digits > 0 && digits >= text.chars().filter(|character| character.is_alphabetic()).count()
}

/// A line with its ink.
#[derive(Debug)]
pub(crate) struct InkLine {
    index: usize,
    text: String,
    ink: Ink,
    /// The place of the text, without the margins of its box.
    rect: Rect,
    line_box: Rect,
    /// Height of the box.
    height: f32,
}

impl InkLine {
    /// Returns a line with the ink in its box.
    pub(crate) fn new(index: usize, text: &str, line_box: Rect, image: &GrayImage, rulings: &Rulings) -> Self {
        let ink = find_ink(image, &line_box, rulings);
        // Detection expands boxes around their text.
        let margin = line_box.height().min(line_box.width()) / 6.0;
        let [left, right] = ink.extent();
        let rect = Rect { left, right, top: line_box.top + margin, bottom: line_box.bottom - margin };
        Self { index, text: text.to_owned(), ink, rect, line_box, height: line_box.height() }
    }

    pub(crate) const fn rect(&self) -> &Rect {
        &self.rect
    }

    pub(crate) const fn line_box(&self) -> &Rect {
        &self.line_box
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) const fn index(&self) -> usize {
        self.index
    }

    /// Returns the line divided at its wide gaps.
    pub(crate) fn pieces(&self) -> Vec<Piece> {
        let gaps = self.ink.fragments.windows(2).map(|pair| [pair[0][1], pair[1][0]]);
        let wide = gaps.filter(|gap| gap[1] - gap[0] >= MIN_GAP * self.height);
        self.divided(&wide.collect::<Vec<_>>())
    }

    /// Returns the line divided where it crosses one of these places, from the left.
    pub(crate) fn pieces_between(&self, places: &[f32]) -> Vec<Piece> {
        let overhang = 0.15 * self.height;
        let crossed =
            places.iter().filter(|place| (self.rect.left + overhang..self.rect.right - overhang).contains(*place));
        let gaps = crossed.map(|place| self.ink.gap_at(*place, self.height));
        self.divided(&gaps.collect::<Vec<_>>())
    }

    /// Returns the line divided at those of these places, from the left, where it has a gap that is wider than between
    /// letters.
    pub(crate) fn pieces_at_gaps(&self, places: &[f32], line_height: f32) -> Vec<Piece> {
        let inside = places.iter().filter(|place| (self.rect.left..self.rect.right).contains(*place));
        let gaps = inside.map(|place| self.ink.gap_at(*place, self.height));
        let mut gaps: Vec<[f32; 2]> = gaps.filter(|gap| gap[1] - gap[0] >= 0.14 * line_height).collect();
        gaps.dedup();
        self.divided(&gaps)
    }

    /// Returns the line divided at these gaps, from the left.
    fn divided(&self, gaps: &[[f32; 2]]) -> Vec<Piece> {
        let all = self.text.chars().count();
        if gaps.is_empty() {
            let piece = Piece { line: self.index, characters: None, rect: self.rect, text: self.text.clone() };
            return vec![piece];
        }
        let mut pieces = Vec::new();
        let (mut start, mut left) = (0, self.rect.left);
        let characters: Vec<char> = self.text.chars().collect();
        let estimated = widths(&characters);
        for (index, gap) in gaps.iter().enumerate() {
            let end = boundary(&characters, &estimated, &self.ink, *gap).clamp(start, all);
            self.push(&mut pieces, &characters, [start, end], [left, gap[0]]);
            (start, left) = (end, gaps[index][1]);
        }
        self.push(&mut pieces, &characters, [start, all], [left, self.rect.right]);
        pieces
    }

    fn push(&self, pieces: &mut Vec<Piece>, characters: &[char], range: [usize; 2], [left, right]: [f32; 2]) {
        let text: String = characters[range[0]..range[1]].iter().collect();
        if !text.trim().is_empty() {
            let rect = Rect { left, right: right.max(left), ..self.rect };
            let text = text.trim().to_owned();
            pieces.push(Piece { line: self.index, characters: Some(range), rect, text });
        }
    }
}
