//! The lines and words of a page with their positions: what hOCR and ALTO have in common.

use std::fmt;

use quire_tasks::PageText;

use crate::{
    line_box::LineBox,
    words::{Word, split_words},
};

/// A line of a page.
#[derive(Debug)]
pub(crate) struct LineLayout<'a> {
    /// Counted from 1.
    pub(crate) number: usize,
    pub(crate) line_box: LineBox,
    pub(crate) words: Vec<Word<'a>>,
}

/// Returns the lines of a page in reading order.
pub(crate) fn layout_lines(page: &PageText) -> impl Iterator<Item = LineLayout<'_>> {
    (1..).zip(&page.lines).map(|(number, line)| LineLayout {
        number,
        line_box: LineBox::of_line(line, page),
        words: split_words(line, page),
    })
}

impl LineLayout<'_> {
    /// Writes the words, numbered from 1, with `separator` between them.
    pub(crate) fn write_words(
        &self,
        out: &mut String,
        separator: &str,
        mut write_word: impl FnMut(&mut String, usize, &Word<'_>) -> fmt::Result,
    ) -> fmt::Result {
        for (number, word) in (1..).zip(&self.words) {
            if number > 1 {
                out.push_str(separator);
            }
            write_word(out, number, word)?;
        }
        Ok(())
    }
}
