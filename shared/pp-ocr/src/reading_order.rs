//! Reading order: column by column if running text is set in columns, otherwise row by row.

use crate::{
    deskew::deskew,
    geometry::{Point, Quad},
    paragraphs::{Bounds, group_rows, paragraphs, union},
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

/// Returns the reading order as indices into `lines`. `along` is the direction of text on the page.
pub(crate) fn reading_order(lines: &[Quad], along: Point) -> Vec<usize> {
    let bounds: Vec<Bounds> = deskew(lines, along).iter().map(Bounds::of).collect();
    order(&bounds, text_blocks(&bounds))
}

/// Same for vertical text, from right to left. Lines across it, e.g. headings, are read before the columns below them.
pub(crate) fn vertical_reading_order(lines: &[Quad], along: Point) -> Vec<usize> {
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
        reading_order(&quads, down).into_iter().map(move |index| columns[index])
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RIGHT: Point = [1.0, 0.0];

    fn line(left: f32, top: f32, width: f32, height: f32) -> Quad {
        Quad([[left, top], [left + width, top], [left + width, top + height], [left, top + height]])
    }

    /// `count` lines of one column, of which the last one is short.
    fn column(left: f32, top: f32, width: f32, count: usize) -> Vec<Quad> {
        let width_of = |index| if index + 1 == count { width / 3.0 } else { width };
        (0..count).map(|index| line(left, top + 30.0 * index as f32, width_of(index), 24.0)).collect()
    }

    fn in_order(lines: &[Quad]) -> bool {
        reading_order(lines, RIGHT) == (0..lines.len()).collect::<Vec<_>>()
    }

    #[test]
    fn two_columns_under_a_title_are_read_one_after_the_other() {
        let mut lines = vec![line(50.0, 20.0, 900.0, 60.0)];
        lines.extend(column(50.0, 120.0, 430.0, 20));
        lines.extend(column(520.0, 120.0, 430.0, 19));
        assert!(in_order(&lines));
    }

    #[test]
    fn three_columns_are_read_one_after_the_other() {
        let lines: Vec<Quad> =
            [50.0, 370.0, 690.0].into_iter().flat_map(|left| column(left, 100.0, 290.0, 12)).collect();
        assert!(in_order(&lines));
    }

    #[test]
    fn a_heading_in_the_middle_divides_the_columns() {
        let mut lines = column(50.0, 0.0, 430.0, 6);
        lines.extend(column(520.0, 0.0, 430.0, 6));
        lines.push(line(50.0, 200.0, 900.0, 30.0));
        lines.extend(column(50.0, 260.0, 430.0, 6));
        lines.extend(column(520.0, 260.0, 430.0, 6));
        assert!(in_order(&lines));
    }

    #[test]
    fn a_table_is_read_row_by_row() {
        let cells = [(50.0, 30.0), (120.0, 160.0), (400.0, 150.0), (620.0, 40.0), (700.0, 100.0), (850.0, 110.0)];
        let row =
            |index: usize| cells.map(|(left, width)| line(left, 40.0 * index as f32 + (left * 0.01), width, 24.0));
        assert!(in_order(&(0..15).flat_map(row).collect::<Vec<_>>()));
    }

    #[test]
    fn one_column_with_ragged_lines_has_no_gutter() {
        let widths = [900.0, 300.0, 880.0, 890.0, 250.0, 910.0, 400.0, 900.0];
        let lines: Vec<Quad> =
            widths.iter().enumerate().map(|(index, &width)| line(50.0, 30.0 * index as f32, width, 24.0)).collect();
        assert!(in_order(&lines));
    }

    #[test]
    fn a_slanted_row_stays_a_row() {
        let slanted = |quad: Quad| Quad(quad.0.map(|[x, y]| [x - 0.05 * y, y + 0.05 * x]));
        let row = |top: f32| [0.0, 300.0, 600.0, 900.0].map(|left| line(left, top, 120.0, 24.0));
        let lines: Vec<Quad> = (0..8).flat_map(|index| row(36.0 * index as f32)).map(slanted).collect();
        assert!(in_order(&lines));
    }

    #[test]
    fn a_page_on_its_side_is_read_in_the_direction_of_its_text() {
        // Text runs upward: the first line is the leftmost one and starts at its bottom.
        let upward = |left: f32, bottom: f32| {
            Quad([[left, bottom], [left, bottom - 200.0], [left + 24.0, bottom - 200.0], [left + 24.0, bottom]])
        };
        let lines = [upward(0.0, 900.0), upward(0.0, 600.0), upward(40.0, 900.0), upward(40.0, 600.0)];
        assert_eq!(reading_order(&lines, [0.0, -1.0]), [0, 1, 2, 3]);
    }

    #[test]
    fn paragraphs_that_end_at_the_same_height_do_not_divide_the_columns() {
        let paragraphs = |left: f32| {
            let mut lines = column(left, 0.0, 430.0, 2);
            lines.extend(column(left, 90.0, 430.0, 5));
            lines.extend(column(left, 270.0, 430.0, 2));
            lines
        };
        assert!(in_order(&[paragraphs(50.0), paragraphs(520.0)].concat()));
    }

    #[test]
    fn a_heading_in_a_column_with_nothing_beside_it_divides_the_page() {
        let mut lines = [column(50.0, 0.0, 430.0, 6), column(520.0, 0.0, 430.0, 6)].concat();
        lines.push(line(50.0, 220.0, 250.0, 40.0));
        lines.extend([column(50.0, 300.0, 430.0, 6), column(520.0, 300.0, 430.0, 6)].concat());
        assert!(in_order(&lines));
    }

    #[test]
    fn a_table_between_columns_is_read_row_by_row() {
        let mut lines = [column(50.0, 0.0, 430.0, 6), column(520.0, 0.0, 430.0, 6)].concat();
        let cells = [(60.0, 30.0), (140.0, 120.0), (300.0, 120.0), (550.0, 40.0), (700.0, 80.0), (850.0, 100.0)];
        lines.extend(
            (0..4).flat_map(|row| cells.map(|(left, width)| line(left, 240.0 + 50.0 * row as f32, width, 24.0))),
        );
        lines.extend([column(50.0, 480.0, 430.0, 6), column(520.0, 480.0, 430.0, 6)].concat());
        assert!(in_order(&lines));
    }

    #[test]
    fn a_table_with_cells_of_several_lines_has_no_columns() {
        let row = |top: f32| {
            let mut cells =
                vec![line(50.0, top, 30.0, 24.0), line(120.0, top, 180.0, 24.0), line(400.0, top, 240.0, 24.0)];
            cells.extend([line(700.0, top, 60.0, 24.0), line(850.0, top, 110.0, 24.0)]);
            cells.push(line(400.0, top + 35.0, 240.0, 24.0));
            cells
        };
        assert!(in_order(&(0..8).flat_map(|index| row(90.0 * index as f32)).collect::<Vec<_>>()));
    }

    #[test]
    fn a_note_in_the_margin_is_read_after_the_paragraph_beside_it() {
        let mut lines = column(300.0, 0.0, 600.0, 8);
        lines.push(line(50.0, 95.0, 150.0, 18.0));
        assert!(in_order(&lines));
    }

    #[test]
    fn vertical_text_is_read_from_right_to_left_below_its_title() {
        let downward = |left: f32, height: f32| {
            Quad([[left + 30.0, 100.0], [left + 30.0, 100.0 + height], [left, 100.0 + height], [left, 100.0]])
        };
        let mut lines = vec![line(300.0, 20.0, 300.0, 50.0)];
        lines.extend(
            (0..10).map(|index| downward(800.0 - 60.0 * index as f32, if index % 4 == 3 { 400.0 } else { 800.0 })),
        );
        lines.push(line(440.0, 1000.0, 60.0, 20.0));
        assert_eq!(vertical_reading_order(&lines, RIGHT), (0..12).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn every_line_is_read_exactly_once(
            places in prop::collection::vec((0_u16..1000, 0_u16..1000, 0_u16..600, 0_u16..80), 0..120)
        ) {
            let lines: Vec<Quad> = places
                .into_iter()
                .map(|(left, top, width, height)| line(left.into(), top.into(), width.into(), height.into()))
                .collect();
            let mut order = reading_order(&lines, RIGHT);
            order.sort_unstable();
            prop_assert_eq!(order, (0..lines.len()).collect::<Vec<_>>());
        }
    }
}
