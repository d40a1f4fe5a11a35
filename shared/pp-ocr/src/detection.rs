//! Detection: input size, and from a probability map to the boxes of text lines.

use ndarray::ArrayView2;

use crate::{
    components::{Component, components},
    geometry::{Rectangle, convex_hull},
};

/// What turns a probability map into boxes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxThresholds {
    /// Threshold of a pixel to be text, from 0 to 1.
    pub pixel: f32,
    /// Threshold of the mean probability of a box, from 0 to 1.
    pub mean: f32,
    /// How much the model's shrunken boxes are expanded, in area by perimeter.
    pub unclip_ratio: f32,
}

impl Default for BoxThresholds {
    /// The thresholds of PP-OCRv6 small. With its default ratio of 1.4 the text is the same, but tighter boxes result in
    /// wider line images: 1.6 saves 7 % of recognition.
    fn default() -> Self {
        Self { pixel: 0.2, mean: 0.45, unclip_ratio: 1.6 }
    }
}

/// Minimum side of a region, in pixels of the map; smaller ones are noise.
const MIN_SIDE: f32 = 3.0;
/// Input sides must be multiples of this, because the model halves its input five times.
pub(crate) const SIDE_MULTIPLE: u32 = 32;

/// Returns width and height of the detection input: at most about `max_pixels`, both multiples of 32. The limit applies
/// to the area instead of the longer side, so that a long receipt is not scaled down too much and all shapes cost the
/// same.
pub(crate) fn detection_size(width: u32, height: u32, max_pixels: usize) -> (u32, u32) {
    let width = f64::from(width);
    let height = f64::from(height);
    let scale = (max_pixels as f64 / (width * height)).sqrt().min(1.0);
    let multiple = f64::from(SIDE_MULTIPLE);
    let longest = (max_pixels as f64 / multiple).max(multiple);
    let round = |side: f64| ((side * scale).min(longest) / multiple).round().max(1.0) as u32 * SIDE_MULTIPLE;
    (round(width), round(height))
}

/// A text region, in pixels of the map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TextBox {
    /// The rectangle that the model returns, which is smaller than the text.
    pub(crate) rectangle: Rectangle,
    /// Mean probability of its pixels.
    pub(crate) mean: f32,
    /// See [`BoxThresholds`].
    pub(crate) unclip_ratio: f32,
}

impl TextBox {
    /// Returns the rectangle expanded to the size of the text.
    pub(crate) fn expanded(&self) -> Rectangle {
        self.rectangle.unclipped(self.unclip_ratio)
    }
}

/// Returns the text regions of a probability map.
pub(crate) fn text_boxes(map: &ArrayView2<'_, f32>, thresholds: &BoxThresholds) -> Vec<TextBox> {
    let regions = components(map, thresholds.pixel);
    regions.iter().filter_map(|region| text_box(map, region, thresholds)).collect()
}

fn text_box(map: &ArrayView2<'_, f32>, region: &Component, thresholds: &BoxThresholds) -> Option<TextBox> {
    let rectangle = Rectangle::around(&convex_hull(region.outline()))?;
    if rectangle.short_side() < MIN_SIDE {
        return None;
    }
    let mean = mean_inside(map, &rectangle);
    let unclip_ratio = thresholds.unclip_ratio;
    (mean >= thresholds.mean).then_some(TextBox { rectangle, mean, unclip_ratio })
}

/// Returns the mean of the values whose pixel centers are inside a rectangle.
fn mean_inside(map: &ArrayView2<'_, f32>, rectangle: &Rectangle) -> f32 {
    let (rows, columns) = map.dim();
    let mut sum = 0.0;
    let mut count = 0_usize;
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
    fn a_bar_of_text_becomes_an_expanded_box() {
        let mut map = Array2::zeros((64, 128));
        map.slice_mut(s![20..30, 20..100]).fill(0.9);
        let boxes = text_boxes(&map.view(), &BoxThresholds::default());
        let [text] = boxes[..] else { panic!("one box, not {boxes:?}") };
        assert!((text.mean - 0.9).abs() < 1e-4);
        // 80 × 10 expanded by 800 × 1.6 / 180 = 7.11 on each side.
        let quad = Quad(text.expanded().corners()).facing([1.0, 0.0]);
        assert!((quad.length() - 94.22).abs() < 0.1 && (quad.breadth() - 24.22).abs() < 0.1);
        assert!((quad.0[0][0] - 12.89).abs() < 0.1 && (quad.0[0][1] - 12.89).abs() < 0.1);
    }

    #[test]
    fn faint_and_thin_regions_are_ignored() {
        let mut map = Array2::zeros((64, 128));
        map.slice_mut(s![20..30, 20..100]).fill(0.3);
        map.slice_mut(s![50..52, 20..100]).fill(0.9);
        map.slice_mut(s![0..10, 0..10]).fill(f32::NAN);
        assert_eq!(text_boxes(&map.view(), &BoxThresholds::default()), []);
        let lower = BoxThresholds { mean: 0.25, ..BoxThresholds::default() };
        assert_eq!(text_boxes(&map.view(), &lower).len(), 1);
    }
}
