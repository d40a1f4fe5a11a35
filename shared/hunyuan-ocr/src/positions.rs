//! Position IDs: where each token is in the sequence and in the image.

use crate::resize::ImageSize;

/// Position axes: sequence, column, row, image.
pub(crate) const AXES: usize = 4;

/// The tokens of an image: one per cell, one at the end of each row, one before and one after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenGrid {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

impl TokenGrid {
    /// Creates the grid of a resized page with cells of `cell` pixels per side.
    pub(crate) const fn new(size: ImageSize, cell: usize) -> Self {
        Self { columns: size.width / cell, rows: size.height / cell }
    }

    pub(crate) const fn tokens(self) -> usize {
        self.rows * (self.columns + 1) + 2
    }
}

/// Returns position IDs `[4, length]`. Text has its sequence position on all axes; cells and row ends have their
/// column, row and image number 0. The image tokens start at `start`.
pub(crate) fn positions(length: usize, start: usize, grid: TokenGrid) -> Vec<i64> {
    let mut positions: Vec<i64> = (0..AXES).flat_map(|_| 0..length as i64).collect();
    let across = grid.columns + 1;
    for cell in 0..grid.rows * across {
        // The first and the last image token keep their sequence position on all axes.
        let token = start + 1 + cell;
        positions[length + token] = (cell % across) as i64;
        positions[2 * length + token] = (cell / across) as i64;
        positions[3 * length + token] = 0;
    }
    positions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_columns_and_rows_and_text_counts_on() {
        let grid = TokenGrid::new(ImageSize { width: 64, height: 64 }, 32);
        assert_eq!(grid.tokens(), 8);
        let all = positions(11, 2, grid);
        let axis = |axis: usize| &all[axis * 11..(axis + 1) * 11];
        assert_eq!(axis(0), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(axis(1), [0, 1, 2, 0, 1, 2, 0, 1, 2, 9, 10]);
        assert_eq!(axis(2), [0, 1, 2, 0, 0, 0, 1, 1, 1, 9, 10]);
        assert_eq!(axis(3), [0, 1, 2, 0, 0, 0, 0, 0, 0, 9, 10]);
    }
}
