//! Ink on the page itself: whether a part of it has print, and where print is too fine for a detection map.

use std::ops::Range;

use ndarray::Array2;
use quire_document::PageImage;

use crate::{crop_rect::CropRect, geometry::Quad};

/// Minimum contrast of print, of 255.
const MIN_CONTRAST: u8 = 48;
/// Samples across a part of a line. Along it, every pixel is sampled, up to a limit.
const SAMPLED_ACROSS: usize = 12;
const MAX_SAMPLED_ALONG: usize = 512;
/// Minimum share of samples that are ink. A margin of paper, or the edge of a neighboring character, has less.
const MIN_INK_SHARE: f32 = 0.03;

/// Returns whether a part of a line has print, without its outer quarters, which show the neighboring lines.
pub(crate) fn has_print(page: &PageImage, part: &Quad) -> bool {
    let [start, end, _, below] = part.0;
    let between = |from: f32, u: f32, v: f32, right: f32, down: f32| from + u * (right - from) + v * (down - from);
    let along = (part.length() as usize).clamp(1, MAX_SAMPLED_ALONG);
    let mut values = Vec::with_capacity(along * SAMPLED_ACROSS);
    for row in 0..SAMPLED_ACROSS {
        for column in 0..along {
            let u = (column as f32 + 0.5) / along as f32;
            let v = 0.25 + 0.5 * (row as f32 + 0.5) / SAMPLED_ACROSS as f32;
            let [x, y] = [0, 1].map(|axis| between(start[axis], u, v, end[axis], below[axis]));
            values.push(green_at(page, x, y));
        }
    }
    let middle = values.len() / 2;
    let background = *values.select_nth_unstable(middle).1;
    let ink = values.iter().filter(|value| value.abs_diff(background) >= MIN_CONTRAST).count();
    ink as f32 >= MIN_INK_SHARE * values.len() as f32
}

fn green_at(page: &PageImage, x: f32, y: f32) -> u8 {
    let column = (x.max(0.0) as usize).min(page.width() as usize - 1);
    let row = (y.max(0.0) as usize).min(page.height() as usize - 1);
    page.pixels()[(row * page.width() as usize + column) * PageImage::CHANNELS + 1]
}

/// Minimum number of changes between ink and paper in a row or column of a block of fine print.
const MIN_CHANGES: u8 = 4;
/// Minimum number of such rows or columns, of the 16 that are sampled.
const MIN_FINE_ROWS: usize = 3;
/// Rows and columns of a block that are sampled.
const SAMPLED_ROWS: usize = 16;

/// Where a part of a page has fine print.
pub(crate) struct FineBlocks {
    /// Blocks with print whose letters are narrower than a third of a block.
    pub(crate) blocks: Array2<bool>,
    /// Whether its lines run along the rows of the page: there is more paper between lines than between letters.
    pub(crate) is_horizontal: bool,
}

/// Divides a part of a page into `rows` × `columns` blocks, and finds fine print: several changes between ink and paper
/// in the same row or column of a block.
pub(crate) fn fine_print(page: &PageImage, part: &CropRect, (rows, columns): (usize, usize)) -> FineBlocks {
    let start = |index: usize, count: usize, from: u32, side: u32| {
        (u64::from(from) + u64::from(side) * index as u64 / count as u64) as usize
    };
    let mut total = BlockChanges::default();
    let blocks = Array2::from_shape_fn((rows, columns), |(row, column)| {
        let top = start(row, rows, part.top, part.height);
        let bottom = start(row + 1, rows, part.top, part.height);
        let left = start(column, columns, part.left, part.width);
        let right = start(column + 1, columns, part.left, part.width);
        let changes = block_changes(page, top..bottom, left..right);
        let is_fine = changes.fine_rows.max(changes.fine_columns) >= MIN_FINE_ROWS;
        if is_fine {
            total.row_gap += changes.row_gap;
            total.column_gap += changes.column_gap;
        }
        is_fine
    });
    FineBlocks { blocks, is_horizontal: total.row_gap >= total.column_gap }
}

/// Changes between ink and paper in the sampled rows and columns of a block: the longest gaps without any, between
/// others that have some, and the numbers of rows and columns with many.
#[derive(Debug, Default)]
struct BlockChanges {
    row_gap: usize,
    column_gap: usize,
    fine_rows: usize,
    fine_columns: usize,
}

fn block_changes(page: &PageImage, rows: Range<usize>, columns: Range<usize>) -> BlockChanges {
    let width = page.width() as usize;
    let green = |row: usize, column: usize| page.pixels()[(row * width + column) * PageImage::CHANNELS + 1];
    let sampled = |side: &Range<usize>| side.clone().step_by((side.len() / SAMPLED_ROWS).max(1));
    let (mut low, mut high) = (u8::MAX, 0);
    for row in sampled(&rows) {
        for column in columns.clone() {
            low = low.min(green(row, column));
            high = high.max(green(row, column));
        }
    }
    if high.saturating_sub(low) < MIN_CONTRAST {
        return BlockChanges::default();
    }
    let band = (high - low) / 8;
    let middle = low + (high - low) / 2;
    let limits = [middle - band, middle + band];
    let of_rows: Vec<u8> =
        sampled(&rows).map(|row| changes(columns.clone().map(|column| green(row, column)), limits)).collect();
    let of_columns: Vec<u8> =
        sampled(&columns).map(|column| changes(rows.clone().map(|row| green(row, column)), limits)).collect();
    let count_fine = |counts: &[u8]| counts.iter().filter(|&&count| count >= MIN_CHANGES).count();
    BlockChanges {
        row_gap: longest_gap(&of_rows),
        column_gap: longest_gap(&of_columns),
        fine_rows: count_fine(&of_rows),
        fine_columns: count_fine(&of_columns),
    }
}

/// Returns the length of the longest run of zeros between two other values.
fn longest_gap(counts: &[u8]) -> usize {
    let inked = counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(index, _)| index);
    let inked: Vec<usize> = inked.collect();
    inked.windows(2).map(|pair| pair[1] - pair[0] - 1).max().unwrap_or(0)
}

/// Counts the changes between below the lower and above the upper limit.
fn changes(values: impl Iterator<Item = u8>, [low, high]: [u8; 2]) -> u8 {
    let mut count = 0_u8;
    let mut is_dark = None;
    for value in values {
        let now = if value < low { Some(true) } else { (value > high).then_some(false) };
        if now.is_some() && now != is_dark {
            count = count.saturating_add(u8::from(is_dark.is_some()));
            is_dark = now;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of letters that are columns of 6 pixels in 9, 16 pixels high, every 30 pixels.
    fn lines(is_horizontal: bool) -> PageImage {
        let is_ink = |along: u32, across: u32| across % 30 < 16 && along % 9 < 6 && across % 30 % 5 < 3;
        let pixel = |x: u32, y: u32| if is_horizontal { is_ink(x, y) } else { is_ink(y, x) };
        let pixels = (0..300).flat_map(|y| (0..300).flat_map(move |x| [if pixel(x, y) { 40 } else { 230 }; 3]));
        PageImage::new(300, 300, pixels.collect())
    }

    #[test]
    fn fine_print_is_found_with_the_direction_of_its_lines() {
        for is_horizontal in [true, false] {
            let page = lines(is_horizontal);
            let found = fine_print(&page, &CropRect::whole(&page), (6, 6));
            assert!(found.blocks.iter().all(|&is_fine| is_fine));
            assert_eq!(found.is_horizontal, is_horizontal);
            let large = fine_print(&page, &CropRect::whole(&page), (30, 30));
            assert!(!large.blocks.iter().any(|&is_fine| is_fine), "in blocks of a letter's size it is not fine");
        }
    }

    #[test]
    fn paper_has_no_print() {
        let page = lines(true);
        let part = |top: f32, bottom: f32| Quad([[0.0, top], [90.0, top], [90.0, bottom], [0.0, bottom]]);
        assert!(has_print(&page, &part(0.0, 16.0)));
        assert!(!has_print(&page, &part(17.0, 29.0)));
    }
}
