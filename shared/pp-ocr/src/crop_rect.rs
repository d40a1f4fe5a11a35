//! A crop rectangle: an axis-aligned part of a page in whole pixels.

use std::ops::Range;

use quire_document::PageImage;

use crate::geometry::{Point, Quad};

/// A crop rectangle of at least one pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CropRect {
    pub(crate) left: u32,
    pub(crate) top: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl CropRect {
    pub(crate) fn whole(page: &PageImage) -> Self {
        Self { left: 0, top: 0, width: page.width(), height: page.height() }
    }

    pub(crate) fn columns(&self) -> Range<usize> {
        self.left as usize..(self.left + self.width) as usize
    }

    pub(crate) fn rows(&self) -> Range<usize> {
        self.top as usize..(self.top + self.height) as usize
    }

    pub(crate) fn quad(&self) -> Quad {
        let [left, top] = [self.left as f32, self.top as f32];
        let [right, bottom] = [left + self.width as f32, top + self.height as f32];
        Quad([[left, top], [right, top], [right, bottom], [left, bottom]])
    }

    pub(crate) const fn area(&self) -> u64 {
        self.width as u64 * self.height as u64
    }

    /// Returns whether the rectangles share a pixel.
    pub(crate) const fn meets(&self, other: &Self) -> bool {
        self.left < other.left + other.width
            && other.left < self.left + self.width
            && self.top < other.top + other.height
            && other.top < self.top + self.height
    }

    pub(crate) fn contains(&self, [x, y]: Point) -> bool {
        let within = |at: f32, side: Range<usize>| (side.start as f32..side.end as f32).contains(&at);
        within(x, self.columns()) && within(y, self.rows())
    }
}
