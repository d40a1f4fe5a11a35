//! Separable resampling: kernels along rows and columns.

use std::ops::Range;

use ndarray::ArrayViewMut3;
use quire_document::PageImage;

const CHANNELS: usize = PageImage::CHANNELS;

/// Resampling kernel of one axis: for each output pixel, `length` adjacent source pixels from `starts` on, with weights
/// that sum up to 1.
#[derive(Debug)]
pub(crate) struct ResamplingKernel {
    starts: Vec<usize>,
    weights: Vec<f32>,
    /// Weights per output pixel.
    length: usize,
}

impl ResamplingKernel {
    /// Triangle filter as wide as two pixels of the output or of the source, whichever are larger: bilinear when
    /// scaling up, and without aliasing when scaling down. Source pixels outside of `part` are ignored.
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

    /// Mean of `grid` bilinear samples in each of `count` steps of length `step`, which may be negative; outside of the
    /// source its edge pixels are repeated.
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

    /// Creates a kernel without weights. All entries have the length of the longest one, so that inner loops have a
    /// constant length.
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

    /// Returns the range of source pixels that the kernel reads.
    fn span(&self) -> Range<usize> {
        let first = self.starts.iter().copied().min().unwrap_or(0);
        first..self.starts.iter().copied().max().unwrap_or(0) + self.length
    }
}

/// Resamples a page with two kernels into `[3, rows, columns]`, normalized.
///
/// Rows first, because adding whole rows is vectorized best.
pub(crate) fn resample_rows_and_columns(
    page: &PageImage,
    columns: &ResamplingKernel,
    rows: &ResamplingKernel,
    mut target: ArrayViewMut3<'_, f32>,
) {
    let stride = page.width() as usize * CHANNELS;
    let span = columns.span();
    // One value more than the pixels have, so that the last pixel can be read as four values.
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

/// Writes one row, times `scale`, to the planes of the model input.
pub(crate) fn write_row(drawn: &[[f32; 4]], scale: f32, row: usize, target: &mut ArrayViewMut3<'_, f32>) {
    // normalized(value * scale) in one multiplication.
    let scale = scale / 127.5;
    for channel in 0..CHANNELS {
        let mut target = target.slice_mut(ndarray::s![channel, row, ..]);
        target.iter_mut().zip(drawn).for_each(|(target, drawn)| *target = drawn[channel] * scale - 1.0);
    }
}

/// Loops of constant length run twice as fast, and most kernels are short.
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

/// Returns the weighted sum of pixels. A vector of four values is one SIMD register; the fourth value is unused.
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
