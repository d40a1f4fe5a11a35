//! Blocks of text: titles, headings, paragraphs, lists and what is at the edges of a page, by the sizes, the distances
//! and the indents of lines.

use quire_tasks::{Block, BlockKind};

use crate::{
    markers::{is_caption, is_list_marker, is_page_number, numbered_heading_level},
    rect::{Rect, median},
    upright::Upright,
};

/// A heading is higher than the lines of running text by this factor,
const HEADING_SIZE: f32 = 1.22;
/// a title by this one, and nothing on its page is higher;
const TITLE_SIZE: f32 = 1.4;
/// both have at most this many lines.
const MAX_HEADING_LINES: usize = 3;
/// Lines of a block have the same height within this factor.
const SAME_SIZE: f32 = 1.22;
/// Maximum gap between lines of a block, in their height: normal leading is 0.2 to 0.7.
const MAX_LEADING: f32 = 1.0;
/// A gap that is larger than the usual one of its column by this factor ends a paragraph.
const WIDE_LEADING: f32 = 1.45;
/// An indent begins a paragraph, in heights of a line.
const INDENT: f32 = 0.9;
/// A line that ends before this share of its column's width ends a paragraph.
const SHORT_LINE: f32 = 0.8;
/// Share of the height of a page at its top and bottom where headers, footers and page numbers are.
const EDGE: f32 = 0.09;
/// Minimum gap between what is at the edge and the content, in heights of a line.
const EDGE_GAP: f32 = 1.2;
/// A footnote is lower than running text by this factor.
const SMALL_PRINT: f32 = 0.9;

/// A line of text that is in no table.
#[derive(Debug, Clone)]
pub(crate) struct TextLine {
    pub(crate) index: usize,
    pub(crate) rect: Rect,
    pub(crate) text: String,
}

/// What is known about the page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageMeasures {
    /// Width and height of the upright page.
    pub(crate) size: [f32; 2],
    /// Usual height of running text.
    pub(crate) body: f32,
    /// Height of a short ruling above footnotes, if there is one.
    pub(crate) note_ruling: Option<f32>,
}

/// A block of text on the upright page.
#[derive(Debug, Clone)]
pub(crate) struct TextBlock {
    pub(crate) kind: BlockKind,
    pub(crate) level: Option<u8>,
    pub(crate) rect: Rect,
    pub(crate) lines: Vec<TextLine>,
}

impl TextBlock {
    fn new(lines: Vec<TextLine>) -> Self {
        let rect = Rect::union(lines.iter().map(|line| line.rect)).unwrap_or(Rect::around(&[[0.0; 2]]));
        Self { kind: BlockKind::Paragraph, level: None, rect, lines }
    }

    fn height(&self) -> f32 {
        median(self.lines.iter().map(|line| line.rect.height()))
    }

    fn characters(&self) -> usize {
        self.lines.iter().map(|line| line.text.chars().count()).sum()
    }

    pub(crate) fn into_block(self, upright: &Upright) -> Block {
        Block {
            kind: self.kind,
            polygon: upright.polygon(&self.rect),
            level: self.level,
            lines: self.lines.iter().map(|line| line.index as u32).collect(),
            table: None,
        }
    }
}

/// Returns the usual height of running text: that of most characters.
pub(crate) fn body_height(lines: &[TextLine]) -> f32 {
    median(lines.iter().flat_map(|line| {
        let weight = (line.text.chars().count() / 8).clamp(1, 20);
        std::iter::repeat_n(line.rect.height(), weight)
    }))
}

/// Returns the blocks of these runs of lines. Each run is consecutive in reading order, with no table in between.
pub(crate) fn text_blocks(runs: Vec<Vec<TextLine>>, measures: &PageMeasures) -> Vec<TextBlock> {
    let mut blocks: Vec<TextBlock> =
        runs.into_iter().flat_map(|run| group_lines(&run, measures)).map(TextBlock::new).collect();
    mark_edges(&mut blocks, measures);
    mark_headings(&mut blocks, measures);
    for block in blocks.iter_mut().filter(|block| block.kind == BlockKind::Paragraph) {
        let first = block.lines.first().map_or("", |line| line.text.as_str());
        let is_note =
            measures.note_ruling.is_some_and(|at| block.rect.top > at) && block.height() < SMALL_PRINT * measures.body;
        block.kind = if is_note {
            BlockKind::Footnote
        } else if is_list_marker(first) {
            BlockKind::List
        } else if is_caption(first) && block.lines.len() <= 4 {
            BlockKind::Caption
        } else {
            BlockKind::Paragraph
        };
    }
    join_lists(blocks)
}

/// Divides lines in reading order into blocks.
fn group_lines(lines: &[TextLine], measures: &PageMeasures) -> Vec<Vec<TextLine>> {
    let mut groups: Vec<Vec<TextLine>> = Vec::new();
    let columns = columns_of(lines, measures);
    for (index, line) in lines.iter().enumerate() {
        let next_column = columns[index];
        match groups.last_mut().filter(|group| continues(group, line, next_column)) {
            Some(group) => group.push(line.clone()),
            None => groups.push(vec![line.clone()]),
        }
    }
    groups
}

/// The column around a line.
#[derive(Debug, Clone, Copy)]
struct Column {
    left: f32,
    right: f32,
    /// The usual gap between its lines.
    leading: f32,
}

/// Returns the column of each line: the lines around it, in reading order, that are below each other.
fn columns_of(lines: &[TextLine], measures: &PageMeasures) -> Vec<Column> {
    let is_below = |upper: &Rect, lower: &Rect| {
        lower.top > upper.top && lower.shared_width(upper) > 0.0 && lower.top - upper.bottom < 3.0 * measures.body
    };
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for index in 0..lines.len() {
        match runs.last_mut().filter(|_| index > 0 && is_below(&lines[index - 1].rect, &lines[index].rect)) {
            Some(run) => run.end = index + 1,
            None => runs.push(index..index + 1),
        }
    }
    let column = |run: std::ops::Range<usize>| {
        let rects: Vec<Rect> = lines[run.clone()].iter().map(|line| line.rect).collect();
        let around = Rect::union(rects.iter().copied()).unwrap_or(lines[run.start].rect);
        let gaps: Vec<f32> = rects.windows(2).map(|pair| (pair[1].top - pair[0].bottom).max(0.0)).collect();
        // The smaller gaps are those within paragraphs.
        let mut sorted = gaps;
        sorted.sort_by(f32::total_cmp);
        let leading = sorted.get(sorted.len() / 3).copied().unwrap_or(0.0);
        std::iter::repeat_n(Column { left: around.left, right: around.right, leading }, run.len())
    };
    runs.into_iter().flat_map(column).collect()
}

/// Returns whether a line continues a block.
fn continues(block: &[TextLine], line: &TextLine, column: Column) -> bool {
    let Some(last) = block.last() else { return false };
    let (upper, lower) = (&last.rect, &line.rect);
    let height = upper.height().max(lower.height());
    let gap = lower.top - upper.bottom;
    let is_below = lower.center()[1] > upper.bottom && lower.shared_width(upper) > 0.0;
    let is_same_size = height <= SAME_SIZE * upper.height().min(lower.height());
    if !is_below || !is_same_size || gap > MAX_LEADING * height {
        return false;
    }
    if gap > WIDE_LEADING * column.leading + 0.25 * height || is_list_marker(&line.text) {
        return false;
    }
    let width = (column.right - column.left).max(1.0);
    let is_short = upper.right < column.left + SHORT_LINE * width;
    let starts_list = is_list_marker(&block[0].text);
    let usual_left = block.iter().skip(1).map(|line| line.rect.left).fold(f32::INFINITY, f32::min);
    let left = if usual_left.is_finite() { usual_left } else { upper.left };
    let is_indented = lower.left - left > INDENT * height && block.len() > 1
        || lower.left - column.left > INDENT * height && (upper.left - column.left) < 0.5 * height;
    let is_outdented = starts_list && lower.left < block[0].rect.left - 0.5 * height;
    let is_centered = (lower.center()[0] - upper.center()[0]).abs() < height && !(is_short && is_indented);
    if starts_list {
        return !(is_outdented || is_short && lower.left <= block[0].rect.left + 0.3 * height);
    }
    if is_centered && (upper.left - lower.left).abs() > height {
        return true;
    }
    !(is_indented || is_short && ends_sentence(&last.text))
}

fn ends_sentence(text: &str) -> bool {
    text.trim_end().ends_with(['.', '!', '?', ':', '。', '！', '？', '：', '”', '"', ')'])
}

/// Marks page numbers, headers and footers: single lines at the edges of the page, apart from its content.
fn mark_edges(blocks: &mut [TextBlock], measures: &PageMeasures) {
    let [_, height] = measures.size;
    let rects: Vec<Rect> = blocks.iter().map(|block| block.rect).collect();
    let many = blocks.iter().map(|block| block.lines.len()).sum::<usize>() >= 5;
    for (index, block) in blocks.iter_mut().enumerate() {
        let is_small = block.lines.len() <= 2 && block.height() <= 1.1 * measures.body;
        if !many || !is_small {
            continue;
        }
        let others = || rects.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, rect)| rect);
        let is_beside = |rect: &&Rect| rect.shared_height(&block.rect) > 0.0;
        let top = block.rect.bottom < EDGE * height
            && others()
                .filter(|rect| !is_beside(rect))
                .all(|rect| rect.top - block.rect.bottom > EDGE_GAP * measures.body);
        let bottom = block.rect.top > (1.0 - EDGE) * height
            && others()
                .filter(|rect| !is_beside(rect))
                .all(|rect| block.rect.top - rect.bottom > EDGE_GAP * measures.body);
        if (top || bottom) && is_page_number(&block.lines[0].text) {
            block.kind = BlockKind::PageNumber;
        } else if top {
            block.kind = BlockKind::Header;
        } else if bottom {
            block.kind = BlockKind::Footer;
        }
    }
}

/// Marks the title and the headings, by their height, their number and their place.
fn mark_headings(blocks: &mut [TextBlock], measures: &PageMeasures) {
    let rects: Vec<Rect> = blocks.iter().filter(|block| block.lines.len() >= 2).map(|block| block.rect).collect();
    // A line that fills its column, or that begins in the middle of a sentence, is running text.
    let is_running = |block: &TextBlock| {
        let column = rects.iter().filter(|rect| rect.shared_width(&block.rect) > 0.5 * block.rect.width());
        let right = column.map(|rect| rect.right).fold(f32::NEG_INFINITY, f32::max);
        let first = block.lines[0].text.chars().next().unwrap_or_default();
        let is_large = block.height() >= 1.6 * measures.body;
        first.is_lowercase() || !is_large && block.rect.right > right - measures.body && right.is_finite()
    };
    let is_candidate = |block: &TextBlock| {
        !is_running(block)
            && matches!(block.kind, BlockKind::Paragraph | BlockKind::Header)
            && block.lines.len() <= MAX_HEADING_LINES
            && block.characters() <= 120
            && block.lines.iter().any(|line| line.text.chars().any(char::is_alphabetic))
    };
    let sizes: Vec<f32> = blocks.iter().map(|block| block.height() / measures.body.max(1.0)).collect();
    let large: Vec<usize> =
        (0..blocks.len()).filter(|index| is_candidate(&blocks[*index]) && sizes[*index] >= HEADING_SIZE).collect();
    let highest = large.iter().map(|index| sizes[*index]).fold(0.0, f32::max);
    let title = large.iter().copied().find(|index| {
        sizes[*index] >= TITLE_SIZE.max(highest / 1.1) && blocks[*index].rect.top < 0.4 * measures.size[1]
    });
    // The sizes of headings, each a level.
    let mut levels: Vec<f32> = Vec::new();
    let mut descending: Vec<f32> =
        large.iter().filter(|index| Some(**index) != title).map(|index| sizes[*index]).collect();
    descending.sort_by(|a, b| b.total_cmp(a));
    for size in descending {
        if levels.last().is_none_or(|last| size < last / 1.12) {
            levels.push(size);
        }
    }
    for index in large {
        let level = levels.iter().position(|size| sizes[index] >= size / 1.12).unwrap_or(0);
        let numbered = numbered_heading_level(&blocks[index].lines[0].text);
        let is_title = Some(index) == title;
        blocks[index].kind = if is_title { BlockKind::Title } else { BlockKind::Heading };
        blocks[index].level = (!is_title).then(|| numbered.map_or(level.min(3) as u8 + 1, |depth| depth.min(5)));
    }
    for block in blocks.iter_mut().filter(|block| block.kind == BlockKind::Paragraph && block.lines.len() == 1) {
        let line = &block.lines[0];
        let is_short = line.rect.width() < 0.6 * measures.size[0] && !ends_sentence(&line.text);
        if let (true, Some(depth)) = (is_short, numbered_heading_level(&line.text))
            && (depth >= 2 || block.height() >= 1.08 * measures.body)
        {
            block.kind = BlockKind::Heading;
            block.level = Some(depth.min(5));
        }
    }
}

/// Joins the items of a list, and what they are followed by when it is indented like their text.
fn join_lists(blocks: Vec<TextBlock>) -> Vec<TextBlock> {
    let mut joined: Vec<TextBlock> = Vec::new();
    for block in blocks {
        match joined.last_mut().filter(|last| is_next_item(last, &block)) {
            Some(last) => {
                last.rect = last.rect.and(block.rect);
                last.lines.extend(block.lines);
            }
            None => joined.push(block),
        }
    }
    joined
}

fn is_next_item(list: &TextBlock, block: &TextBlock) -> bool {
    let gap = block.rect.top - list.rect.bottom;
    list.kind == BlockKind::List
        && block.kind == BlockKind::List
        && gap < 2.0 * list.height()
        && gap > -list.height()
        && block.rect.shared_width(&list.rect) > 0.0
}
