//! Where a line stands.

use quire_tasks::{Line, PageText, Polygon};

/// An upright box in whole pixels, within the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) left: u32,
    pub(crate) top: u32,
    pub(crate) right: u32,
    pub(crate) bottom: u32,
}

impl Frame {
    /// The whole page.
    pub(crate) const fn page(page: &PageText) -> Self {
        Self { left: 0, top: 0, right: page.width, bottom: page.height }
    }

    /// The smallest one around a line; the page's where the line has no place.
    pub(crate) fn of(line: &Line, page: &PageText) -> Self {
        line.polygon.map_or_else(|| Self::page(page), |polygon| Self::around(&polygon, page))
    }

    /// The smallest one around these corners.
    pub(crate) fn around(polygon: &Polygon, page: &PageText) -> Self {
        let side = |axis: usize, most: u32| {
            let values = polygon.iter().map(|corner| corner[axis]);
            let low = values.clone().fold(f32::INFINITY, f32::min);
            let high = values.fold(f32::NEG_INFINITY, f32::max);
            ((low.floor().max(0.0) as u32).min(most), (high.ceil().max(0.0) as u32).min(most))
        };
        let ((left, right), (top, bottom)) = (side(0, page.width), side(1, page.height));
        Self { left, top, right, bottom }
    }

    pub(crate) const fn width(self) -> u32 {
        self.right - self.left
    }

    pub(crate) const fn height(self) -> u32 {
        self.bottom - self.top
    }
}

/// A point on the way from one to another: all of the way at 1.
pub(crate) fn between(from: [f32; 2], to: [f32; 2], share: f32) -> [f32; 2] {
    [(to[0] - from[0]).mul_add(share, from[0]), (to[1] - from[1]).mul_add(share, from[1])]
}
