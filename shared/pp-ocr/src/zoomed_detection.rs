//! Zoomed-in detection passes: finds areas with print that is so small that detection sees text, but not its lines, or
//! does not even see text.

use ndarray::{Array2, ArrayView2, Zip, s};
use quire_document::PageImage;

use crate::{
    crop_rect::CropRect,
    detection::{BoxThresholds, SIDE_MULTIPLE, TextBox, detection_size, text_boxes},
    geometry::{Quad, Rectangle},
    line_merge::FoundLine,
    map_rect::MapRect,
    print_ink::{FineBlocks, fine_print},
    tiles::Tile,
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
pub(crate) const BLOCK_PIXELS: usize = 4;
/// Size of the cells in which hints are counted, in blocks: small print is more than a stroke.
const CELL_BLOCKS: usize = 8;
/// Size of a cell, in pixels of the map.
const CELL_PIXELS: usize = BLOCK_PIXELS * CELL_BLOCKS;
/// Minimum number of hints in a cell.
const MIN_CELL_HINTS: u8 = 4;
/// Minimum magnification of each side that is worth another pass.
const MIN_GAIN: f64 = 1.25;
/// Magnification by tiles: twice as many pixels.
const TILED_GAIN: f64 = std::f64::consts::SQRT_2;
/// The same on large pages, whose text may be many times too small.
const LARGE_PAGE_GAIN: f64 = 2.0;
/// Scale of the first pass below which a page is large: text that is lost in it without a hint is legible on the page.
/// An A4 page has this scale at 255 dpi.
const LARGE_PAGE_SCALE: f64 = 0.32;
/// Scale from which on detection misses no print that can be recognized.
const LEGIBLE_SCALE: f64 = 0.7;
/// Heights of boxes of reliable lines with fine print on a large page, in pixels of the map: from print of 8 points at
/// 80 dpi on. A higher box with letters as small as that shows several lines that run together.
const LEGIBLE_BREADTH: std::ops::RangeInclusive<f32> = 12.0..=40.0;
/// Maximum aspect ratio of a box that has no direction.
const SQUARE_ASPECT: f32 = 1.5;
/// Maximum share of fine print in the box of a large line.
const MAX_FINE_SHARE: f32 = 0.1;
/// Height of a box in the map from which on its line needs no closer look, which would find the parts of its letters.
const LARGE_BREADTH: f32 = 28.0;
/// Number of blocks across a cell in which fine print is searched: three letters of the smallest legible print.
const FINE_BLOCKS: usize = 3;

/// The detection map of an area of a page.
pub(crate) struct AreaMap {
    /// The area, in pixels of the page.
    pub(crate) part: CropRect,
    /// Probability of each pixel to be text; 0 in parts without a tile.
    pub(crate) map: Array2<f32>,
    /// Whether the blocks of the map have a hint of print.
    pub(crate) hints: Array2<bool>,
    /// The tiles that the model saw.
    pub(crate) tiles: Vec<Tile>,
}

/// Result of detection in an area of a page.
#[derive(Debug, PartialEq)]
pub(crate) struct DetectedLines {
    /// Text lines, in pixels of the page.
    pub(crate) lines: Vec<FoundLine>,
    /// The area to detect again, zoomed in.
    pub(crate) zoom: Option<ZoomArea>,
    /// The area with print that is too small to tell its lines apart, at the full resolution of the page.
    pub(crate) illegible: Option<CropRect>,
}

/// An area to detect again, zoomed in.
#[derive(Debug, PartialEq)]
pub(crate) struct ZoomArea {
    /// The area, in pixels of the page. No line that was found crosses its border.
    pub(crate) part: CropRect,
    /// Rows and columns of its map. More than one run has pixels if the area must be divided into tiles.
    pub(crate) size: (usize, usize),
    /// Cells of the area with print. Tiles without any of them are skipped.
    pub(crate) cells: Vec<CropRect>,
}

/// Returns which blocks of a map have a hint of text where the picture has the contrast of print. `picture` is the
/// green channel of the detection input.
pub(crate) fn print_hints(picture: &ArrayView2<'_, f32>, map: &ArrayView2<'_, f32>) -> Array2<bool> {
    let blocks = (picture.nrows() / BLOCK_PIXELS, picture.ncols() / BLOCK_PIXELS);
    let mut hints = Array2::from_elem(blocks, false);
    let square = (BLOCK_PIXELS, BLOCK_PIXELS);
    Zip::from(&mut hints).and(picture.exact_chunks(square)).and(map.exact_chunks(square)).for_each(
        |is_hint, picture, map| {
            *is_hint =
                map.iter().any(|&probability| probability > HINT_PROBABILITY) && contrast(&picture) > MIN_CONTRAST;
        },
    );
    hints
}

/// Analyzes the map of an area; a single run of the next pass has at most `max_pixels`. `is_large` tells whether the
/// first pass may have missed small print, see [`is_large_page`].
pub(crate) fn analyze_map(
    page: &PageImage,
    area: &AreaMap,
    is_large: bool,
    max_pixels: usize,
    thresholds: &BoxThresholds,
) -> DetectedLines {
    let size = area.map.dim();
    let part = &area.part;
    let boxes = text_boxes(&area.map.view(), thresholds);
    let now = magnification(part, size.0 * size.1);
    let mut uncertain = uncertain_cells(area, &boxes);
    let fine = (is_large && now < LEGIBLE_SCALE).then(|| FinePrint::find(page, area));
    if let Some(fine) = &fine {
        uncertain.extend(fine.cells_outside(&boxes));
    }
    let lines = boxes.iter().map(|text| found_line(area, text, fine.as_ref())).collect();
    // Include adjacent cells, because small print may end in cells with too few hints.
    let cells: Vec<MapRect> = uncertain.iter().map(|cell| cell.grown(CELL_PIXELS, size)).collect();
    let Some(around) = cells.iter().copied().reduce(MapRect::and) else {
        return DetectedLines { lines, zoom: None, illegible: None };
    };
    if now * MIN_GAIN > 1.0 {
        return DetectedLines { lines, zoom: None, illegible: Some(around.on_page(part, size)) };
    }
    let around = around.around_lines(&boxes, size).on_page(part, size);
    let gain = if is_large { LARGE_PAGE_GAIN } else { TILED_GAIN };
    let cells = cells.into_iter().map(|cell| cell.on_page(part, size)).collect();
    let zoom = ZoomArea { part: around, size: zoomed_size(&around, now, gain, max_pixels), cells };
    DetectedLines { lines, zoom: Some(zoom), illegible: None }
}

/// Converts a box to a line in pixels of the page.
fn found_line(area: &AreaMap, text: &TextBox, fine: Option<&FinePrint>) -> FoundLine {
    let (rows, columns) = area.map.dim();
    let part = &area.part;
    let expanded = text.expanded();
    let quad = Quad(expanded.corners())
        .scaled(part.width as f32 / columns as f32, part.height as f32 / rows as f32)
        .shifted([part.left as f32, part.top as f32]);
    let is_large = text.mean >= CONFIDENT_LINE && expanded.short_side() >= LARGE_BREADTH;
    FoundLine { quad, is_final: is_large && fine.is_none_or(|fine| fine.share(text) <= MAX_FINE_SHARE) }
}

/// Returns whether a page whose first pass has this number of pixels is so large that small print may be missed in it.
pub(crate) fn is_large_page(page: &PageImage, pixels: usize) -> bool {
    magnification(&CropRect::whole(page), pixels) < LARGE_PAGE_SCALE
}

/// Returns the scale of a region that is drawn with this number of pixels; 1 means unchanged.
fn magnification(part: &CropRect, pixels: usize) -> f64 {
    (pixels as f64 / part.area() as f64).sqrt()
}

/// Returns rows and columns of the map of an area in the next pass: those of a single run if it magnifies enough.
fn zoomed_size(part: &CropRect, now: f64, gain: f64, max_pixels: usize) -> (usize, usize) {
    let (width, height) = detection_size(part.width, part.height, max_pixels);
    let single = magnification(part, width as usize * height as usize);
    if single >= 1.0 || single >= now * if gain > TILED_GAIN { gain } else { MIN_GAIN } {
        return (height as usize, width as usize);
    }
    let scale = (now * gain).min(1.0);
    let multiple = f64::from(SIDE_MULTIPLE);
    let side = |pixels: u32| (f64::from(pixels) * scale / multiple).round().max(1.0) as usize * SIDE_MULTIPLE as usize;
    (side(part.height), side(part.width))
}

/// Returns the cells with hints of print that belong to no reliable line.
fn uncertain_cells(area: &AreaMap, boxes: &[TextBox]) -> Vec<MapRect> {
    let (rows, columns) = area.map.dim();
    let confident_pixels = confident_pixels((rows, columns), boxes, |_| true);
    let mut hints = Array2::<u8>::zeros((rows.div_ceil(CELL_PIXELS), columns.div_ceil(CELL_PIXELS)));
    let square = (BLOCK_PIXELS, BLOCK_PIXELS);
    Zip::indexed(&area.hints).and(confident_pixels.exact_chunks(square)).for_each(
        |(row, column), &is_hint, confident_pixels| {
            if is_hint && !confident_pixels.iter().any(|&is_confident| is_confident) {
                hints[[row / CELL_BLOCKS, column / CELL_BLOCKS]] += 1;
            }
        },
    );
    let uncertain = hints.indexed_iter().filter(|(_, hints)| **hints >= MIN_CELL_HINTS);
    uncertain.map(|(cell, _)| cell_rect(cell, (rows, columns))).collect()
}

/// Print that is so fine that the model may have missed it, in blocks of the parts that it saw.
struct FinePrint {
    blocks: Array2<bool>,
    is_horizontal: bool,
    size: (usize, usize),
}

impl FinePrint {
    fn find(page: &PageImage, area: &AreaMap) -> Self {
        let size = area.map.dim();
        let blocks = (size.0 * FINE_BLOCKS / CELL_PIXELS, size.1 * FINE_BLOCKS / CELL_PIXELS);
        let FineBlocks { mut blocks, is_horizontal } = fine_print(page, &area.part, blocks);
        for (block, is_fine) in blocks.indexed_iter_mut() {
            *is_fine &= area.tiles.iter().any(|tile| tile.core.contains(Self::center(block)));
        }
        Self { blocks, is_horizontal, size }
    }

    /// Returns the center of a block, in pixels of the map.
    fn center((row, column): (usize, usize)) -> [usize; 2] {
        [row, column].map(|index| (2 * index + 1) * CELL_PIXELS / (2 * FINE_BLOCKS))
    }

    /// Returns the cells with fine print outside of reliable lines of legible size.
    fn cells_outside(&self, boxes: &[TextBox]) -> Vec<MapRect> {
        let is_legible = |text: &TextBox| {
            let expanded = text.expanded();
            LEGIBLE_BREADTH.contains(&expanded.short_side()) && self.runs_along(&expanded)
        };
        let legible = confident_pixels(self.size, boxes, is_legible);
        let lost = self.blocks.indexed_iter().filter(|&(block, &is_fine)| is_fine && !legible[Self::center(block)]);
        let mut cells: Vec<(usize, usize)> =
            lost.map(|((row, column), _)| (row / FINE_BLOCKS, column / FINE_BLOCKS)).collect();
        cells.dedup();
        cells.into_iter().map(|cell| cell_rect(cell, self.size)).collect()
    }

    /// Returns whether a box has the direction of the print. Across it, a box shows a column of several short lines.
    fn runs_along(&self, text: &Rectangle) -> bool {
        let [along, across] = text.sides;
        let is_level = text.axis[0].abs() > text.axis[1].abs();
        let is_square = along.max(across) < SQUARE_ASPECT * along.min(across);
        is_square || (is_level == (along > across)) == self.is_horizontal
    }

    /// Returns the share of fine print in a box.
    fn share(&self, text: &TextBox) -> f32 {
        let (mut fine, mut all) = (0_u32, 0_u32);
        let block = CELL_PIXELS / FINE_BLOCKS;
        for (row, inside) in text.expanded().pixels(self.size.0, self.size.1).step_by(block) {
            for column in inside.step_by(block) {
                let at = (row * FINE_BLOCKS / CELL_PIXELS, column * FINE_BLOCKS / CELL_PIXELS);
                fine += u32::from(self.blocks.get(at) == Some(&true));
                all += 1;
            }
        }
        fine as f32 / all.max(1) as f32
    }
}

fn cell_rect((row, column): (usize, usize), (rows, columns): (usize, usize)) -> MapRect {
    let [top, left] = [row, column].map(|index| index * CELL_PIXELS);
    MapRect { top, left, bottom: (top + CELL_PIXELS).min(rows), right: (left + CELL_PIXELS).min(columns) }
}

/// Returns a mask of the pixels that belong to reliable lines.
fn confident_pixels(
    (rows, columns): (usize, usize),
    boxes: &[TextBox],
    is_suitable: impl Fn(&TextBox) -> bool,
) -> Array2<bool> {
    let mut confident_pixels = Array2::from_elem((rows, columns), false);
    for text in boxes.iter().filter(|text| text.mean >= CONFIDENT_LINE && is_suitable(text)) {
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

#[cfg(test)]
mod tests;
