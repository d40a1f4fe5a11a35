//! A rectangle in pixels of a detection map.

use crate::{crop_rect::CropRect, detection::TextBox};

/// A rectangle of a map; bottom and right are exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MapRect {
    pub(crate) top: usize,
    pub(crate) left: usize,
    pub(crate) bottom: usize,
    pub(crate) right: usize,
}

impl MapRect {
    pub(crate) const fn width(&self) -> usize {
        self.right - self.left
    }

    pub(crate) const fn height(&self) -> usize {
        self.bottom - self.top
    }

    /// Returns the smallest rectangle that contains both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            top: self.top.min(other.top),
            left: self.left.min(other.left),
            bottom: self.bottom.max(other.bottom),
            right: self.right.max(other.right),
        }
    }

    /// Returns whether the rectangles share a pixel.
    pub(crate) const fn meets(&self, other: &Self) -> bool {
        self.top < other.bottom && other.top < self.bottom && self.left < other.right && other.left < self.right
    }

    /// Returns whether the rectangle contains a pixel, given by its row and column.
    pub(crate) const fn contains(&self, [row, column]: [usize; 2]) -> bool {
        self.top <= row && row < self.bottom && self.left <= column && column < self.right
    }

    /// Returns the rectangle with this many more pixels on each side, within a map of `rows` and `columns`.
    pub(crate) fn grown(self, by: usize, (rows, columns): (usize, usize)) -> Self {
        Self {
            top: self.top.saturating_sub(by),
            left: self.left.saturating_sub(by),
            bottom: (self.bottom + by).min(rows),
            right: (self.right + by).min(columns),
        }
    }

    /// Extends the rectangle until it cuts no line: a line that it meets is included with the height of its text, and
    /// may be next to another line. Boxes of the detection model are half as high as their text.
    pub(crate) fn around_lines(self, boxes: &[TextBox], (rows, columns): (usize, usize)) -> Self {
        let mut lines: Vec<(Self, Self)> =
            boxes.iter().map(|text| (Self::around(text, 0.0), Self::around(text, 0.5))).collect();
        let mut around = self;
        loop {
            let left = lines.len();
            lines.retain(|(core, text)| {
                let meets = core.meets(&around);
                if meets {
                    around = around.and(*text);
                }
                !meets
            });
            if lines.len() == left {
                return Self { bottom: around.bottom.min(rows), right: around.right.min(columns), ..around };
            }
        }
    }

    /// Returns the rectangle around a box, with a margin in heights of the box.
    fn around(text: &TextBox, margin: f32) -> Self {
        let margin = text.rectangle.short_side() * margin;
        let corners = text.rectangle.corners();
        let low = |axis: usize| corners.iter().map(|corner| corner[axis]).fold(f32::INFINITY, f32::min) - margin;
        let high = |axis: usize| corners.iter().map(|corner| corner[axis]).fold(0.0, f32::max) + margin;
        Self {
            top: low(1).max(0.0) as usize,
            left: low(0).max(0.0) as usize,
            bottom: high(1).ceil() as usize,
            right: high(0).ceil() as usize,
        }
    }

    /// Converts the rectangle of a map with `rows` and `columns`, which shows `part`, to pixels of the page.
    pub(crate) fn on_page(self, part: &CropRect, (rows, columns): (usize, usize)) -> CropRect {
        let along = |at: usize, from: usize, to: u32| (at as u64 * u64::from(to) / from as u64) as u32;
        let left = along(self.left, columns, part.width).min(part.width - 1);
        let right = along(self.right, columns, part.width);
        let top = along(self.top, rows, part.height).min(part.height - 1);
        let bottom = along(self.bottom, rows, part.height);
        CropRect {
            left: part.left + left,
            top: part.top + top,
            width: right.saturating_sub(left).max(1),
            height: bottom.saturating_sub(top).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::geometry::Rectangle;

    const SIZE: (usize, usize) = (400, 300);

    fn text([top, left, height, width]: [usize; 4]) -> TextBox {
        let center = [left as f32 + width as f32 / 2.0, top as f32 + height as f32 / 2.0];
        let rectangle = Rectangle { center, axis: [1.0, 0.0], sides: [width as f32, height as f32] };
        TextBox { rectangle, mean: 0.9, unclip_ratio: 1.6 }
    }

    #[test]
    fn lines_that_only_the_extended_rectangle_meets_are_included_too() {
        let start = MapRect { top: 100, left: 100, bottom: 120, right: 120 };
        let boxes = [text([118, 110, 10, 100]), text([121, 205, 10, 50]), text([200, 0, 10, 300])];
        let around = start.around_lines(&boxes, SIZE);
        assert_eq!(around, MapRect { top: 100, left: 100, bottom: 136, right: 260 });
    }

    proptest! {
        #[test]
        fn no_line_crosses_the_border_of_an_extended_area(
            start in (0_usize..350, 0_usize..250, 1_usize..50, 1_usize..50),
            boxes in prop::collection::vec((0_usize..380, 0_usize..280, 3_usize..20, 3_usize..200), 0..40),
        ) {
            let (top, left, height, width) = start;
            let start = MapRect { top, left, bottom: top + height, right: left + width };
            let boxes: Vec<TextBox> = boxes
                .into_iter()
                .map(|(top, left, height, width)| text([top, left, height.min(400 - top), width.min(300 - left)]))
                .collect();
            let around = start.around_lines(&boxes, SIZE);
            prop_assert_eq!(around.and(start), around);
            for text in &boxes {
                let line = MapRect::around(text, 0.0);
                prop_assert!(!line.meets(&around) || around.and(line) == around, "{:?} cuts {:?}", around, line);
            }
        }
    }
}
