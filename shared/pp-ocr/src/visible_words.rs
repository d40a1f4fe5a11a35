//! Words of a text layer in the pixels of their page: whether they are visible, and the page without them.

use quire_document::PageImage;
use quire_tasks::Polygon;

use crate::{crop_rect::CropRect, geometry::Point, print_ink::fine_print};

/// Minimum contrast of a visible word to what is around it, of 255: light gray on white is read.
const MIN_CONTRAST: u8 = 24;
/// Pixels around a word's glyphs that are painted over: smoothed edges.
const MARGIN: f32 = 2.0;
/// Sides of the blocks in which print is searched, in pixels: of small print, and of headings.
const BLOCK_SIDES: [usize; 2] = [32, 96];

/// A range of pixels.
#[derive(Debug, Clone, Copy)]
struct PixelBox {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

/// Returns the smallest and the largest coordinates of polygons.
pub(crate) fn extent<'a>(polygons: impl IntoIterator<Item = &'a Polygon>) -> (Point, Point) {
    let start = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
    let corners = polygons.into_iter().flatten();
    corners.fold(start, |(low, high), corner| {
        ([0, 1].map(|axis| low[axis].min(corner[axis])), [0, 1].map(|axis| high[axis].max(corner[axis])))
    })
}

impl PixelBox {
    /// Returns the pixels of a polygon's extent with a margin; `None` if it is outside of the page.
    fn around(page: &PageImage, polygon: &Polygon, margin: f32) -> Option<Self> {
        let ([left, top], [right, bottom]) = extent([polygon]);
        let low = |at: f32| (at - margin).floor().max(0.0) as usize;
        let high = |at: f32, side: u32| ((at + margin).ceil().max(0.0) as usize).min(side as usize);
        let (left, right) = (low(left), high(right, page.width()));
        let (top, bottom) = (low(top), high(bottom, page.height()));
        (left < right && top < bottom).then_some(Self { left, top, right, bottom })
    }

    fn row(self, page: &PageImage, row: usize) -> std::ops::Range<usize> {
        let start = row * page.width() as usize;
        (start + self.left) * PageImage::CHANNELS..(start + self.right) * PageImage::CHANNELS
    }
}

/// Returns whether a word differs from what is around it.
pub(crate) fn has_ink(page: &PageImage, word: &Polygon) -> bool {
    let Some(pixels) = PixelBox::around(page, word, 1.0) else { return false };
    let (mut low, mut high) = ([u8::MAX; PageImage::CHANNELS], [0; PageImage::CHANNELS]);
    for row in pixels.top..pixels.bottom {
        for pixel in page.pixels()[pixels.row(page, row)].chunks_exact(PageImage::CHANNELS) {
            for channel in 0..PageImage::CHANNELS {
                low[channel] = low[channel].min(pixel[channel]);
                high[channel] = high[channel].max(pixel[channel]);
            }
        }
        if low.iter().zip(high).any(|(low, high)| high.saturating_sub(*low) >= MIN_CONTRAST) {
            return true;
        }
    }
    false
}

/// Returns the page with each word painted over in the color of the pixel beside it.
pub(crate) fn without_words<'a>(page: &PageImage, words: impl Iterator<Item = &'a Polygon>) -> PageImage {
    let mut pixels = page.pixels().to_vec();
    for place in words.filter_map(|word| PixelBox::around(page, word, MARGIN)) {
        let start = place.row(page, place.top).start;
        let color: [u8; PageImage::CHANNELS] = std::array::from_fn(|channel| page.pixels()[start + channel]);
        for row in place.top..place.bottom {
            for pixel in pixels[place.row(page, row)].chunks_exact_mut(PageImage::CHANNELS) {
                pixel.copy_from_slice(&color);
            }
        }
    }
    PageImage::new(page.width(), page.height(), pixels).of_page(page.page_width(), page.page_height())
}

/// Returns whether a page has something like print.
pub(crate) fn has_print(page: &PageImage) -> bool {
    let whole = CropRect::whole(page);
    let blocks = |side: usize| [page.height(), page.width()].map(|length| (length as usize).div_ceil(side));
    BLOCK_SIDES.into_iter().any(|side| {
        let [rows, columns] = blocks(side);
        fine_print(page, &whole, (rows, columns)).blocks.iter().any(|is_fine| *is_fine)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text-like strokes on white, in a part of the page.
    fn page(left: u32, right: u32) -> PageImage {
        let is_ink = |x: u32, y: u32| (left..right).contains(&x) && (20..36).contains(&y) && x % 5 < 2;
        let pixel = |x: u32, y: u32| if is_ink(x, y) { [40; 3] } else { [255, 250, 240] };
        let pixels = (0..64).flat_map(|y| (0..256).flat_map(move |x| pixel(x, y)));
        PageImage::new(256, 64, pixels.collect())
    }

    const fn word(left: f32, right: f32) -> Polygon {
        [[left, 20.0], [right, 20.0], [right, 36.0], [left, 36.0]]
    }

    #[test]
    fn only_a_word_with_ink_is_visible() {
        let page = page(40, 100);
        assert!(has_ink(&page, &word(40.0, 100.0)));
        assert!(!has_ink(&page, &word(110.0, 200.0)), "paper");
        assert!(!has_ink(&page, &word(300.0, 400.0)), "outside of the page");
    }

    #[test]
    fn print_beside_the_words_remains() {
        let page = page(40, 100);
        assert!(has_print(&page));
        let rest = without_words(&page, [word(40.0, 100.0)].iter());
        assert!(!has_print(&rest));
        assert!(!has_ink(&rest, &word(40.0, 100.0)), "painted in the color of the paper");
        assert!(has_print(&without_words(&page, [word(40.0, 60.0)].iter())));
    }
}
