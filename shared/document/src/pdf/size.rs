//! The size in pixels at which a page is rendered.

use crate::downscale;

/// The default resolution, similar to that of printing: 8-point type is 22 pixels high.
pub(crate) const FULL_DPI: f64 = 200.0;

/// The longest side of pages at less than [`FULL_DPI`]. Text detection scales a page to about 1,000 pixels anyway, so
/// that more than A4 at [`FULL_DPI`] (2,339 pixels) does not help it.
const LONG_SIDE: f64 = 2_600.0;

/// The lowest resolution of pages up to A2: 8-point type is 17 pixels high and still readable. Larger pages are posters
/// and plans, for which the limit on pixels applies.
const MIN_READABLE_DPI: f64 = 150.0;

/// The longest side of pages at more than [`FULL_DPI`], whose content has more detail: that of A4 at [`FULL_DPI`].
const DETAILED_LONG_SIDE: f64 = 2_339.0;

/// The shortest long side of a page, whatever it contains: print may consist of paths without any text.
const MIN_LONG_SIDE: f64 = 1_000.0;

/// The height in pixels to which the smallest text enlarges a page: a little more than 12-point type at [`FULL_DPI`].
/// A page whose unit is not a point (its `UserUnit` is larger, or its producer has scaled it) has type of a few points.
const SMALL_TEXT_PIXELS: f64 = 34.0;

/// The height in pixels below which text enlarges a page: 8-point type at [`FULL_DPI`].
const MIN_TEXT_PIXELS: f64 = 22.0;

/// The least factor by which content enlarges a page: a little more detail is not worth more pixels.
const MIN_GAIN: f64 = 1.25;

/// Points per inch (ISO 32000-1, 8.3.2.3).
const POINTS_PER_INCH: f64 = 72.0;

/// What a page contains, as far as its resolution depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Detail {
    /// The resolution of the largest image in pixels per inch.
    pub(super) image_dpi: Option<f64>,
    /// The size of the smallest text in points.
    pub(super) text_points: Option<f64>,
}

/// The size of a rendered page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PixelSize {
    pub(super) width: u32,
    pub(super) height: u32,
    /// The resolution in pixels per inch of the page.
    pub(super) dpi: f32,
}

impl PixelSize {
    /// Returns the size of a page whose size is in points: at least one pixel either way, and at most
    /// [`downscale::MAX_PAGE_PIXELS`] in total.
    pub(super) fn of_page(width: f64, height: f64, detail: Detail) -> Self {
        // A PDF may declare a width of 0 or an infinite height.
        let side = |points: f64| if points.is_nan() { 0.1 } else { points.clamp(0.1, 1e6) } / POINTS_PER_INCH;
        let (width, height) = (side(width), side(height));
        let long = width.max(height);
        let dpi = dpi(long, detail);
        let pixels = |inches: f64| ((inches * dpi).round() as u32).max(1);
        let (width, height) = downscale::downscaled_size((pixels(width), pixels(height)));
        let dpi = (f64::from(width.max(height)) / long).max(1.0) as f32;
        Self { width, height, dpi }
    }
}

/// Returns the resolution of a page whose long side is this many inches.
fn dpi(long: f64, Detail { image_dpi, text_points }: Detail) -> f64 {
    let by_size = (LONG_SIDE / long).clamp(MIN_READABLE_DPI, FULL_DPI);
    let base = by_size.max(MIN_LONG_SIDE / long);
    let inches = text_points.map(|points| points.max(0.01) / POINTS_PER_INCH);
    let small_text = inches.filter(|inches| inches * base < MIN_TEXT_PIXELS);
    let by_text = small_text.map_or(0.0, |inches| SMALL_TEXT_PIXELS / inches);
    let by_content = image_dpi.unwrap_or(0.0).max(by_text).min(DETAILED_LONG_SIDE / long);
    if by_content > base * MIN_GAIN { by_content } else { base }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn size_in_pixels(width: f64, height: f64) -> (u32, u32) {
        let PixelSize { width, height, .. } = PixelSize::of_page(width, height, Detail::default());
        (width, height)
    }

    #[test]
    fn the_resolution_decreases_with_the_size_of_the_page() {
        assert_eq!(size_in_pixels(595.0, 842.0), (1653, 2339), "A4 at 200 dpi");
        assert_eq!(size_in_pixels(842.0, 1191.0), (1838, 2600), "A3 at 157 dpi");
        assert_eq!(size_in_pixels(1191.0, 1684.0), (2481, 3508), "A2 at 150 dpi");
        let (width, height) = size_in_pixels(2384.0, 3370.0);
        assert_eq!((width, height), (3364, 4755), "A0 at 102 dpi");
    }

    #[test]
    fn a_small_page_has_the_resolution_of_its_content() {
        let size = |detail| {
            let PixelSize { width, height, dpi } = PixelSize::of_page(100.0, 66.0, detail);
            (width, height, dpi.round())
        };
        assert_eq!(size(Detail::default()), (1000, 660, 720.0));
        let image = |dpi| Detail { image_dpi: Some(dpi), ..Detail::default() };
        assert_eq!(size(image(800.0)), (1000, 660, 720.0));
        assert_eq!(size(image(1000.0)), (1389, 917, 1000.0));
        assert_eq!(size(image(2000.0)), (2339, 1544, 1684.0));
        let text = |points| Detail { text_points: Some(points), ..Detail::default() };
        assert_eq!(size(text(2.3)), (1000, 660, 720.0));
        assert_eq!(size(text(2.0)), (1700, 1122, 1224.0));
        assert_eq!(size(text(1.1)), (2339, 1544, 1684.0));
        assert_eq!(size(text(0.0)), (2339, 1544, 1684.0));
    }

    #[test]
    fn the_content_of_a_large_page_does_not_matter() {
        let detail = Detail { image_dpi: Some(600.0), text_points: Some(3.0) };
        for (width, height) in [(595.0, 842.0), (612.0, 792.0), (1191.0, 1684.0)] {
            assert_eq!(PixelSize::of_page(width, height, detail), PixelSize::of_page(width, height, Detail::default()));
        }
    }

    #[test]
    fn invalid_page_sizes_are_clamped() {
        assert_eq!(size_in_pixels(1.0, 14_400.0), (2, 30_000));
        assert_eq!(size_in_pixels(0.0, f64::NAN), (1000, 1000));
        assert_eq!(size_in_pixels(f64::INFINITY, -3.0), (65_535, 1));
    }

    proptest! {
        #[test]
        fn no_page_has_too_many_pixels(width in 0.0..1e7, height in 0.0..1e7, dpi in 0.0..1e9, points in 0.0..1e9) {
            let detail = Detail { image_dpi: Some(dpi), text_points: Some(points) };
            let size = PixelSize::of_page(width, height, detail);
            prop_assert!(size.width > 0 && size.height > 0 && size.dpi >= 1.0);
            prop_assert!(u64::from(size.width) * u64::from(size.height) <= downscale::MAX_PAGE_PIXELS);
        }
    }
}
