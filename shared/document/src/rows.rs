//! Collects the rows of a page as they are decoded. Large pages are downscaled row by row, so that the decoded page is
//! never in memory in its own size.

use std::ops::Range;

use image::{DynamicImage, RgbImage, metadata::Orientation};

use crate::{
    DocumentLimits, PageImage,
    damaged_rows::DamagedRows,
    downscale::{MAX_SIDE, Scaler, downscaled_size},
    image_fault::ImageFault,
    transparency::{Background, OutlinePixels},
};

/// The channels of a row, one byte each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channels {
    /// Gray.
    Gray,
    /// Blue, green, red.
    Bgr,
    /// Blue, green, red and opacity, not multiplied with each other.
    BgrAlpha,
}

impl Channels {
    /// Returns the bytes of a pixel.
    pub(crate) const fn count(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::Bgr => 3,
            Self::BgrAlpha => 4,
        }
    }
}

/// The page to which rows are added, from the top.
pub(crate) struct PageRows {
    /// Width and height of the stored image.
    size: (u32, u32),
    /// Width and height of the page with square pixels.
    page_size: (u32, u32),
    channels: Channels,
    scaler: Scaler,
    outline: OutlinePixels,
    pushed: u32,
    decoded: u32,
    damaged: DamagedRows,
}

impl PageRows {
    /// Creates a page of `size` pixels whose height is `pixel_height` times their width.
    ///
    /// # Errors
    /// Fails for an image without pixels or with more than the limit.
    pub(crate) fn new(
        size: (u32, u32),
        pixel_height: f64,
        channels: Channels,
        limits: &DocumentLimits,
    ) -> Result<Self, ImageFault> {
        check_size(size, limits.max_pixels)?;
        let height = (f64::from(size.1) * pixel_height).round().clamp(1.0, f64::from(u32::MAX)) as u32;
        let page_size = (size.0, height);
        let scaler = Scaler::new(size, downscaled_size(page_size), channels.count());
        let (outline, damaged) = (OutlinePixels::default(), DamagedRows::default());
        Ok(Self { size, page_size, channels, scaler, outline, pushed: 0, decoded: 0, damaged })
    }

    /// Adds the next row; rows beyond the page are ignored.
    pub(crate) fn push(&mut self, row: &mut [u8]) {
        if self.pushed == self.size.1 {
            return;
        }
        if self.channels == Channels::BgrAlpha {
            self.outline.count(row);
            premultiply(row);
        }
        self.scaler.push(row);
        self.pushed += 1;
        self.decoded += 1;
    }

    /// Adds rows of which nothing is known.
    pub(crate) fn push_missing(&mut self, count: u32) {
        let end = self.pushed.saturating_add(count).min(self.size.1);
        self.damaged.add(self.pushed..end);
        // White, or transparent.
        let blank = if self.channels == Channels::BgrAlpha { 0 } else { 255 };
        let row = vec![blank; self.size.0 as usize * self.channels.count()];
        for _ in self.pushed..end {
            self.scaler.push(&row);
        }
        self.pushed = end;
    }

    /// Marks rows that were decoded in part or may be wrong; must be called with ascending rows.
    pub(crate) fn mark_damaged(&mut self, rows: Range<u32>) {
        self.damaged.add(rows.start.min(self.size.1)..rows.end.min(self.size.1));
    }

    /// Returns the number of rows so far.
    pub(crate) const fn pushed(&self) -> u32 {
        self.pushed
    }

    /// Returns the page, turned upright; rows that were not added are missing.
    ///
    /// # Errors
    /// [`ImageFault::Truncated`] if no row was decoded, [`ImageFault::Invisible`] if all pixels are transparent.
    pub(crate) fn finish(mut self, orientation: Orientation) -> Result<PageImage, ImageFault> {
        self.push_missing(self.size.1 - self.pushed);
        if self.decoded == 0 {
            return Err(ImageFault::Truncated);
        }
        let background = match self.channels {
            Channels::BgrAlpha if !self.outline.has_visible() => return Err(ImageFault::Invisible),
            _ => self.outline.background(),
        };
        let size = self.scaler.size();
        let bgr = to_bgr(self.scaler.into_pixels(), self.channels, background);
        let warnings = self.damaged.warnings(self.size.1, self.page_size, orientation);
        Ok(upright(size, bgr, self.page_size, orientation).with_warnings(warnings))
    }
}

/// Checks the size of an image by its header.
///
/// # Errors
/// Fails for an image without pixels or with more than `max`.
pub(crate) fn check_size((width, height): (u32, u32), max: u64) -> Result<(), ImageFault> {
    let pixels = u64::from(width) * u64::from(height);
    match pixels {
        0 => Err(ImageFault::Invalid("it has no pixels")),
        pixels if pixels > max => Err(ImageFault::TooLarge(format!(
            "The image has {width} × {height} pixels; at most {max} are taken in all."
        ))),
        _ => Ok(()),
    }
}

/// Multiplies the colors of a row with their opacity, so that means of pixels have the right color.
fn premultiply(row: &mut [u8]) {
    for [blue, green, red, alpha] in row.as_chunks_mut::<4>().0 {
        for color in [blue, green, red] {
            *color = product(*color, *alpha);
        }
    }
}

/// Multiplies two fractions of 255.
pub(crate) fn product(a: u8, b: u8) -> u8 {
    ((u16::from(a) * u16::from(b) + 127) / 255) as u8
}

/// Returns the pixels as blue, green and red, transparent ones on the background.
fn to_bgr(pixels: Vec<u8>, channels: Channels, Background(background): Background) -> Vec<u8> {
    match channels {
        Channels::Bgr => pixels,
        Channels::Gray => pixels.into_iter().flat_map(|gray| [gray; 3]).collect(),
        Channels::BgrAlpha => {
            let on_background = |[blue, green, red, alpha]: &[u8; 4]| {
                let behind = product(background, 255 - alpha);
                [blue, green, red].map(|color| color.saturating_add(behind))
            };
            pixels.as_chunks::<4>().0.iter().flat_map(on_background).collect()
        }
    }
}

fn upright(size: (u32, u32), bgr: Vec<u8>, page_size: (u32, u32), orientation: Orientation) -> PageImage {
    // The order of the channels does not matter for turning.
    let image = RgbImage::from_raw(size.0, size.1, bgr).expect("three bytes per pixel");
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    debug_assert!(width.max(height) <= MAX_SIDE, "{width} × {height}");
    let (page_width, page_height) = if swaps_sides(orientation) { (page_size.1, page_size.0) } else { page_size };
    PageImage::new(width, height, image.into_bytes()).of_page(page_width, page_height)
}

const fn swaps_sides(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH)
}

#[cfg(test)]
mod tests {
    use quire_tasks::WarningKind;

    use super::*;

    fn page(channels: Channels, size: (u32, u32)) -> PageRows {
        PageRows::new(size, 1.0, channels, &DocumentLimits::default()).expect("small")
    }

    #[test]
    fn missing_rows_are_white_and_named() {
        let mut rows = page(Channels::Gray, (2, 5));
        rows.push(&mut [7, 7]);
        rows.push_missing(2);
        rows.push(&mut [9, 9]);
        let page = rows.finish(Orientation::NoTransforms).expect("two rows");
        let damaged = |rows| WarningKind::Damaged { rows };
        let kinds: Vec<_> = page.warnings().iter().map(|warning| warning.kind.clone()).collect();
        assert_eq!(kinds, [damaged(2), damaged(1)]);
        assert_eq!(page.warnings()[0].polygon, Some([[0.0, 1.0], [2.0, 1.0], [2.0, 3.0], [0.0, 3.0]]));
        let row = |y: usize| page.pixels()[y * 6];
        assert_eq!([row(0), row(1), row(2), row(3), row(4)], [7, 255, 255, 9, 255]);
    }

    #[test]
    fn a_page_without_a_row_is_truncated() {
        assert!(matches!(page(Channels::Gray, (2, 5)).finish(Orientation::NoTransforms), Err(ImageFault::Truncated)));
    }

    #[test]
    fn rows_of_flat_pixels_are_stretched() {
        let mut rows = PageRows::new((1, 2), 2.0, Channels::Gray, &DocumentLimits::default()).expect("small");
        rows.push(&mut [10]);
        rows.push(&mut [20]);
        let page = rows.finish(Orientation::NoTransforms).expect("two rows");
        assert_eq!((page.width(), page.height(), page.page_height()), (1, 4, 4));
        assert_eq!(page.pixels(), [[10; 6], [20; 6]].concat());
    }

    #[test]
    fn half_transparent_pixels_show_the_background() {
        let mut rows = page(Channels::BgrAlpha, (2, 1));
        rows.push(&mut [200, 0, 0, 128, 9, 9, 9, 0]);
        let page = rows.finish(Orientation::NoTransforms).expect("a row");
        assert_eq!(page.pixels(), [227, 127, 127, 255, 255, 255]);
    }
}
