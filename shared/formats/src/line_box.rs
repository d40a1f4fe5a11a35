//! Bounding boxes.

use quire_tasks::{Line, PageText, Polygon};

/// An axis-aligned bounding box in whole pixels, inside the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineBox {
    pub(crate) left: u32,
    pub(crate) top: u32,
    pub(crate) right: u32,
    pub(crate) bottom: u32,
}

impl LineBox {
    /// Returns the box of the whole page.
    pub(crate) const fn of_page(page: &PageText) -> Self {
        Self { left: 0, top: 0, right: page.width, bottom: page.height }
    }

    /// Returns the bounding box of a line, or of the page if the position of the line is unknown.
    pub(crate) fn of_line(line: &Line, page: &PageText) -> Self {
        line.polygon.map_or_else(|| Self::of_page(page), |polygon| Self::of_polygon(&polygon, page))
    }

    /// Returns the bounding box of a polygon.
    pub(crate) fn of_polygon(polygon: &Polygon, page: &PageText) -> Self {
        let (left, right) = bounds(polygon.map(|[x, _]| x), page.width);
        let (top, bottom) = bounds(polygon.map(|[_, y]| y), page.height);
        Self { left, top, right, bottom }
    }

    pub(crate) const fn width(self) -> u32 {
        self.right - self.left
    }

    pub(crate) const fn height(self) -> u32 {
        self.bottom - self.top
    }
}

/// Returns the smallest value rounded down and the largest rounded up, both from 0 to `max`.
fn bounds(values: [f32; 4], max: u32) -> (u32, u32) {
    let low = values.into_iter().fold(f32::INFINITY, f32::min);
    let high = values.into_iter().fold(f32::NEG_INFINITY, f32::max);
    ((low.floor().max(0.0) as u32).min(max), (high.ceil().max(0.0) as u32).min(max))
}

/// Returns the point at this share of the way between two points: 0 is `from`, 1 is `to`.
pub(crate) fn interpolate(from: [f32; 2], to: [f32; 2], share: f32) -> [f32; 2] {
    [(to[0] - from[0]).mul_add(share, from[0]), (to[1] - from[1]).mul_add(share, from[1])]
}
