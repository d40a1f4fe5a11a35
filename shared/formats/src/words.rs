//! The words of a line and where each stands.

use quire_tasks::{Line, PageText, Polygon};

use crate::place::{Frame, between};

/// A word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Word<'a> {
    pub(crate) text: &'a str,
    pub(crate) frame: Frame,
}

/// The words of a line: what stands between spaces. An engine says where a line is and not where its words are, so that
/// they share its length by the widths that their characters usually have.
pub(crate) fn words<'a>(line: &'a Line, page: &PageText) -> Vec<Word<'a>> {
    let total = width(&line.text).max(f32::MIN_POSITIVE);
    let mut words = Vec::new();
    for text in line.text.split_whitespace() {
        let start = width(&line.text[..offset(&line.text, text)]) / total;
        let end = start + width(text) / total;
        let frame = match &line.polygon {
            Some(polygon) => Frame::around(&slice(polygon, start, end), page),
            None => Frame::page(page),
        };
        words.push(Word { text, frame });
    }
    words
}

/// Where a part of a text begins in it.
fn offset(whole: &str, part: &str) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}

/// The part of a line from one share of its length to another.
fn slice([start, end, below_end, below_start]: &Polygon, from: f32, to: f32) -> Polygon {
    [
        between(*start, *end, from),
        between(*start, *end, to),
        between(*below_start, *below_end, to),
        between(*below_start, *below_end, from),
    ]
}

/// How wide a text is, in widths of a Chinese character.
pub(crate) fn width(text: &str) -> f32 {
    text.chars().map(|character| if is_wide(character) { 1.0 } else { 0.5 }).sum()
}

/// Whether a character takes a whole square: the blocks of Chinese, Japanese and Korean writing and its punctuation.
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
    fn words_share_the_length_of_their_line() {
        let line = line("ab 发票", 0.9, [[100.0, 10.0], [450.0, 10.0], [450.0, 60.0], [100.0, 60.0]]);
        let page = page(vec![line.clone()]);
        let words = words(&line, &page);
        let frames: Vec<_> = words.iter().map(|word| (word.text, word.frame.left, word.frame.right)).collect();
        // Two halves, a space of a half, and two wholes: 3.5 in 350 pixels.
        assert_eq!(frames, [("ab", 100, 200), ("发票", 250, 450)]);
    }

    #[test]
    fn a_line_without_a_place_has_words_somewhere_on_the_page() {
        let line = Line { polygon: None, ..line("a b", 0.9, [[0.0; 2]; 4]) };
        let page = page(vec![line.clone()]);
        assert!(words(&line, &page).iter().all(|word| word.frame == Frame::page(&page)));
    }
}
