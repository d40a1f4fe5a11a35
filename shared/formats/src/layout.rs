//! The blocks, lines and words of a page with their positions: what hOCR and ALTO have in common.

use std::{collections::BTreeSet, fmt};

use quire_tasks::{BlockKind, PageText};

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

/// A block of a page.
#[derive(Debug)]
pub(crate) struct BlockLayout<'a> {
    /// Counted from 1.
    pub(crate) number: usize,
    pub(crate) kind: BlockKind,
    pub(crate) block_box: LineBox,
    pub(crate) lines: Vec<LineLayout<'a>>,
}

/// Returns the blocks of a page in reading order, each line in one of them. Without blocks, each line is a paragraph.
pub(crate) fn layout_blocks(page: &PageText) -> Vec<BlockLayout<'_>> {
    let mut lines: Vec<Option<LineLayout<'_>>> = layout_lines(page).map(Some).collect();
    let mut taken = BTreeSet::new();
    let mut blocks: Vec<(BlockKind, LineBox, Vec<LineLayout<'_>>)> = Vec::new();
    for block in &page.blocks {
        // A line that extends over two tables is in the first of them.
        let new = block.lines.iter().map(|line| *line as usize).filter(|line| taken.insert(*line));
        let own = new.filter_map(|line| lines.get_mut(line)?.take()).collect();
        blocks.push((block.kind, LineBox::of_polygon(&block.polygon, page), own));
    }
    blocks.extend(lines.into_iter().flatten().map(|line| (BlockKind::Paragraph, line.line_box, vec![line])));
    let numbered = (1..).zip(blocks);
    numbered.map(|(number, (kind, block_box, lines))| BlockLayout { number, kind, block_box, lines }).collect()
}

/// Returns the lines of a page in reading order.
fn layout_lines(page: &PageText) -> impl Iterator<Item = LineLayout<'_>> {
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
