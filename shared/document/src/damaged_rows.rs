//! The rows of an image that could not be decoded.

use std::ops::Range;

use image::metadata::Orientation;
use quire_tasks::{Polygon, Warning, WarningKind};

/// The most warnings; further rows are counted in the last one.
const MAX_WARNINGS: usize = 8;

/// Rows that could not be decoded, or only in part, counted from 0 at the top of the stored image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DamagedRows(Vec<Range<u32>>);

impl DamagedRows {
    /// Adds rows. Those that adjoin the last ones become one part with them.
    pub(crate) fn add(&mut self, rows: Range<u32>) {
        match self.0.last_mut() {
            _ if rows.is_empty() => {}
            Some(last) if last.end >= rows.start && rows.end >= last.start => {
                *last = last.start.min(rows.start)..last.end.max(rows.end);
            }
            _ => self.0.push(rows),
        }
    }

    /// Returns a warning for each part of a page that was stored in `height` rows and is turned upright.
    pub(crate) fn warnings(mut self, height: u32, page_size: (u32, u32), orientation: Orientation) -> Vec<Warning> {
        self.0.sort_by_key(|rows| rows.start);
        let scale = f64::from(page_size.1) / f64::from(height);
        let mut merged = Self::default();
        self.0.into_iter().for_each(|rows| merged.add(rows));
        let count = |rows: &Range<u32>| (f64::from(rows.len() as u32) * scale).round() as u32;
        let rest: u32 = merged.0.iter().skip(MAX_WARNINGS).map(count).sum();
        let mut warnings: Vec<Warning> = merged
            .0
            .iter()
            .take(MAX_WARNINGS)
            .map(|rows| {
                let scaled = |y: u32| (f64::from(y) * scale) as f32;
                let polygon = polygon(scaled(rows.start)..scaled(rows.end), page_size, orientation);
                // Of the whole page, there is nothing to point at.
                let polygon = (rows.len() < height as usize).then_some(polygon);
                Warning { kind: WarningKind::Damaged { rows: count(rows) }, polygon }
            })
            .collect();
        if rest > 0 {
            warnings.push(Warning { kind: WarningKind::Damaged { rows: rest }, polygon: None });
        }
        warnings
    }
}

/// Returns the corners of rows, clockwise from the top left, on the page as it is turned upright.
fn polygon(rows: Range<f32>, (width, height): (u32, u32), orientation: Orientation) -> Polygon {
    let (width, height) = (width as f32, height as f32);
    let turned = |(x, y): (f32, f32)| match orientation {
        Orientation::NoTransforms => (x, y),
        Orientation::Rotate90 => (height - y, x),
        Orientation::Rotate180 => (width - x, height - y),
        Orientation::Rotate270 => (y, width - x),
        Orientation::FlipHorizontal => (width - x, y),
        Orientation::FlipVertical => (x, height - y),
        Orientation::Rotate90FlipH => (y, x),
        Orientation::Rotate270FlipH => (height - y, width - x),
    };
    let (a, b) = (turned((0.0, rows.start)), turned((width, rows.end)));
    let (left, right, top, bottom) = (a.0.min(b.0), a.0.max(b.0), a.1.min(b.1), a.1.max(b.1));
    [[left, top], [right, top], [right, bottom], [left, bottom]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(ranges: &[Range<u32>], orientation: Orientation) -> Vec<Warning> {
        let mut rows = DamagedRows::default();
        for range in ranges {
            rows.add(range.clone());
        }
        rows.warnings(10, (4, 20), orientation)
    }

    #[test]
    fn damaged_rows_are_on_the_upright_page() {
        let of_all = |orientation| warnings(&[7..9, 9..10], orientation)[0].polygon.expect("a part of the page");
        assert_eq!(of_all(Orientation::NoTransforms), [[0.0, 14.0], [4.0, 14.0], [4.0, 20.0], [0.0, 20.0]]);
        assert_eq!(of_all(Orientation::Rotate90), [[0.0, 0.0], [6.0, 0.0], [6.0, 4.0], [0.0, 4.0]]);
        assert_eq!(of_all(Orientation::Rotate180), [[0.0, 0.0], [4.0, 0.0], [4.0, 6.0], [0.0, 6.0]]);
        assert_eq!(of_all(Orientation::Rotate270), [[14.0, 0.0], [20.0, 0.0], [20.0, 4.0], [14.0, 4.0]]);
    }

    #[test]
    fn parts_in_any_order_are_merged_and_counted_in_pixels_of_the_page() {
        let kinds = |ranges: &[Range<u32>]| -> Vec<WarningKind> {
            warnings(ranges, Orientation::NoTransforms).into_iter().map(|warning| warning.kind).collect()
        };
        assert_eq!(kinds(&[5..6, 1..2, 6..8, 2..3]), [4, 6].map(|rows| WarningKind::Damaged { rows }));
        assert_eq!(kinds(&[]), []);
        assert_eq!(warnings(&[0..9, 9..10], Orientation::NoTransforms)[0].polygon, None);
    }
}
