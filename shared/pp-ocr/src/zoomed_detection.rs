//! Zoomed-in second detection pass: finds regions with print that is so small that detection sees text, but not its
//! lines.

use ndarray::{Array2, ArrayView2, Axis, Zip, s};

use crate::{
    crop_rect::CropRect,
    detection::{TextBox, detection_size, text_boxes},
    geometry::Quad,
};

/// Minimum mean probability of a reliable line. Measured at 80 dpi on 110 pages of all kinds: print of 8 points and
/// more is above 0.6, except on pages on their side (0.5); print of 7 points and less, whose lines run together, is
/// below.
const CONFIDENT_LINE: f32 = 0.58;
/// Minimum probability of a hint of text.
const HINT_PROBABILITY: f32 = 0.05;
/// Minimum contrast of print, where black and white differ by 2. Hints on blank paper are ignored.
const MIN_CONTRAST: f32 = 0.375;
/// Size of the blocks in which hints and print are searched, in pixels of the map.
const BLOCK_PIXELS: usize = 4;
/// Size of the cells in which hints are counted, in blocks: small print is more than a stroke.
const CELL_BLOCKS: usize = 8;
/// Minimum number of hints in a cell.
const MIN_CELL_HINTS: u8 = 4;
/// Minimum magnification of each side that is worth another pass.
const MIN_GAIN: f64 = 1.25;

/// Result of detection in a region of a page.
#[derive(Debug, PartialEq)]
pub(crate) struct DetectedLines {
    /// Text lines, in pixels of the page.
    pub(crate) lines: Vec<Quad>,
    /// Regions to detect again, zoomed in.
    pub(crate) zoom_regions: Vec<CropRect>,
    /// The region with print that is too small to tell its lines apart, at the full resolution of the page.
    pub(crate) illegible: Option<CropRect>,
}

/// Analyzes the map of a region. `picture` is the green channel of the detection input; the next pass has at most
/// `max_pixels`.
pub(crate) fn analyze_map(
    part: &CropRect,
    picture: &ArrayView2<'_, f32>,
    map: &ArrayView2<'_, f32>,
    max_pixels: usize,
) -> DetectedLines {
    let (rows, columns) = map.dim();
    let x = part.width as f32 / columns as f32;
    let y = part.height as f32 / rows as f32;
    let boxes = text_boxes(map);
    let quad =
        |text: &TextBox| Quad(text.expanded().corners()).scaled(x, y).shifted([part.left as f32, part.top as f32]);
    let lines = boxes.iter().map(quad).collect();
    let Some(uncertain) = uncertain_print(picture, map, &boxes) else {
        return DetectedLines { lines, zoom_regions: Vec::new(), illegible: None };
    };
    if magnification(part, rows * columns) * MIN_GAIN > 1.0 {
        DetectedLines { lines, zoom_regions: Vec::new(), illegible: Some(uncertain.on_page(part, map)) }
    } else {
        let zoom_regions = zoom_parts(part, map, uncertain.around_lines(&boxes, map.dim()), max_pixels);
        DetectedLines { lines, zoom_regions, illegible: None }
    }
}

/// Returns the scale of a region that is drawn with this number of pixels; 1 means unchanged.
fn magnification(part: &CropRect, pixels: usize) -> f64 {
    (pixels as f64 / part.area() as f64).sqrt()
}

/// A rectangle of a map; bottom and right are exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct MapRect {
    top: usize,
    left: usize,
    bottom: usize,
    right: usize,
}

/// Returns the rectangle around print that belongs to no reliable line.
fn uncertain_print(picture: &ArrayView2<'_, f32>, map: &ArrayView2<'_, f32>, boxes: &[TextBox]) -> Option<MapRect> {
    let confident_pixels = confident_pixels(map.dim(), boxes);
    let mut hints = Array2::<u8>::zeros((
        map.nrows().div_ceil(BLOCK_PIXELS * CELL_BLOCKS),
        map.ncols().div_ceil(BLOCK_PIXELS * CELL_BLOCKS),
    ));
    let square = (BLOCK_PIXELS, BLOCK_PIXELS);
    Zip::indexed(map.exact_chunks(square))
        .and(picture.exact_chunks(square))
        .and(confident_pixels.exact_chunks(square))
        .for_each(|(row, column), map, picture, confident_pixels| {
            let is_hint = map.iter().any(|&probability| probability > HINT_PROBABILITY)
                && !confident_pixels.iter().any(|&confident_pixels| confident_pixels);
            if is_hint && contrast(&picture) > MIN_CONTRAST {
                hints[[row / CELL_BLOCKS, column / CELL_BLOCKS]] += 1;
            }
        });
    let cells = hints.indexed_iter().filter(|(_, hints)| **hints >= MIN_CELL_HINTS).map(|(cell, _)| cell);
    // Include adjacent cells, because small print may end in cells with too few hints.
    let around = |(row, column): (usize, usize)| {
        let before = |index: usize| index.saturating_sub(1) * BLOCK_PIXELS * CELL_BLOCKS;
        let behind = |index: usize, end: usize| ((index + 2) * BLOCK_PIXELS * CELL_BLOCKS).min(end);
        let bottom = behind(row, map.nrows());
        let right = behind(column, map.ncols());
        MapRect { top: before(row), left: before(column), bottom, right }
    };
    cells.map(around).reduce(MapRect::and)
}

/// Returns a mask of the pixels that belong to reliable lines.
fn confident_pixels((rows, columns): (usize, usize), boxes: &[TextBox]) -> Array2<bool> {
    let mut confident_pixels = Array2::from_elem((rows, columns), false);
    for text in boxes.iter().filter(|text| text.mean >= CONFIDENT_LINE) {
        for (row, inside) in text.expanded().pixels(rows, columns) {
            confident_pixels.slice_mut(s![row, inside]).fill(true);
        }
    }
    confident_pixels
}

fn contrast(block: &ArrayView2<'_, f32>) -> f32 {
    let (low, high) = block.iter().fold((f32::MAX, f32::MIN), |(low, high), &value| (low.min(value), high.max(value)));
    high - low
}

impl MapRect {
    fn and(self, other: Self) -> Self {
        Self {
            top: self.top.min(other.top),
            left: self.left.min(other.left),
            bottom: self.bottom.max(other.bottom),
            right: self.right.max(other.right),
        }
    }

    /// Extends the rectangle to include every line that it would cut.
    fn around_lines(self, boxes: &[TextBox], (rows, columns): (usize, usize)) -> Self {
        let meets = |line: &Self| {
            line.top < self.bottom && self.top < line.bottom && line.left < self.right && self.left < line.right
        };
        let around = boxes.iter().map(Self::of_line).filter(meets).fold(self, Self::and);
        Self { bottom: around.bottom.min(rows), right: around.right.min(columns), ..around }
    }

    /// Boxes of the detection model are half as high as their text.
    fn of_line(text: &TextBox) -> Self {
        let margin = text.rectangle.short_side() / 2.0;
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

    /// Converts the rectangle to pixels of the page.
    fn on_page(self, part: &CropRect, map: &ArrayView2<'_, f32>) -> CropRect {
        let (rows, columns) = map.dim();
        let along = |at: usize, from: usize, to: u32| (at as u64 * u64::from(to) / from as u64) as u32;
        let left = along(self.left, columns, part.width);
        let right = along(self.right, columns, part.width);
        let top = along(self.top, rows, part.height);
        let bottom = along(self.bottom, rows, part.height);
        CropRect {
            left: part.left + left,
            top: part.top + top,
            width: (right - left).max(1),
            height: (bottom - top).max(1),
        }
    }
}

/// Returns the rectangle itself if it is small enough to be magnified, otherwise its two halves.
fn zoom_parts(part: &CropRect, map: &ArrayView2<'_, f32>, area: MapRect, max_pixels: usize) -> Vec<CropRect> {
    let around = area.on_page(part, map);
    let (width, height) = detection_size(around.width, around.height, max_pixels);
    let now = magnification(part, map.len());
    if magnification(&around, width as usize * height as usize) >= MIN_GAIN * now {
        return vec![around];
    }
    halves(area, map).map(|half| half.on_page(part, map)).to_vec()
}

/// Cuts a rectangle in two, through as little text as possible.
fn halves(area: MapRect, map: &ArrayView2<'_, f32>) -> [MapRect; 2] {
    let text = map.slice(s![area.top..area.bottom, area.left..area.right]);
    let (across, row) = least_text(&text, Axis(0));
    let (down, column) = least_text(&text, Axis(1));
    if across <= down {
        let row = area.top + row;
        [MapRect { bottom: row, ..area }, MapRect { top: row, ..area }]
    } else {
        let column = area.left + column;
        [MapRect { right: column, ..area }, MapRect { left: column, ..area }]
    }
}

/// Returns the row or column with the least text in the middle third of an axis: its mean probability and its index.
fn least_text(text: &ArrayView2<'_, f32>, axis: Axis) -> (f32, usize) {
    let len = text.len_of(axis);
    let middle = len / 3..len - len / 3;
    let mean = |index: usize| text.index_axis(axis, index).mean().unwrap_or(0.0);
    middle.map(|index| (mean(index), index)).min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, 0))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "small whole numbers, which are exact")]
mod tests {
    use super::*;

    /// Input and output of detection for a region.
    struct DetectorView {
        picture: Array2<f32>,
        map: Array2<f32>,
    }

    /// Twice as large as its map.
    const PAGE: CropRect = CropRect { left: 100, top: 200, width: 640, height: 896 };
    const PIXELS: usize = 320 * 448;

    impl DetectorView {
        fn blank() -> Self {
            Self { picture: Array2::from_elem((448, 320), 1.0), map: Array2::zeros((448, 320)) }
        }

        fn with_line(mut self, rows: std::ops::Range<usize>, probability: f32) -> Self {
            self.map.slice_mut(s![rows.clone(), 40..280]).fill(probability);
            self.with_ink(rows)
        }

        /// Strokes of one pixel.
        fn with_ink(mut self, rows: std::ops::Range<usize>) -> Self {
            self.picture.slice_mut(s![rows, 40..280;2]).fill(-1.0);
            self
        }

        fn found(&self, part: &CropRect) -> DetectedLines {
            analyze_map(part, &self.picture.view(), &self.map.view(), PIXELS)
        }
    }

    #[test]
    fn reliable_lines_and_hints_on_blank_paper_are_not_zoomed() {
        let mut seen = DetectorView::blank().with_line(30..36, 0.9).with_line(60..66, 0.7).with_ink(100..160);
        seen.map.slice_mut(s![200..400, 40..280]).fill(0.15);
        let found = seen.found(&PAGE);
        assert_eq!((found.lines.len(), found.zoom_regions), (2, vec![]));
        assert_eq!(found.lines[0].center(), [100.0 + 2.0 * 160.0, 200.0 + 2.0 * 33.0]);
    }

    #[test]
    fn small_print_is_zoomed_with_the_lines_that_it_cuts() {
        let footnotes = DetectorView::blank().with_line(30..36, 0.9).with_line(384..448, 0.1);
        let below = |top: u32| CropRect { left: 100, top, width: 640, height: 200 + 896 - top };
        assert_eq!(footnotes.found(&PAGE).zoom_regions, [below(200 + 2 * 352)], "from the cells above");
        let cut = footnotes.with_line(350..356, 0.9);
        assert_eq!(cut.found(&PAGE).zoom_regions, [below(200 + 2 * 347)], "with half of its height above");
    }

    #[test]
    fn lines_that_run_together_are_zoomed() {
        let sure =
            |probability| DetectorView::blank().with_line(384..400, probability).found(&PAGE).zoom_regions.is_empty();
        assert!(sure(0.6));
        assert!(!sure(0.5));
    }

    #[test]
    fn a_page_of_small_print_is_split_at_a_blank_gap() {
        let seen = DetectorView::blank().with_line(10..240, 0.1).with_line(244..440, 0.1);
        let part = |top, height| CropRect { left: 100, top, width: 640, height };
        let [above, below] = seen.found(&PAGE).zoom_regions[..] else { panic!("two halves") };
        assert_eq!((above, below), (part(200, 480), part(680, 416)));
        let mut columns = DetectorView::blank().with_line(10..440, 0.1);
        columns.map.slice_mut(s![.., 150..152]).fill(0.0);
        let [left, right] = columns.found(&PAGE).zoom_regions[..] else { panic!("two halves") };
        assert_eq!((left.width, right.left, right.width), (300, 400, 340));
    }

    #[test]
    fn no_pass_magnifies_beyond_the_pixels_of_the_page() {
        let seen = DetectorView::blank().with_line(384..448, 0.1);
        assert_eq!(seen.found(&CropRect { width: 360, height: 504, ..PAGE }).zoom_regions, []);
        assert_eq!(seen.found(&CropRect { width: 420, height: 588, ..PAGE }).zoom_regions.len(), 1);
    }
}
