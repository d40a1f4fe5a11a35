//! Resampling along rows and columns: which pixels make up one pixel of the result, and how much each counts.

use std::ops::Range;

use ndarray::ArrayViewMut3;
use quire_document::PageImage;

const CHANNELS: usize = PageImage::CHANNELS;

/// For every pixel of one side of the result, as many neighboring pixels of the source, from `starts` on, with their
/// weights, which sum up to 1.
#[derive(Debug)]
pub(crate) struct ResamplingKernel {
    starts: Vec<usize>,
    weights: Vec<f32>,
    /// Weights of one pixel.
    length: usize,
}

impl ResamplingKernel {
    /// A triangle as wide as two pixels of the result, or of the source where that is the coarser one: bilinear when
    /// enlarging, and no aliasing when reducing. `part` is what of the source is drawn, as if there were no more of it.
    pub(crate) fn triangle_filter(part: Range<usize>, to: usize) -> Self {
        let from = part.len();
        let scale = from as f32 / to as f32;
        let reach = scale.max(1.0);
        let center = |index: usize| (index as f32 + 0.5) * scale;
        let range = |index: usize| {
            let start = (center(index) - reach).floor().max(0.0) as usize;
            start..((center(index) + reach).ceil() as usize).min(from)
        };
        let mut kernel = Self::with_ranges(from, (0..to).map(range));
        for index in 0..to {
            let range = range(index);
            let weight = |pixel: usize| (1.0 - (pixel as f32 + 0.5 - center(index)).abs() / reach).max(0.0);
            let sum: f32 = range.clone().map(weight).sum();
            range.for_each(|pixel| kernel.add(index, pixel, weight(pixel) / sum));
        }
        kernel.starts.iter_mut().for_each(|start| *start += part.start);
        kernel
    }

    /// The mean of `grid` bilinear samples in each of `count` stretches of `step`, which may be negative; beyond the ends
    /// of the source its last pixels go on.
    pub(crate) fn bilinear_means(origin: f32, step: f32, count: usize, grid: usize, from: usize) -> Self {
        let sample = |index: usize, sample: usize| {
            let at = origin + (index as f32 + (sample as f32 + 0.5) / grid as f32) * step - 0.5;
            let before = at.floor();
            let clamped = |pixel: f32| (pixel.max(0.0) as usize).min(from - 1);
            [(clamped(before), 1.0 - (at - before)), (clamped(before + 1.0), at - before)]
        };
        let range = |index: usize| {
            let ends = [sample(index, 0), sample(index, grid - 1)].map(|[(low, _), (high, _)]| (low, high));
            ends[0].0.min(ends[1].0)..ends[0].1.max(ends[1].1) + 1
        };
        let mut kernel = Self::with_ranges(from, (0..count).map(range));
        for index in 0..count {
            for (pixel, weight) in (0..grid).flat_map(|at| sample(index, at)) {
                kernel.add(index, pixel, weight / grid as f32);
            }
        }
        kernel
    }

    /// Without weights yet. All are as long as the longest, so that loops over them are of one length.
    fn with_ranges(from: usize, ranges: impl Iterator<Item = Range<usize>> + Clone) -> Self {
        let length = ranges.clone().map(|range| range.len()).max().unwrap_or(1);
        let starts: Vec<usize> = ranges.map(|range| range.start.min(from - length)).collect();
        Self { weights: vec![0.0; starts.len() * length], starts, length }
    }

    fn add(&mut self, index: usize, pixel: usize, weight: f32) {
        self.weights[index * self.length + pixel - self.starts[index]] += weight;
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.starts.iter().copied().zip(self.weights.chunks_exact(self.length))
    }

    /// The pixels of the source that any pixel of the result is made of.
    fn span(&self) -> Range<usize> {
        let first = self.starts.iter().copied().min().unwrap_or(0);
        first..self.starts.iter().copied().max().unwrap_or(0) + self.length
    }
}

/// Draws the part of a page that the kernel ask for into `[3, rows, columns]`, normalized.
///
/// Rows first: adding whole rows is what a processor's vector units do best.
pub(crate) fn resample_rows_and_columns(
    page: &PageImage,
    columns: &ResamplingKernel,
    rows: &ResamplingKernel,
    mut target: ArrayViewMut3<'_, f32>,
) {
    let stride = page.width() as usize * CHANNELS;
    let span = columns.span();
    // One more than the pixels have, so that four values can be read where three are of use.
    let mut blended = vec![0.0_f32; span.len() * CHANNELS + 1];
    let mut drawn = vec![[0.0_f32; 4]; columns.starts.len()];
    for (row, (top, weights)) in rows.iter().enumerate() {
        blended.fill(0.0);
        for (source, &weight) in (top..).zip(weights).filter(|(_, weight)| **weight > 0.0) {
            let pixels = &page.pixels()[source * stride..][span.start * CHANNELS..span.end * CHANNELS];
            for (sum, &value) in blended.iter_mut().zip(pixels) {
                *sum += f32::from(value) * weight;
            }
        }
        blend_columns(&blended, columns, span.start, &mut drawn);
        write_row(&drawn, 1.0, row, &mut target);
    }
}

/// One drawn row, times `scale`, to the model's planes.
pub(crate) fn write_row(drawn: &[[f32; 4]], scale: f32, row: usize, target: &mut ArrayViewMut3<'_, f32>) {
    // normalized(value * scale) in one multiplication.
    let scale = scale / 127.5;
    for channel in 0..CHANNELS {
        let mut target = target.slice_mut(ndarray::s![channel, row, ..]);
        target.iter_mut().zip(drawn).for_each(|(target, drawn)| *target = drawn[channel] * scale - 1.0);
    }
}

/// Loops of a known length run twice as fast, and most are short.
fn blend_columns(blended: &[f32], columns: &ResamplingKernel, first: usize, drawn: &mut [[f32; 4]]) {
    match columns.length {
        1 => blend_columns_of::<1>(blended, columns, first, drawn),
        2 => blend_columns_of::<2>(blended, columns, first, drawn),
        3 => blend_columns_of::<3>(blended, columns, first, drawn),
        4 => blend_columns_of::<4>(blended, columns, first, drawn),
        5 => blend_columns_of::<5>(blended, columns, first, drawn),
        6 => blend_columns_of::<6>(blended, columns, first, drawn),
        _ => {
            for ((start, weights), drawn) in columns.iter().zip(drawn) {
                *drawn = blend(&blended[(start - first) * CHANNELS..], weights);
            }
        }
    }
}

fn blend_columns_of<const LENGTH: usize>(
    blended: &[f32],
    columns: &ResamplingKernel,
    first: usize,
    drawn: &mut [[f32; 4]],
) {
    let (weights, _) = columns.weights.as_chunks::<LENGTH>();
    for ((&start, weights), drawn) in columns.starts.iter().zip(weights).zip(drawn) {
        *drawn = blend(&blended[(start - first) * CHANNELS..][..=LENGTH * CHANNELS], weights);
    }
}

/// The weighted sum of pixels. A vector of four is one register: the fourth value is nobody's.
#[inline]
fn blend(pixels: &[f32], weights: &[f32]) -> [f32; 4] {
    let mut sums = [0.0_f32; 4];
    for (index, &weight) in weights.iter().enumerate() {
        let pixel = &pixels[index * CHANNELS..index * CHANNELS + 4];
        for (sum, &value) in sums.iter_mut().zip(pixel) {
            *sum += value * weight;
        }
    }
    sums
}
