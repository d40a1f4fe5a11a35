//! Detection: a page to the model's input, and the model's probability map to the places of text lines.

use ndarray::ArrayView2;

use crate::{
    components::{Component, components},
    geometry::{Rectangle, convex_hull},
};

/// A pixel is text from this probability on; PP-OCRv6's own value.
const PIXEL_THRESHOLD: f32 = 0.2;
/// A box is text from this mean probability on; PP-OCRv6's own value.
const BOX_THRESHOLD: f32 = 0.45;
/// How far the model's shrunken boxes are expanded. With PP-OCRv6's own 1.4 pages read as well, but tighter boxes make wider
/// strips: 1.6 saves 7 % of recognition.
const UNCLIP_RATIO: f32 = 1.6;
/// Thinner regions, in pixels of the map, are noise: a character needs more.
const MIN_SIDE: f32 = 3.0;
/// The model halves its input five times.
const SIDE_MULTIPLE: u32 = 32;

/// Width and height at detection of a picture: about `max_pixels` at most, both sides multiples of 32. The area is what
/// counts, not the longest side, so that a long receipt is not shrunk to a thread and a square page costs no more than
/// another.
pub(crate) fn detection_size(width: u32, height: u32, max_pixels: usize) -> (u32, u32) {
    let (width, height) = (f64::from(width), f64::from(height));
    let scale = (max_pixels as f64 / (width * height)).sqrt().min(1.0);
    let multiple = f64::from(SIDE_MULTIPLE);
    let longest = (max_pixels as f64 / multiple).max(multiple);
    let round = |side: f64| ((side * scale).min(longest) / multiple).round().max(1.0) as u32 * SIDE_MULTIPLE;
    (round(width), round(height))
}

/// A region that is text, in pixels of the map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TextBox {
    /// As the model draws it: smaller than the text.
    pub(crate) rectangle: Rectangle,
    /// How likely its pixels are text, in the mean.
    pub(crate) mean: f32,
}

impl TextBox {
    /// As large as the text.
    pub(crate) fn expanded(&self) -> Rectangle {
        self.rectangle.unclipped(UNCLIP_RATIO)
    }
}

/// The text in a probability map.
pub(crate) fn text_boxes(map: &ArrayView2<'_, f32>) -> Vec<TextBox> {
    let regions = components(map, PIXEL_THRESHOLD);
    regions.iter().filter_map(|region| text_box(map, region)).collect()
}

fn text_box(map: &ArrayView2<'_, f32>, region: &Component) -> Option<TextBox> {
    let rectangle = Rectangle::around(&convex_hull(region.outline()))?;
    if rectangle.short_side() < MIN_SIDE {
        return None;
    }
    let mean = mean_inside(map, &rectangle);
    (mean >= BOX_THRESHOLD).then_some(TextBox { rectangle, mean })
}

/// The mean of the values whose pixel centers lie inside a rectangle.
fn mean_inside(map: &ArrayView2<'_, f32>, rectangle: &Rectangle) -> f32 {
    let (rows, columns) = map.dim();
    let (mut sum, mut count) = (0.0, 0_usize);
    for (row, inside) in rectangle.pixels(rows, columns) {
        count += inside.len();
        sum += map.slice(ndarray::s![row, inside]).sum();
    }
    if count == 0 { 0.0 } else { sum / count as f32 }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::*;
    use crate::geometry::Quad;

    #[test]
    fn sides_are_multiples_of_32_and_the_area_is_bounded() {
        let size = |width, height| detection_size(width, height, 960 * 672);
        assert_eq!(size(1654, 2339), (672, 960));
        assert_eq!(size(640, 480), (640, 480));
        assert_eq!(size(3000, 3000), (800, 800));
        assert_eq!(size(600, 6000), (256, 2528));
        assert_eq!(size(1, 1), (32, 32));
        assert_eq!(size(10_000, 10), (10_016, 32));
        assert_eq!(size(u32::MAX, 1), (20_160, 32));
        assert_eq!(size(u32::MAX, u32::MAX), (800, 800));
    }

    #[test]
    fn a_bar_of_text_becomes_a_box_that_is_grown() {
        let mut map = Array2::zeros((64, 128));
        map.slice_mut(s![20..30, 20..100]).fill(0.9);
        let boxes = text_boxes(&map.view());
        let [text] = boxes[..] else { panic!("one box, not {boxes:?}") };
        assert!((text.mean - 0.9).abs() < 1e-4);
        // 80 × 10 expanded by 800 × 1.6 / 180 = 7.11 on each side.
        let quad = Quad(text.expanded().corners()).facing([1.0, 0.0]);
        assert!((quad.length() - 94.22).abs() < 0.1 && (quad.breadth() - 24.22).abs() < 0.1);
        assert!((quad.0[0][0] - 12.89).abs() < 0.1 && (quad.0[0][1] - 12.89).abs() < 0.1);
    }

    #[test]
    fn faint_and_thin_regions_are_no_text() {
        let mut map = Array2::zeros((64, 128));
        map.slice_mut(s![20..30, 20..100]).fill(0.3);
        map.slice_mut(s![50..52, 20..100]).fill(0.9);
        map.slice_mut(s![0..10, 0..10]).fill(f32::NAN);
        assert_eq!(text_boxes(&map.view()), []);
    }
}
