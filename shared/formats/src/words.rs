//! The words of a line and their positions: those that the engine reported, or estimates.

use quire_tasks::{Line, PageText, Polygon};

use crate::line_box::{LineBox, interpolate};

/// A word with its bounding box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Word<'a> {
    pub(crate) text: &'a str,
    pub(crate) bounds: LineBox,
    /// Its own confidence, or that of its line.
    pub(crate) confidence: Option<f32>,
}

/// Returns the words of a line. If its engine did not report their positions, it is split at white space, and each
/// word's position is estimated from the typical widths of its characters. The words of a line without a position have
/// the box of the page.
pub(crate) fn split_words<'a>(line: &'a Line, page: &PageText) -> Vec<Word<'a>> {
    let confidence = line.confidence;
    if has_words(line) {
        let located = line.words.iter().map(|word| Word {
            text: &word.text,
            bounds: LineBox::of_polygon(&word.polygon, page),
            confidence: word.confidence.or(confidence),
        });
        return located.collect();
    }
    if line.polygon.is_none() {
        let words = line.text.split_whitespace();
        return words.map(|text| Word { text, bounds: LineBox::of_page(page), confidence }).collect();
    }
    let words = word_polygons(line).into_iter();
    words.map(|(text, polygon)| Word { text, bounds: LineBox::of_polygon(&polygon, page), confidence }).collect()
}

/// Returns the words of a line with estimated positions; nothing if the line has none.
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

/// Returns whether the words of a line are those of its text, so that nothing else is ever written in its place.
fn has_words(line: &Line) -> bool {
    line.words.iter().map(|word| word.text.as_str()).eq(line.text.split_whitespace())
}

/// Returns the words of a line whose engine reported their positions, each with its part of the line's polygon, which
/// is as high as the line. `None` if the line has none, or no position.
pub(crate) fn line_sections(line: &Line) -> Option<Vec<(&str, Polygon)>> {
    let polygon = line.polygon.filter(|_| has_words(line))?;
    let [_, _, end, start] = polygon;
    let along = [end[0] - start[0], end[1] - start[1]];
    let square = along[0].mul_add(along[0], along[1] * along[1]);
    let share = |[x, y]: [f32; 2]| (x - start[0]).mul_add(along[0], (y - start[1]) * along[1]) / square;
    let section = |word: &'_ quire_tasks::Word| {
        let [_, _, end, start] = word.polygon;
        slice_polygon(&polygon, share(start), share(end))
    };
    Some(line.words.iter().map(|word| (word.text.as_str(), section(word))).collect())
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
        let boxes: Vec<_> = words.iter().map(|word| (word.text, word.bounds.left, word.bounds.right)).collect();
        // Two half-width letters, a half-width space, and two full-width characters: 3.5 units in 350 pixels.
        assert_eq!(boxes, [("ab", 100, 200), ("发票", 250, 450)]);
    }

    #[test]
    fn reported_words_are_used_only_if_they_are_those_of_the_text() {
        let word = |text: &str, left: f32, right: f32| quire_tasks::Word {
            text: text.to_owned(),
            confidence: Some(0.5),
            polygon: [[left, 20.0], [right, 20.0], [right, 50.0], [left, 50.0]],
        };
        let line = line("a b", 0.9, [[100.0, 10.0], [200.0, 10.0], [200.0, 60.0], [100.0, 60.0]]);
        let line = Line { words: vec![word("a", 100.0, 120.0), word("b", 170.0, 200.0)], ..line };
        let page = page(vec![line.clone()]);
        let words = split_words(&line, &page);
        let boxes: Vec<_> = words.iter().map(|word| (word.bounds.left, word.bounds.right, word.confidence)).collect();
        assert_eq!(boxes, [(100, 120, Some(0.5)), (170, 200, Some(0.5))]);
        let sections = line_sections(&line).expect("it has words");
        assert_eq!(sections[1], ("b", [[170.0, 10.0], [200.0, 10.0], [200.0, 60.0], [170.0, 60.0]]));
        let changed = Line { text: "a [email]".to_owned(), ..line };
        assert!(split_words(&changed, &page).iter().all(|word| word.confidence == Some(0.9)));
        assert_eq!(line_sections(&changed), None);
    }

    #[test]
    fn words_of_a_line_without_a_position_have_the_box_of_the_page() {
        let line = Line { polygon: None, ..line("a b", 0.9, [[0.0; 2]; 4]) };
        let page = page(vec![line.clone()]);
        assert!(split_words(&line, &page).iter().all(|word| word.bounds == LineBox::of_page(&page)));
    }
}
