//! The words of a line and their positions.

use quire_tasks::{Line, PageText, Polygon};

use crate::line_box::{LineBox, interpolate};

/// A word with its bounding box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Word<'a> {
    pub(crate) text: &'a str,
    pub(crate) word_box: LineBox,
}

/// Splits a line at whitespace. The words of a line without a position have the box of the page.
pub(crate) fn split_words<'a>(line: &'a Line, page: &PageText) -> Vec<Word<'a>> {
    if line.polygon.is_none() {
        let words = line.text.split_whitespace();
        return words.map(|text| Word { text, word_box: LineBox::of_page(page) }).collect();
    }
    let words = word_polygons(line).into_iter();
    words.map(|(text, polygon)| Word { text, word_box: LineBox::of_polygon(&polygon, page) }).collect()
}

/// Returns the words of a line with their positions; nothing if the line has none. Engines return positions of lines,
/// not of words, so that each word's position is estimated from the typical widths of its characters.
pub(crate) fn word_polygons(line: &Line) -> Vec<(&str, Polygon)> {
    let Some(polygon) = &line.polygon else { return Vec::new() };
    let total = width(&line.text).max(f32::MIN_POSITIVE);
    let mut words = Vec::new();
    for text in line.text.split_whitespace() {
        let start = width(&line.text[..offset(&line.text, text)]) / total;
        let end = start + width(text) / total;
        words.push((text, slice_polygon(polygon, start, end)));
    }
    words
}

/// Returns the byte offset of a substring in the string that it borrows from.
fn offset(whole: &str, part: &str) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}

/// Returns the part of a line's polygon between two shares of its length.
fn slice_polygon([top_left, top_right, bottom_right, bottom_left]: &Polygon, from: f32, to: f32) -> Polygon {
    [
        interpolate(*top_left, *top_right, from),
        interpolate(*top_left, *top_right, to),
        interpolate(*bottom_left, *bottom_right, to),
        interpolate(*bottom_left, *bottom_right, from),
    ]
}

/// Returns the estimated width of a text, in widths of a Chinese character.
pub(crate) fn width(text: &str) -> f32 {
    text.chars().map(|character| if is_wide(character) { 1.0 } else { 0.5 }).sum()
}

/// Returns whether a character is as wide as it is high: Chinese, Japanese and Korean characters and punctuation (the
/// wide blocks of Unicode Standard Annex #11).
pub(crate) const fn is_wide(character: char) -> bool {
    matches!(character,
        '\u{1100}'..='\u{115F}' | '\u{2E80}'..='\u{303E}' | '\u{3041}'..='\u{A4CF}' | '\u{AC00}'..='\u{D7A3}'
        | '\u{F900}'..='\u{FAFF}' | '\u{FE30}'..='\u{FE6F}' | '\u{FF00}'..='\u{FF60}' | '\u{FFE0}'..='\u{FFE6}'
        | '\u{20000}'..='\u{3FFFD}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plain::tests::{line, page};

    #[test]
    fn words_share_the_width_of_their_line() {
        let line = line("ab 发票", 0.9, [[100.0, 10.0], [450.0, 10.0], [450.0, 60.0], [100.0, 60.0]]);
        let page = page(vec![line.clone()]);
        let words = split_words(&line, &page);
        let boxes: Vec<_> = words.iter().map(|word| (word.text, word.word_box.left, word.word_box.right)).collect();
        // Two half-width letters, a half-width space, and two full-width characters: 3.5 units in 350 pixels.
        assert_eq!(boxes, [("ab", 100, 200), ("发票", 250, 450)]);
    }

    #[test]
    fn words_of_a_line_without_a_position_have_the_box_of_the_page() {
        let line = Line { polygon: None, ..line("a b", 0.9, [[0.0; 2]; 4]) };
        let page = page(vec![line.clone()]);
        assert!(split_words(&line, &page).iter().all(|word| word.word_box == LineBox::of_page(&page)));
    }
}
