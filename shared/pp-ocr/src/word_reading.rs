//! The words of a line, as the recognizer reads them: what their characters are, and where the first and the last one
//! are.

use std::ops::Range;

use crate::{
    geometry::{Point, Quad},
    line_image::LINE_IMAGE_HEIGHT,
};

/// A word: a run of characters without white space.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WordReading {
    /// Its bytes in the text of the line.
    pub(crate) bytes: Range<usize>,
    /// Sum of the logarithms of its characters' probabilities.
    pub(crate) log_likelihood: f32,
    /// Centers of its first and last character: in the line image, and in the page once it is placed there.
    pub(crate) ends: [Point; 2],
}

impl WordReading {
    /// Creates a word of one character, whose center is in this column of the line image.
    pub(crate) fn new(bytes: Range<usize>, column: usize) -> Self {
        let center = [column as f32, LINE_IMAGE_HEIGHT as f32 / 2.0];
        Self { bytes, log_likelihood: 0.0, ends: [center; 2] }
    }

    /// Returns the probability that the whole word is correct.
    pub(crate) fn certainty(&self) -> f32 {
        self.log_likelihood.exp().min(1.0)
    }

    /// Moves the ends from a line image of this width to the page, from which it was drawn at `quad`.
    pub(crate) fn place(&mut self, quad: &Quad, columns: usize) {
        let [start, end, _, below] = quad.0;
        let to_page = |[column, row]: Point| {
            let along = column / columns.max(1) as f32;
            let down = row / LINE_IMAGE_HEIGHT as f32;
            [0, 1].map(|axis| start[axis] + along * (end[axis] - start[axis]) + down * (below[axis] - start[axis]))
        };
        self.ends = self.ends.map(to_page);
    }
}

/// Appends the words of the next piece of a line, whose text starts at byte `offset`. `is_one_word` says that the last
/// word continues there.
pub(crate) fn append_words(words: &mut Vec<WordReading>, next: &[WordReading], offset: usize, is_one_word: bool) {
    let mut rest = next.iter();
    if is_one_word
        && let Some(last) = words.last_mut()
        && let Some(first) = rest.next()
    {
        last.bytes.end = first.bytes.end + offset;
        last.log_likelihood += first.log_likelihood;
        last.ends[1] = first.ends[1];
    }
    words.extend(
        rest.map(|word| WordReading { bytes: word.bytes.start + offset..word.bytes.end + offset, ..word.clone() }),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_placed_where_its_line_was_drawn_from() {
        let mut word = WordReading::new(0..1, 25);
        word.ends[1][0] = 75.0;
        // A line of 200 × 20 pixels that runs down the page.
        word.place(&Quad([[40.0, 10.0], [40.0, 210.0], [20.0, 210.0], [20.0, 10.0]]), 100);
        assert_eq!(word.ends, [[30.0, 60.0], [30.0, 160.0]]);
    }

    #[test]
    fn a_word_may_continue_in_the_next_piece_of_its_line() {
        let word = |bytes, column| WordReading::new(bytes, column);
        let next = [word(0..2, 8), word(3..4, 24)];
        let bytes = |is_one_word| {
            let mut words = vec![word(0..3, 4)];
            append_words(&mut words, &next, 3, is_one_word);
            words.into_iter().map(|word| word.bytes).collect::<Vec<_>>()
        };
        assert_eq!(bytes(true), [0..5, 6..7]);
        assert_eq!(bytes(false), [0..3, 3..5, 6..7]);
    }
}
