//! Reading order: column by column if running text is set in columns, otherwise row by row.

use std::ops::Range;

use crate::{
    deskew::deskew,
    geometry::{Point, Quad},
    paragraphs::{Bounds, group_rows, paragraphs, union},
    xy_cut::{pieces, regions},
};

/// A single line belongs to a column if their left edges differ by at most this many line heights,
const SAME_EDGE: f32 = 1.5;
/// if it is at most this many times as wide as the column,
const SAME_WIDTH: f32 = 1.1;
/// and if its height is that of the column's lines, within this factor.
const SAME_HEIGHT: f32 = 1.25;
/// Maximum distance of two rows of a table, in line heights.
const ROW_DISTANCE: f32 = 3.0;
/// Two blocks are vertically separated if one starts at most this share of a line above the end of the other.
const BAND_OVERLAP: f32 = 0.3;

/// Maximum width of a gutter, as a share of the narrower column beside it: table cells may be as long as lines of
/// running text, but are further apart.
const MAX_GUTTER: f32 = 0.5;

/// Lines that are read consecutively: a paragraph, a table row or a single line.
#[derive(Debug)]
struct TextBlock {
    bounds: Bounds,
    /// Its first line, which determines where it starts.
    first: Bounds,
    lines: Vec<usize>,
    /// Whether it is running text, which a column may consist of.
    runs: bool,
}

/// Parts of each line that have ink, as shares of its length.
type Fragments = [Vec<Range<f32>>];

/// Returns the reading order as indices into `lines`. `fragments` are `None` if the page has no gutters between
/// columns; `along` is the direction of text on the page.
pub(crate) fn reading_order(lines: &[Quad], fragments: Option<&Fragments>, along: Point) -> Vec<usize> {
    let deskewed = deskew(lines, along);
    let Some(fragments) = fragments else {
        return in_blocks(&deskewed.iter().map(Bounds::of).collect::<Vec<_>>());
    };
    let mut is_placed = vec![false; lines.len()];
    let mut order = Vec::with_capacity(lines.len());
    for region in regions(pieces(&deskewed, fragments)) {
        let mut members: Vec<usize> = region.pieces.iter().map(|piece| piece.line).collect();
        members.sort_unstable();
        members.dedup();
        members.retain(|&line| !std::mem::replace(&mut is_placed[line], true));
        let bounds: Vec<Bounds> = members.iter().map(|&line| Bounds::of(&deskewed[line])).collect();
        let order_in_region = if region.is_column { in_rows(&bounds) } else { in_blocks(&bounds) };
        order.extend(order_in_region.into_iter().map(|index| members[index]));
    }
    order
}

fn in_rows(bounds: &[Bounds]) -> Vec<usize> {
    let rows = group_rows(bounds, (0..bounds.len()).collect());
    rows.into_iter().flat_map(|row| from_left(row, bounds)).collect()
}

fn in_blocks(bounds: &[Bounds]) -> Vec<usize> {
    order(bounds, text_blocks(bounds))
}

/// Same for vertical text, from right to left. Lines across it, e.g. headings, are read before the columns below them.
pub(crate) fn vertical_reading_order(lines: &[Quad], fragments: Option<&Fragments>, along: Point) -> Vec<usize> {
    let down = [-along[1], along[0]];
    let middle =
        |line: &Quad| (0..4).map(|corner| line.0[corner][0] * down[0] + line.0[corner][1] * down[1]).sum::<f32>();
    let across = |line: &Quad| {
        let edge = [line.0[1][0] - line.0[0][0], line.0[1][1] - line.0[0][1]];
        edge[0] * along[0] + edge[1] * along[1] > edge[0] * down[0] + edge[1] * down[1]
            && line.length() > line.breadth()
    };
    let (mut headings, mut columns): (Vec<usize>, Vec<usize>) =
        (0..lines.len()).partition(|&line| across(&lines[line]));
    headings.sort_by(|&a, &b| middle(&lines[a]).total_cmp(&middle(&lines[b])));
    let read = |columns: Vec<usize>| {
        let quads: Vec<Quad> = columns.iter().map(|&line| lines[line]).collect();
        let fragments =
            fragments.map(|fragments| columns.iter().map(|&line| fragments[line].clone()).collect::<Vec<_>>());
        reading_order(&quads, fragments.as_deref(), down).into_iter().map(move |index| columns[index])
    };
    let mut ordered = Vec::new();
    for heading in headings {
        let (above, below) = columns.into_iter().partition(|&line| middle(&lines[line]) < middle(&lines[heading]));
        ordered.extend(read(above));
        ordered.push(heading);
        columns = below;
    }
    ordered.extend(read(columns));
    ordered
}

/// Groups the lines into paragraphs, table rows and single lines.
fn text_blocks(all: &[Bounds]) -> Vec<TextBlock> {
    let running = paragraphs(all);
    let mut alone = vec![true; all.len()];
    running.iter().flatten().for_each(|&line| alone[line] = false);
    let columns: Vec<(Bounds, f32)> =
        running.iter().map(|lines| (union(all, lines), median_height(all, lines))).collect();
    let block =
        |lines: Vec<usize>, runs: bool| TextBlock { bounds: union(all, &lines), first: all[lines[0]], lines, runs };
    let fits = |line: &usize| columns.iter().any(|column| continues(column, &all[*line]));
    let rows = group_rows(all, (0..all.len()).filter(|&line| alone[line]).collect());
    let mut text_blocks = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let beside = |other: Option<&Vec<usize>>| {
            other.is_some_and(|other| {
                let distance = (all[other[0]].middle() - all[row[0]].middle()).abs();
                other.len() >= 2 && distance < ROW_DISTANCE * all[row[0]].height()
            })
        };
        let in_table = row.len() >= 3
            || row.len() == 2 && (index > 0 && beside(rows.get(index - 1)) || beside(rows.get(index + 1)));
        if in_table && !row.iter().all(fits) {
            text_blocks.push(block(from_left(row.clone(), all), false));
        } else {
            text_blocks.extend(row.iter().map(|line| block(vec![*line], fits(line))));
        }
    }
    text_blocks.extend(running.into_iter().map(|lines| block(lines, true)));
    text_blocks
}

fn median_height(all: &[Bounds], lines: &[usize]) -> f32 {
    let mut heights: Vec<f32> = lines.iter().map(|&line| all[line].height()).collect();
    heights.sort_by(f32::total_cmp);
    heights[heights.len() / 2]
}

/// Returns whether a single line looks like a short paragraph of a column.
fn continues((column, height): &(Bounds, f32), line: &Bounds) -> bool {
    let low = height.min(line.height());
    let high = height.max(line.height());
    (column.left - line.left).abs() < SAME_EDGE * line.height()
        && line.width() <= SAME_WIDTH * column.width()
        && high < SAME_HEIGHT * low
}

/// Orders bands from top to bottom; a band that a gutter divides is read column by column.
fn order(all: &[Bounds], text_blocks: Vec<TextBlock>) -> Vec<usize> {
    if !text_blocks.iter().any(|block| block.runs) {
        return rows(all, &text_blocks);
    }
    let mut bands = join_columns(bands(text_blocks));
    if bands.len() > 1 {
        return bands
            .into_iter()
            .flat_map(|band| if divides(&band) { order(all, band) } else { rows(all, &band) })
            .collect();
    }
    let text_blocks = bands.pop().unwrap_or_default();
    let Some(gutter) = gutter(&text_blocks.iter().collect::<Vec<_>>()) else { return rows(all, &text_blocks) };
    let (left, right) = text_blocks.into_iter().partition(|block| block.bounds.left < gutter);
    [order(all, left), order(all, right)].concat()
}

/// Splits the blocks into bands: between two of them a horizontal line crosses the page without touching text.
fn bands(mut text_blocks: Vec<TextBlock>) -> Vec<Vec<TextBlock>> {
    text_blocks.sort_by(|a, b| a.bounds.top.total_cmp(&b.bounds.top));
    let mut bands: Vec<Vec<TextBlock>> = Vec::new();
    let mut reach = f32::NEG_INFINITY;
    for block in text_blocks {
        let apart = block.bounds.top >= reach - BAND_OVERLAP * block.first.height();
        reach = reach.max(block.bounds.bottom);
        match bands.last_mut().filter(|_| !apart) {
            Some(band) => band.push(block),
            None => bands.push(vec![block]),
        }
    }
    bands
}

/// Joins bands that the same gutter divides, because paragraphs of adjacent columns may end at the same height. A line
/// that is alone in its band, not part of a column and followed by columns is a heading and is not joined.
fn join_columns(bands: Vec<Vec<TextBlock>>) -> Vec<Vec<TextBlock>> {
    let mut joined: Vec<Vec<TextBlock>> = Vec::new();
    let mut after_heading = true;
    let is_heading = |(index, band): (usize, &Vec<TextBlock>)| {
        band.len() == 1 && !band[0].runs && divides(bands[index + 1..].iter().flatten())
    };
    let headings: Vec<bool> = bands.iter().enumerate().map(is_heading).collect();
    for (band, heading) in bands.into_iter().zip(headings) {
        let apart = heading || after_heading;
        after_heading = heading;
        match joined.last_mut().filter(|last| !apart && divides(last.iter().chain(&band))) {
            Some(last) => last.extend(band),
            None => joined.push(band),
        }
    }
    joined
}

fn divides<'a>(text_blocks: impl IntoIterator<Item = &'a TextBlock>) -> bool {
    gutter(&text_blocks.into_iter().collect::<Vec<_>>()).is_some()
}

/// Returns the left edge of the blocks to the right of the first gutter that has running text on both sides.
fn gutter(text_blocks: &[&TextBlock]) -> Option<f32> {
    let mut text_blocks = text_blocks.to_vec();
    text_blocks.sort_by(|a, b| a.bounds.left.total_cmp(&b.bounds.left));
    let mut reach = f32::NEG_INFINITY;
    for (place, block) in text_blocks.iter().enumerate() {
        let (left, right) = text_blocks.split_at(place);
        let blank = block.bounds.left - reach;
        if blank > 0.0 && blank <= MAX_GUTTER * widest(left).min(widest(right)) {
            return Some(block.bounds.left);
        }
        reach = reach.max(block.bounds.right);
    }
    None
}

/// Returns the width of the widest running text; 0 if there is none.
fn widest(text_blocks: &[&TextBlock]) -> f32 {
    text_blocks.iter().filter(|block| block.runs).map(|block| block.bounds.width()).fold(0.0, f32::max)
}

fn rows(all: &[Bounds], text_blocks: &[TextBlock]) -> Vec<usize> {
    let running: Vec<&Bounds> = text_blocks.iter().filter(|block| block.runs).map(|block| &block.bounds).collect();
    let beside = |a: &Bounds, b: &Bounds| a.top < b.bottom && b.top < a.bottom;
    let is_table = running.iter().enumerate().any(|(index, a)| running[..index].iter().any(|b| beside(a, b)));
    if is_table {
        // A table whose cells are as long as lines of running text.
        let lines = text_blocks.iter().flat_map(|block| block.lines.clone()).collect();
        return group_rows(all, lines).into_iter().flat_map(|row| from_left(row, all)).collect();
    }
    let firsts: Vec<Bounds> = text_blocks.iter().map(|block| block.first).collect();
    let covered: Vec<Bounds> = text_blocks.iter().map(|block| block.bounds).collect();
    let rows = group_rows(&firsts, (0..text_blocks.len()).collect());
    rows.into_iter()
        .flat_map(|row| from_left(row, &covered))
        .flat_map(|block| text_blocks[block].lines.clone())
        .collect()
}

fn from_left(mut row: Vec<usize>, all: &[Bounds]) -> Vec<usize> {
    row.sort_by(|&a, &b| all[a].left.total_cmp(&all[b].left));
    row
}

#[cfg(test)]
mod tests;
