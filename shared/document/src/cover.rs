//! Parts of a page that nobody is to see.

use crate::PageImage;

/// A point, in pixels.
type Point = [f32; 2];

impl PageImage {
    /// Blackens everything.
    pub fn blacken(&mut self) {
        self.pixels_mut().fill(0);
    }

    /// Blackens every pixel that this part of the page touches; its corners are in pixels of the page as it was sent. A part
    /// that is nowhere blackens everything: it was to cover something.
    pub fn blacken_part(&mut self, corners: &[Point; 4]) {
        let scale = [
            self.width() as f32 / self.page_width().max(1) as f32,
            self.height() as f32 / self.page_height().max(1) as f32,
        ];
        let corners = corners.map(|[x, y]| [x * scale[0], y * scale[1]]);
        if corners.as_flattened().iter().any(|value| !value.is_finite()) {
            return self.blacken();
        }
        let (width, height) = (self.width() as usize, self.height() as usize);
        let (top, bottom) = span(corners.iter().map(|corner| corner[1]));
        let rows = within(top, bottom, height);
        for row in rows {
            let Some((left, right)) = row_span(&corners, row as f32) else { continue };
            let columns = within(left, right, width);
            let (from, to) = (row * width + columns.start, row * width + columns.end);
            self.pixels_mut()[from * Self::CHANNELS..to * Self::CHANNELS].fill(0);
        }
    }
}

/// The pixels that a span touches, with one more at either side: a picture that was made smaller mixes neighbors.
fn within(low: f32, high: f32, most: usize) -> std::ops::Range<usize> {
    let start = ((low.floor() - 1.0).max(0.0) as usize).min(most);
    let end = ((high.ceil() + 1.0).max(0.0) as usize).min(most);
    start..end.max(start)
}

/// From where to where the shape reaches in the row of pixels from `top` on, as far as its neighbors go too.
fn row_span(corners: &[Point; 4], top: f32) -> Option<(f32, f32)> {
    let (top, bottom) = (top - 1.0, top + 2.0);
    let sides = (0..4).map(|corner| (corners[corner], corners[(corner + 1) % 4]));
    // The diagonals too: corners that are in a strange order still cover all between them.
    let all = sides.chain([(corners[0], corners[2]), (corners[1], corners[3])]);
    let reached = all.filter_map(|(from, to)| clipped(from, to, top, bottom));
    let (low, high) =
        reached.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), (one, other)| (low.min(one), high.max(other)));
    (low <= high).then_some((low, high))
}

/// From where to where a line runs sideways between two heights.
fn clipped(from: Point, to: Point, top: f32, bottom: f32) -> Option<(f32, f32)> {
    let (upper, lower) = if from[1] <= to[1] { (from, to) } else { (to, from) };
    if lower[1] < top || upper[1] > bottom {
        return None;
    }
    let at = |y: f32| {
        let share = (y - upper[1]) / (lower[1] - upper[1]);
        if share.is_finite() { (lower[0] - upper[0]).mul_add(share.clamp(0.0, 1.0), upper[0]) } else { upper[0] }
    };
    let is_level = (lower[1] - upper[1]).abs() < f32::EPSILON;
    let (one, other) = if is_level { (upper[0], lower[0]) } else { (at(top), at(bottom)) };
    Some((one.min(other), one.max(other)))
}

fn span(values: impl Iterator<Item = f32>) -> (f32, f32) {
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
    fn a_box_is_black_and_what_stands_apart_from_it_is_not() {
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
    fn a_part_of_a_page_that_was_sent_larger_is_found_on_its_smaller_picture() {
        let mut page = white(100, 50).of_page(1000, 500);
        page.blacken_part(&[[200.0, 100.0], [600.0, 100.0], [600.0, 200.0], [200.0, 200.0]]);
        assert!(is_black(&page, 20, 10) && is_black(&page, 59, 19) && !is_black(&page, 70, 15));
    }

    #[test]
    fn a_part_that_is_nowhere_covers_the_page() {
        let mut page = white(10, 10);
        page.blacken_part(&[[f32::NAN, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]);
        assert!(page.pixels().iter().all(|value| *value == 0));
    }

    proptest! {
        #[test]
        fn every_point_between_the_corners_is_black_in_whatever_order_they_are(
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
