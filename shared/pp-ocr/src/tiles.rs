//! Divides an area that is too large for one detection run into overlapping tiles, whose maps are put together.

use crate::map_rect::MapRect;

/// Pixels around each tile that the model sees, too, so that the map has no seams: text that a single run finds at the
/// edge of its input is as reliable as elsewhere from this distance on. Also the grid of the tiles' edges.
const CONTEXT: usize = 32;
/// Tiles may have this many times the pixels of a run, because they overlap.
const MAX_AREA_RATIO: f64 = 1.15;

/// A tile of an area's map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tile {
    /// The part of the map that this tile determines.
    pub(crate) core: MapRect,
    /// What the model sees: the core and its context.
    pub(crate) input: MapRect,
}

impl Tile {
    /// Returns the only tile of a map of `rows` and `columns`.
    pub(crate) const fn single((rows, columns): (usize, usize)) -> Self {
        let whole = MapRect { top: 0, left: 0, bottom: rows, right: columns };
        Self { core: whole, input: whole }
    }
}

/// Divides a map of `rows` and `columns`, multiples of 32, into tiles of about `max_pixels` with as little overlap as
/// possible. If `shapes` is not empty, each tile fits into one of these widths and heights.
pub(crate) fn tiles(size: (usize, usize), max_pixels: usize, shapes: &[(u32, u32)]) -> Vec<Tile> {
    let max_area = max_pixels as f64 * MAX_AREA_RATIO;
    let fits = |width: usize, height: usize| {
        if shapes.is_empty() {
            (width * height) as f64 <= max_area
        } else {
            shapes.iter().any(|shape| width <= shape.0 as usize && height <= shape.1 as usize)
        }
    };
    let (rows, columns) = size;
    let cells = |side: usize| side.div_ceil(CONTEXT).max(1);
    let mut best: Option<(usize, [usize; 2])> = None;
    for across in (1..=cells(columns)).map(|count| cells(columns).div_ceil(count)) {
        let width = input_side(across, columns);
        // The highest tile of this width that fits.
        let Some(down) = (1..=cells(rows)).rev().find(|&down| fits(width, input_side(down, rows))) else { continue };
        let count = cells(columns).div_ceil(across) * cells(rows).div_ceil(down);
        // Tiles of equal height waste less than a rest.
        let down = cells(rows).div_ceil(cells(rows).div_ceil(down));
        let cost = count * width * input_side(down, rows);
        if best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, [across, down]));
        }
    }
    let [across, down] = best.map_or([1, 1], |(_, side)| side).map(|cells| cells * CONTEXT);
    let starts = |side: usize, step: usize| (0..side).step_by(step);
    let tile = |top: usize, left: usize| {
        let core = MapRect { top, left, bottom: (top + down).min(rows), right: (left + across).min(columns) };
        Tile { core, input: core.grown(CONTEXT, size) }
    };
    starts(rows, down).flat_map(|top| starts(columns, across).map(move |left| tile(top, left))).collect()
}

/// Returns the side of a tile's input, in pixels, for a core of this many cells.
fn input_side(cells: usize, side: usize) -> usize {
    (cells * CONTEXT + 2 * CONTEXT).min(side)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PIXELS: usize = 672 * 960;

    #[test]
    fn an_area_of_two_runs_has_two_tiles() {
        assert_eq!(tiles((960, 672), PIXELS, &[]), [Tile::single((960, 672))]);
        let halves = tiles((1344, 960), PIXELS, &[]);
        assert_eq!(halves.len(), 2);
        let receipt = tiles((12_000, 352), PIXELS, &[]);
        assert!(receipt.len() <= 7 && receipt.iter().all(|tile| tile.core.width() == 352), "{receipt:?}");
    }

    proptest! {
        #[test]
        fn tiles_cover_the_map_once_and_fit_into_a_run(
            rows in 1_usize..300, columns in 1_usize..300, listed: bool,
        ) {
            let size = (rows * 32, columns * 32);
            let shapes: &[(u32, u32)] = if listed { &[(672, 960), (800, 800), (320, 2016)] } else { &[] };
            let found = tiles(size, PIXELS, shapes);
            let covered: usize = found.iter().map(|tile| tile.core.width() * tile.core.height()).sum();
            prop_assert_eq!(covered, size.0 * size.1);
            for (index, tile) in found.iter().enumerate() {
                prop_assert!(found[..index].iter().all(|other| !other.core.meets(&tile.core)));
                prop_assert_eq!(tile.core.grown(CONTEXT, size), tile.input);
                let (width, height) = (tile.input.width(), tile.input.height());
                let fits = |shape: &(u32, u32)| width <= shape.0 as usize && height <= shape.1 as usize;
                let is_small = if listed { shapes.iter().any(fits) } else { width * height <= PIXELS * 23 / 20 };
                prop_assert!(is_small, "{} × {}", width, height);
            }
        }
    }
}
