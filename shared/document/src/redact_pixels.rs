//! Blackening of redacted parts of a page.

use std::ops::Range;

use crate::PageImage;

impl PageImage {
    /// Blackens the whole page.
    pub fn blacken(&mut self) {
        self.pixels_mut().fill(0);
    }

    /// Blackens every pixel that the polygon touches, and a margin of one pixel. The corners are in pixels of the page
    /// as it was sent. If a corner is NaN or infinite, the whole page is blackened, so that nothing stays visible by
    /// mistake.
    pub fn blacken_part(&mut self, corners: &[[f32; 2]; 4]) {
        let scale = [
            self.width() as f32 / self.page_width().max(1) as f32,
            self.height() as f32 / self.page_height().max(1) as f32,
        ];
        let corners = corners.map(|[x, y]| [x * scale[0], y * scale[1]]);
        if corners.as_flattened().iter().any(|value| !value.is_finite()) {
            return self.blacken();
        }
        let (width, height) = (self.width() as usize, self.height() as usize);
        let (top, bottom) = bounds(corners.iter().map(|corner| corner[1]));
        for row in pixel_range(top, bottom, height) {
            let Some((left, right)) = row_bounds(&corners, row as f32) else { continue };
            let columns = pixel_range(left, right, width);
            let start = (row * width + columns.start) * Self::CHANNELS;
            let end = (row * width + columns.end) * Self::CHANNELS;
            self.pixels_mut()[start..end].fill(0);
        }
    }
}

/// Returns the pixels from `low` to `high` and one more on either side, because downscaling mixes neighboring pixels.
fn pixel_range(low: f32, high: f32, max: usize) -> Range<usize> {
    let start = ((low.floor() - 1.0).max(0.0) as usize).min(max);
    let end = ((high.ceil() + 1.0).max(0.0) as usize).min(max);
    start..end.max(start)
}

/// Returns the left and right bounds of the polygon in the row of pixels at `row` and in the rows next to it, or `None`
/// if it does not reach them.
fn row_bounds(corners: &[[f32; 2]; 4], row: f32) -> Option<(f32, f32)> {
    let top = row - 1.0;
    let bottom = row + 2.0;
    let sides = (0..4).map(|corner| (corners[corner], corners[(corner + 1) % 4]));
    // With the diagonals, the corners may be in any order.
    let lines = sides.chain([(corners[0], corners[2]), (corners[1], corners[3])]);
    let clipped = lines.filter_map(|(from, to)| clip_line(from, to, top, bottom));
    let (left, right) = bounds(clipped.flat_map(|(left, right)| [left, right]));
    (left <= right).then_some((left, right))
}

/// Returns the left and right bounds of the part of a line between two heights, or `None` if there is no such part.
fn clip_line(from: [f32; 2], to: [f32; 2], top: f32, bottom: f32) -> Option<(f32, f32)> {
    let (upper, lower) = if from[1] <= to[1] { (from, to) } else { (to, from) };
    if lower[1] < top || upper[1] > bottom {
        return None;
    }
    let x_at = |y: f32| {
        let share = (y - upper[1]) / (lower[1] - upper[1]);
        if share.is_finite() { (lower[0] - upper[0]).mul_add(share.clamp(0.0, 1.0), upper[0]) } else { upper[0] }
    };
    let is_horizontal = (lower[1] - upper[1]).abs() < f32::EPSILON;
    let ends = if is_horizontal { [upper[0], lower[0]] } else { [x_at(top), x_at(bottom)] };
    Some(bounds(ends.into_iter()))
}

/// Returns the smallest and the largest value.
fn bounds(values: impl Iterator<Item = f32>) -> (f32, f32) {
    values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn white(width: u32, height: u32) -> PageImage {
        PageImage::new(width, height, vec![255; (width * height * 3) as usize])
    }

    fn is_black(page: &PageImage, x: u32, y: u32) -> bool {
        let at = (y * page.width() + x) as usize * 3;
        page.pixels()[at..at + 3] == [0; 3]
    }

    #[test]
    fn a_box_is_black_and_its_surroundings_are_not() {
        let mut page = white(100, 50);
        page.blacken_part(&[[20.0, 10.0], [60.0, 10.0], [60.0, 20.0], [20.0, 20.0]]);
        for (x, y) in [(20, 10), (59, 10), (59, 19), (20, 19), (40, 15)] {
            assert!(is_black(&page, x, y), "{x} {y}");
        }
        for (x, y) in [(17, 15), (63, 15), (40, 7), (40, 23)] {
            assert!(!is_black(&page, x, y), "{x} {y}");
        }
    }

    #[test]
    fn corners_are_scaled_to_a_downscaled_image() {
        let mut page = white(100, 50).of_page(1000, 500);
        page.blacken_part(&[[200.0, 100.0], [600.0, 100.0], [600.0, 200.0], [200.0, 200.0]]);
        assert!(is_black(&page, 20, 10) && is_black(&page, 59, 19) && !is_black(&page, 70, 15));
    }

    #[test]
    fn an_invalid_corner_blackens_the_whole_page() {
        let mut page = white(10, 10);
        page.blacken_part(&[[f32::NAN, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]);
        assert!(page.pixels().iter().all(|value| *value == 0));
    }

    proptest! {
        #[test]
        fn every_point_between_the_corners_is_black_in_any_order(
            corners in prop::array::uniform4(prop::array::uniform2(-20.0_f32..120.0)),
            shares in prop::array::uniform4(0.01_f32..1.0),
        ) {
            let mut page = white(100, 80);
            page.blacken_part(&corners);
            let sum: f32 = shares.iter().sum();
            let mean = |axis: usize| -> f32 { (0..4).map(|corner| corners[corner][axis] * shares[corner] / sum).sum() };
            let (x, y) = (mean(0), mean(1));
            if (0.0..100.0).contains(&x) && (0.0..80.0).contains(&y) {
                prop_assert!(is_black(&page, x as u32, y as u32), "{x} {y}");
            }
        }
    }
}
