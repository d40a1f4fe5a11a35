//! Finds gutters: tall strips without ink that have text on both sides.
//!
//! They are maximal empty rectangles of a coarse grid. (T. Breuel, Two Geometric Algorithms for Layout Analysis, DAS
//! 2002, searches them among rectangles; a grid takes time proportional to its area and no priority queue.)

use std::ops::Range;

use ndarray::{Array2, ArrayView1};

use crate::paragraphs::Bounds;

/// Width and height of a cell of the grid, in heights of a line.
const CELL_WIDTH: f32 = 0.125;
const CELL_HEIGHT: f32 = 0.5;
/// Maximum number of cells in a row or column of the grid. Beyond it, cells are larger.
const MAX_CELLS: f32 = 2_000.0;
/// Minimum width of a gutter, in heights of a line without the margins of its box: a gap between Chinese characters is
/// at most 0.3 wide, and the narrowest gutter in print about 0.8, two thirds of the font size.
const MIN_WIDTH: f32 = 0.5;
/// Minimum height of a gutter, in heights of a line: three lines of text.
const MIN_HEIGHT: f32 = 5.0;
/// Maximum number of gutters, the tallest ones.
const MAX_GUTTERS: usize = 64;

/// Returns the gutters between these fragments of text, the tallest ones first. Gutters may overlap.
pub(crate) fn gutters(fragments: &[Bounds], line_height: f32) -> Vec<Bounds> {
    let Some(grid) = Grid::of(fragments, line_height) else { return Vec::new() };
    let min_columns = (MIN_WIDTH * line_height / grid.cell[0]).floor().max(1.0) as usize;
    let min_rows = (MIN_HEIGHT * line_height / grid.cell[1]).floor().max(1.0) as usize;
    let mut found = grid.empty_rectangles(min_columns, min_rows);
    found.retain(|(columns, _)| columns.start > 0 && columns.end < grid.occupied.ncols());
    found.sort_by_key(|(columns, rows)| (std::cmp::Reverse((rows.len(), columns.len())), columns.start, rows.start));
    found.truncate(MAX_GUTTERS);
    found.into_iter().map(|(columns, rows)| grid.bounds(&columns, &rows)).collect()
}

/// The cells that fragments cover.
struct Grid {
    origin: [f32; 2],
    cell: [f32; 2],
    occupied: Array2<bool>,
}

impl Grid {
    fn of(fragments: &[Bounds], line_height: f32) -> Option<Self> {
        let all = fragments.iter().copied().reduce(Bounds::and)?;
        let cell = [
            (CELL_WIDTH * line_height).max(all.width() / MAX_CELLS),
            (CELL_HEIGHT * line_height).max(all.height() / MAX_CELLS),
        ];
        let is_finite = [all.left, all.right, all.top, all.bottom].iter().all(|value| value.is_finite());
        if !is_finite || cell.iter().any(|side| *side <= 0.0) {
            return None;
        }
        let count = |extent: f32, cell: f32| (extent / cell).ceil().max(1.0) as usize;
        let dim = (count(all.height(), cell[1]), count(all.width(), cell[0]));
        let mut grid = Self { origin: [all.left, all.top], cell, occupied: Array2::from_elem(dim, false) };
        for fragment in fragments {
            let columns = cells(fragment.left - all.left..fragment.right - all.left, cell[0], dim.1);
            let rows = cells(fragment.top - all.top..fragment.bottom - all.top, cell[1], dim.0);
            grid.occupied.slice_mut(ndarray::s![rows, columns]).fill(true);
        }
        Some(grid)
    }

    fn bounds(&self, columns: &Range<usize>, rows: &Range<usize>) -> Bounds {
        let at = |axis: usize, index: usize| self.origin[axis] + index as f32 * self.cell[axis];
        Bounds {
            left: at(0, columns.start),
            right: at(0, columns.end),
            top: at(1, rows.start),
            bottom: at(1, rows.end),
        }
    }

    /// Returns the maximal empty rectangles of at least this size, as columns and rows: for each row, the rectangles of
    /// the histogram of empty cells above it that cannot be extended downward.
    fn empty_rectangles(&self, min_columns: usize, min_rows: usize) -> Vec<(Range<usize>, Range<usize>)> {
        let (rows, columns) = self.occupied.dim();
        let mut found = Vec::new();
        let mut heights = vec![0_usize; columns];
        for row in 0..rows {
            for (height, occupied) in heights.iter_mut().zip(self.occupied.row(row)) {
                *height = if *occupied { 0 } else { *height + 1 };
            }
            let blocked_below = (row + 1 < rows).then(|| counts(&self.occupied.row(row + 1)));
            let mut keep = |columns: Range<usize>, height: usize| {
                let is_maximal =
                    blocked_below.as_ref().is_none_or(|counts| counts[columns.end] > counts[columns.start]);
                if is_maximal && columns.len() >= min_columns && height >= min_rows {
                    found.push((columns, row + 1 - height..row + 1));
                }
            };
            let mut open: Vec<(usize, usize)> = Vec::new();
            for (column, height) in heights.iter().copied().chain([0]).enumerate() {
                let mut start = column;
                while let Some((first, taller)) = open.pop_if(|(_, open_height)| *open_height > height) {
                    keep(first..column, taller);
                    start = first;
                }
                if open.last().is_none_or(|(_, open_height)| *open_height < height) {
                    open.push((start, height));
                }
            }
        }
        found
    }
}

/// Returns the cells that an interval touches.
fn cells(extent: Range<f32>, cell: f32, count: usize) -> Range<usize> {
    let start = ((extent.start / cell).max(0.0) as usize).min(count - 1);
    start..((extent.end / cell).ceil().max(0.0) as usize).clamp(start + 1, count)
}

/// Returns the number of occupied cells before each column.
fn counts(row: &ArrayView1<'_, bool>) -> Vec<usize> {
    let mut sum = 0;
    std::iter::once(0)
        .chain(row.iter().map(|occupied| {
            sum += usize::from(*occupied);
            sum
        }))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(left: f32, right: f32, top: f32) -> Bounds {
        Bounds { left, right, top, bottom: top + 16.0 }
    }

    #[test]
    fn the_space_between_two_columns_is_a_gutter() {
        let rows = (0..10).map(|row| 30.0 * row as f32);
        let text: Vec<Bounds> = rows.flat_map(|top| [line(0.0, 200.0, top), line(216.0, 400.0, top)]).collect();
        let [gutter] = gutters(&text, 16.0)[..] else { panic!("one gutter") };
        assert!((gutter.left - 200.0).abs() <= 2.0 && (gutter.right - 216.0).abs() <= 2.0, "{gutter:?}");
        assert!(gutter.top <= 0.0 && gutter.bottom >= 286.0);
    }

    #[test]
    fn a_heading_ends_a_gutter() {
        let mut text: Vec<Bounds> = (0..10)
            .flat_map(|row| [0.0, 220.0].map(|left| line(left, left + 200.0, 60.0 + 30.0 * row as f32)))
            .collect();
        text.push(line(0.0, 420.0, 0.0));
        let [gutter] = gutters(&text, 16.0)[..] else { panic!("one gutter") };
        assert!((16.0..60.0).contains(&gutter.top), "{gutter:?}");
    }

    #[test]
    fn spaces_between_words_are_no_gutter() {
        let words = |row: usize| {
            let offset = 37.0 * (row % 5) as f32;
            [line(0.0, 60.0 + offset, 30.0 * row as f32), line(68.0 + offset, 400.0, 30.0 * row as f32)]
        };
        assert_eq!(gutters(&(0..20).flat_map(words).collect::<Vec<_>>(), 16.0), []);
        assert_eq!(gutters(&[], 16.0), []);
        assert_eq!(gutters(&[line(f32::NAN, 1.0, 0.0)], 16.0), []);
    }

    proptest! {
        #[test]
        fn a_gutter_is_empty(
            places in prop::collection::vec((0_u16..500, 0_u16..500, 1_u16..120), 1..60)
        ) {
            let text: Vec<Bounds> = places
                .into_iter()
                .map(|(left, top, width)| line(left.into(), f32::from(left) + f32::from(width), top.into()))
                .collect();
            for gutter in gutters(&text, 16.0) {
                let crosses = |text: &Bounds| {
                    text.left < gutter.right - 0.01 && gutter.left + 0.01 < text.right
                        && text.top < gutter.bottom - 0.01 && gutter.top + 0.01 < text.bottom
                };
                prop_assert!(!text.iter().any(crosses), "{:?}", gutter);
            }
        }
    }
}
