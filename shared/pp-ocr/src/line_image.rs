//! Draws a text line from the page into a line image, the recognizer's input of 48 pixels height.

use std::ops::Range;

use ndarray::{ArrayView3, ArrayViewMut3};
use quire_document::PageImage;

use crate::{
    geometry::{Point, Quad},
    resampling_kernel::{ResamplingKernel, resample_rows_and_columns, write_row},
};

/// Height of the recognizer's input, in pixels.
pub(crate) const LINE_IMAGE_HEIGHT: usize = 48;
/// Columns per step of the recognizer; the minimum width of a line image.
pub(crate) const STEP_WIDTH: usize = 8;
/// Maximum number of pieces of a line: a hairline across a huge page is squeezed instead of being read for minutes.
const MAX_PIECES: usize = 32;

/// Returns the width of a line image, `width_ratio` times the line's width on the page at the same scale.
pub(crate) fn line_image_width(quad: &Quad, width_ratio: f32, piece_max_width: usize) -> usize {
    let width = width_ratio * LINE_IMAGE_HEIGHT as f32 * quad.length() / quad.breadth().max(1e-3);
    (width.round() as usize).clamp(STEP_WIDTH, piece_max_width * MAX_PIECES)
}

/// Draws a line into `[3, 48, width]`.
///
/// Most lines are horizontal or vertical and are resampled by rows and columns, which is separable and fast. Rotated
/// lines are sampled point by point. Only lines that extend beyond the page clamp every sample to its edge.
pub(crate) fn draw_line(page: &PageImage, quad: &Quad, target: ArrayViewMut3<'_, f32>) {
    let (_, rows, columns) = target.dim();
    let transform = CropTransform::of(quad, columns, rows);
    if transform.is_level(columns, rows) {
        let grid = transform.grid();
        let across = ResamplingKernel::bilinear_means(
            transform.start[0],
            transform.right[0],
            columns,
            grid,
            page.width() as usize,
        );
        let down =
            ResamplingKernel::bilinear_means(transform.start[1], transform.down[1], rows, grid, page.height() as usize);
        return resample_rows_and_columns(page, &across, &down, target);
    }
    let sample = if transform.is_inside(page, columns, rows) { add_row } else { add_row_at_edge };
    resample_point_by_point(page, &transform, sample, target);
}

/// Adds one sample per column to the sums of a row; arguments: page, first point, step, sums.
type AddRowSamples = fn(&PageImage, Point, Point, &mut [[f32; 4]]);

fn resample_point_by_point(
    page: &PageImage,
    transform: &CropTransform,
    add_row: AddRowSamples,
    mut target: ArrayViewMut3<'_, f32>,
) {
    let (_, rows, columns) = target.dim();
    let grid = transform.grid();
    let mut drawn = vec![[0.0_f32; 4]; columns];
    for row in 0..rows {
        drawn.fill([0.0; 4]);
        for (u, v) in (0..grid).flat_map(|v| (0..grid).map(move |u| (u, v))) {
            let place = |index: usize| (index as f32 + 0.5) / grid as f32;
            add_row(page, transform.at(place(u), row as f32 + place(v)), transform.right, &mut drawn);
        }
        write_row(&drawn, 1.0 / (grid * grid) as f32, row, &mut target);
    }
}

/// The affine transform from a line image to the page: origin and steps per column and row.
struct CropTransform {
    start: Point,
    right: Point,
    down: Point,
}

impl CropTransform {
    fn of(quad: &Quad, columns: usize, rows: usize) -> Self {
        let [start, end, _, below] = quad.0;
        let step = |to: Point, count: usize| [(to[0] - start[0]) / count as f32, (to[1] - start[1]) / count as f32];
        Self { start, right: step(end, columns), down: step(below, rows) }
    }

    /// Returns the number of samples per pixel and axis. A line taller than the image is averaged, because thin strokes
    /// could be between two samples.
    fn grid(&self) -> usize {
        let coarsest = self.right[0].hypot(self.right[1]).max(self.down[0].hypot(self.down[1]));
        (coarsest.round() as usize).clamp(1, MAX_GRID)
    }

    fn at(&self, column: f32, row: f32) -> Point {
        [0, 1].map(|axis| self.start[axis] + column * self.right[axis] + row * self.down[axis])
    }

    fn is_level(&self, columns: usize, rows: usize) -> bool {
        let drift = (self.right[1] * columns as f32).abs().max((self.down[0] * rows as f32).abs());
        let all = [self.start, self.right, self.down];
        drift <= MAX_DRIFT && all.iter().flatten().all(|value| value.is_finite())
    }

    /// Returns whether every bilinear sample, including one more pixel on its right, is on the page.
    fn is_inside(&self, page: &PageImage, columns: usize, rows: usize) -> bool {
        let columns = columns as f32;
        let rows = rows as f32;
        let corners = [(0.0, 0.0), (columns, 0.0), (0.0, rows), (columns, rows)].map(|(u, v)| self.at(u, v));
        let right = page.width() as f32 - 3.0;
        let bottom = page.height() as f32 - 2.0;
        corners.iter().all(|&[x, y]| (1.0..=right).contains(&x) && (1.0..=bottom).contains(&y))
    }
}

/// Maximum drift of a line that counts as horizontal or vertical, in pixels of the page: it is invisible.
const MAX_DRIFT: f32 = 0.05;

/// Adds one bilinear sample per column, all inside the page. Fixed-point coordinates with 32 fractional bits, because
/// their fraction is cheaper than rounding a float.
fn add_row(page: &PageImage, first: Point, right: Point, sums: &mut [[f32; 4]]) {
    let fixed = |value: f32| (f64::from(value) * FIXED) as i64;
    let step = right.map(fixed);
    let mut place = [first[0] - 0.5, first[1] - 0.5].map(fixed);
    let stride = page.width() as usize * PageImage::CHANNELS;
    for sum in sums {
        let [left, top] = place.map(|place| (place >> 32) as usize);
        let [u, v] = place.map(|place| (place as u32 >> 8) as f32 * (1.0 / 16_777_216.0));
        let offset = top * stride + left * PageImage::CHANNELS;
        // Four values fit into one SIMD register; three of them are used.
        let upper = &page.pixels()[offset..offset + 7];
        let lower = &page.pixels()[offset + stride..offset + stride + 7];
        let between = |from: f32, to: f32, at: f32| from + (to - from) * at;
        for channel in 0..4 {
            let [above, below] = [upper, lower].map(|row| between(row[channel].into(), row[channel + 3].into(), u));
            sum[channel] += between(above, below, v);
        }
        place = [place[0] + step[0], place[1] + step[1]];
    }
}

/// 2³².
const FIXED: f64 = 4_294_967_296.0;

/// Maximum samples per axis: lines more than 16 times as tall as the image are posters, and reading every second pixel
/// suffices.
const MAX_GRID: usize = 16;

/// Adds one bilinear sample per column; outside of the page its edge pixels are repeated.
fn add_row_at_edge(page: &PageImage, first: Point, right: Point, sums: &mut [[f32; 4]]) {
    for (column, sums) in sums.iter_mut().enumerate() {
        let at = [first[0] + column as f32 * right[0], first[1] + column as f32 * right[1]];
        add_sample(page, at, sums);
    }
}

fn add_sample(page: &PageImage, at: Point, sums: &mut [f32; 4]) {
    let x = at[0] - 0.5;
    let y = at[1] - 0.5;
    let left = x.floor();
    let top = y.floor();
    let u = x - left;
    let v = y - top;
    let clamp = |value: f32, side: u32| (value.max(0.0) as usize).min(side as usize - 1);
    let columns = [clamp(left, page.width()), clamp(left + 1.0, page.width())];
    let rows = [clamp(top, page.height()), clamp(top + 1.0, page.height())];
    let pixels = page.pixels();
    for (row, row_weight) in rows.into_iter().zip([1.0 - v, v]) {
        for (column, column_weight) in columns.into_iter().zip([1.0 - u, u]) {
            let offset = (row * page.width() as usize + column) * PageImage::CHANNELS;
            let weight = row_weight * column_weight;
            for (sum, &value) in sums.iter_mut().zip(&pixels[offset..offset + PageImage::CHANNELS]) {
                *sum += weight * f32::from(value);
            }
        }
    }
}

/// Returns the ranges of pieces of at most `max` columns. Cuts in the widest blank gap of the last third of each piece,
/// to avoid cutting characters.
pub(crate) fn piece_ranges(strip: &ArrayView3<'_, f32>, max: usize) -> Vec<Range<usize>> {
    let width = strip.dim().2;
    let contrast: Vec<f32> = (0..width).map(|column| contrast_of(strip, column)).collect();
    let mut pieces = Vec::new();
    let mut start = 0;
    while width - start > max {
        let window = start + max * 2 / 3..start + max;
        let cut = window.start + gap_center(&contrast[window]);
        pieces.push(start..cut);
        start = cut;
    }
    pieces.push(start..width);
    pieces
}

/// Returns the difference between the lightest and the darkest value of a column.
fn contrast_of(strip: &ArrayView3<'_, f32>, column: usize) -> f32 {
    let green = strip.slice(ndarray::s![1, .., column]);
    let (low, high) = green.iter().fold((f32::MAX, f32::MIN), |(low, high), &value| (low.min(value), high.max(value)));
    high - low
}

/// Returns the center of the longest stretch with nearly the lowest contrast.
fn gap_center(contrast: &[f32]) -> usize {
    let lowest = contrast.iter().copied().fold(f32::INFINITY, f32::min);
    let blank = |value: &f32| *value <= lowest + 0.1;
    let mut best = 0..0;
    let mut start = 0;
    for stretch in contrast.chunk_by(|a, b| blank(a) == blank(b)) {
        if blank(&stretch[0]) && stretch.len() > best.len() {
            best = start..start + stretch.len();
        }
        start += stretch.len();
    }
    // Never 0, because a piece must not be empty.
    usize::midpoint(best.start, best.end).max(1)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "small whole numbers, which are exact")]
mod tests {
    use ndarray::Array3;
    use proptest::prelude::*;

    use super::*;

    /// Left half blue, right half red.
    fn two_colors(width: u32, height: u32) -> PageImage {
        let row = (0..width).flat_map(|x| if x < width / 2 { [255, 0, 0] } else { [0, 0, 255] });
        let row: Vec<u8> = row.collect();
        PageImage::new(width, height, row.repeat(height as usize))
    }

    fn whole(page: &PageImage) -> Quad {
        let width = page.width() as f32;
        let height = page.height() as f32;
        Quad([[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]])
    }

    fn drawn(page: &PageImage, quad: &Quad) -> Array3<f32> {
        let width = line_image_width(quad, 0.92, 1280);
        let mut strip = Array3::zeros((3, LINE_IMAGE_HEIGHT, width));
        draw_line(page, quad, strip.view_mut());
        strip
    }

    #[test]
    fn a_line_is_drawn_in_the_direction_of_its_text() {
        let page = two_colors(96, 24);
        let blue_at_start = |quad: &Quad| {
            let strip = drawn(&page, quad);
            let last = strip.dim().2 - 1;
            [strip[[0, 20, 0]].round(), strip[[0, 20, last]].round()]
        };
        assert_eq!(line_image_width(&whole(&page), 0.92, 1280), 177);
        assert_eq!(blue_at_start(&whole(&page)), [1.0, -1.0]);
        assert_eq!(blue_at_start(&whole(&page).rotated(2)), [-1.0, 1.0]);
    }

    #[test]
    fn a_line_much_taller_than_the_strip_is_averaged() {
        let stripes = (0..960_u32 * 480).flat_map(|index| [if (index / 960) % 2 == 0 { 0 } else { 255 }; 3]);
        let page = PageImage::new(960, 480, stripes.collect());
        assert!(drawn(&page, &whole(&page)).iter().all(|value| value.abs() < 0.05));
    }

    #[test]
    fn lines_over_the_edge_and_without_extent_are_still_drawn() {
        let page = PageImage::new(1, 1, vec![255; 3]);
        let over = Quad([[-50.0, -50.0], [70.0, -50.0], [70.0, 60.0], [-50.0, 60.0]]);
        assert!(drawn(&page, &over).iter().all(|&value| value >= 0.999));
        for outside in [f32::NAN, f32::INFINITY, 1e30, -1e30] {
            assert!(drawn(&page, &Quad([[outside; 2]; 4])).iter().all(|value| !value.is_infinite()));
        }
        let point = Quad([[0.5, 0.5]; 4]);
        assert_eq!(drawn(&page, &point).dim().2, STEP_WIDTH);
    }

    #[test]
    fn a_wide_line_is_cut_in_its_gaps() {
        let mut strip = Array3::from_elem((3, LINE_IMAGE_HEIGHT, 1000), 1.0);
        for column in (0..1000).filter(|column| !(340..360).contains(column) && column % 2 == 0) {
            strip[[1, 20, column]] = -1.0;
        }
        assert_eq!(piece_ranges(&strip.view(), 400)[0], 0..349);
    }

    proptest! {
        #[test]
        fn every_drawing_path_matches_sampling_point_by_point(
            start in [-20.0_f32..120.0, -20.0_f32..90.0],
            length in 1.0_f32..150.0,
            breadth in 0.5_f32..120.0,
            angle in prop_oneof![Just(0_i16), Just(180), Just(90), -180_i16..180],
            seed in any::<u32>(),
        ) {
            let noise = |index: u32| (index.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 21) as u8;
            let page = PageImage::new(110, 80, (0..110 * 80 * 3).map(noise).collect());
            let (sin, cos) = f32::from(angle).to_radians().sin_cos();
            // sin and cos of a right angle are not exactly 1 and 0.
            let [sin, cos] = [sin, cos].map(|value| if value.abs() < 1e-6 { 0.0 } else { value });
            let at = |u: f32, v: f32| [start[0] + u * cos - v * sin, start[1] + u * sin + v * cos];
            let quad = Quad([at(0.0, 0.0), at(length, 0.0), at(length, breadth), at(0.0, breadth)]);
            let mut fast = Array3::zeros((3, LINE_IMAGE_HEIGHT, 90));
            draw_line(&page, &quad, fast.view_mut());
            let mut plain = Array3::zeros((3, LINE_IMAGE_HEIGHT, 90));
            let transform = CropTransform::of(&quad, 90, LINE_IMAGE_HEIGHT);
            resample_point_by_point(&page, &transform, add_row_at_edge, plain.view_mut());
            let farthest = fast.iter().zip(&plain).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            prop_assert!(farthest < 1e-3, "{farthest}");
        }

        #[test]
        fn pieces_cover_the_line_and_none_is_too_wide(
            width in 8_usize..3000,
            max in 16_usize..900,
            seed in any::<u64>(),
        ) {
            let value = |(_, row, column): (usize, usize, usize)| {
                f32::from(u8::from((seed >> ((row * 7 + column) % 64)) & 1 == 1))
            };
            let strip = Array3::from_shape_fn((3, 4, width), value);
            let pieces = piece_ranges(&strip.view(), max);
            prop_assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= max));
            prop_assert_eq!(pieces.first().map(|piece| piece.start), Some(0));
            prop_assert_eq!(pieces.last().map(|piece| piece.end), Some(width));
            prop_assert!(pieces.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }
}
