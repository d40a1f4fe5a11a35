//! Resizes a page exactly like the model's own preprocessing (Pillow's bicubic filter).
//!
//! The generated tokens depend on these pixels, so the arithmetic is that of the reference: bicubic in fixed point,
//! columns first, rounded to bytes after each pass.

use quire_document::PageImage;

/// Size of a resized page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ImageSize {
    pub(crate) width: usize,
    pub(crate) height: usize,
}

/// Limits of image sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SizeLimits {
    /// Both sides are multiples of this.
    pub(crate) factor: usize,
    /// Smaller pages are scaled up to about this number of pixels.
    pub(crate) min_pixels: usize,
    /// Larger pages are scaled down to at most this number of pixels.
    pub(crate) max_pixels: usize,
    /// Maximum aspect ratio.
    pub(crate) max_aspect: usize,
}

impl SizeLimits {
    /// Returns the size for a page: its own, rounded to multiples of the factor, unless it has too many or too few
    /// pixels. Returns `None` if the aspect ratio is too large.
    pub(crate) fn fit(&self, width: u32, height: u32) -> Option<ImageSize> {
        let long = width.max(height) as usize;
        let short = width.min(height) as usize;
        if long > self.max_aspect * short {
            return None;
        }
        let factor = self.factor as f64;
        let pixels = f64::from(width) * f64::from(height);
        let nearest = |side: u32| (f64::from(side) / factor).round_ties_even() as usize * self.factor;
        let multiple = |cells: f64| (cells as usize * self.factor).max(self.factor);
        let w = nearest(width);
        let h = nearest(height);
        let (width, height) = if w * h > self.max_pixels {
            let by = (pixels / self.max_pixels as f64).sqrt();
            let reduced = |side: u32| multiple((f64::from(side) / by / factor).floor());
            (reduced(width), reduced(height))
        } else if w * h < self.min_pixels {
            let by = (self.min_pixels as f64 / pixels).sqrt();
            let enlarged = |side: u32| multiple((f64::from(side) * by / factor).ceil());
            (enlarged(width), enlarged(height))
        } else {
            (w, h)
        };
        Some(ImageSize { width, height })
    }
}

/// Fractional bits: the sum of weights times bytes must fit into 32 bits.
const PRECISION: u32 = 32 - 8 - 2;

/// Source pixels of one output pixel, with their weights.
struct FixedPointKernel {
    start: usize,
    weights: Vec<i32>,
}

/// The cubic kernel with a = −0.5.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn kernels(from: usize, to: usize) -> Vec<FixedPointKernel> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let reach = 2.0 * stretch;
    (0..to)
        .map(|index| {
            let center = (index as f64 + 0.5) * scale;
            let start = (center - reach + 0.5).max(0.0) as usize;
            let end = ((center + reach + 0.5) as usize).min(from);
            let inverse = 1.0 / stretch;
            let weights: Vec<f64> =
                (start..end).map(|pixel| bicubic((pixel as f64 - center + 0.5) * inverse)).collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |weight: f64| (weight / sum * f64::from(1_u32 << PRECISION)).round() as i32;
            FixedPointKernel { start, weights: weights.into_iter().map(fixed).collect() }
        })
        .collect()
}

fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// Resizes a page. Returns bytes in the order red, green, blue.
pub(crate) fn resize(page: &PageImage, size: ImageSize) -> Vec<u8> {
    let from_width = page.width() as usize;
    let from_height = page.height() as usize;
    let narrowed = columns(page.pixels(), from_width, &kernels(from_width, size.width));
    rows(&narrowed, size.width * PageImage::CHANNELS, &kernels(from_height, size.height))
}

/// Resizes the rows, and converts blue, green, red to red, green, blue.
fn columns(pixels: &[u8], width: usize, kernels: &[FixedPointKernel]) -> Vec<u8> {
    let mut out = Vec::with_capacity(pixels.len() / width * kernels.len());
    for row in pixels.chunks_exact(width * PageImage::CHANNELS) {
        for FixedPointKernel { start, weights } in kernels {
            let mut sums = [1_i32 << (PRECISION - 1); PageImage::CHANNELS];
            let source = row[start * PageImage::CHANNELS..].as_chunks::<{ PageImage::CHANNELS }>().0;
            for (pixel, &weight) in source.iter().zip(weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel.iter().rev()) {
                    *sum += i32::from(value) * weight;
                }
            }
            out.extend(sums.map(to_byte));
        }
    }
    out
}

/// Resizes the columns. Adds whole rows, which is vectorized best.
fn rows(pixels: &[u8], stride: usize, kernels: &[FixedPointKernel]) -> Vec<u8> {
    let mut out = Vec::with_capacity(stride * kernels.len());
    let mut sums = vec![0_i32; stride];
    for FixedPointKernel { start, weights } in kernels {
        sums.fill(1 << (PRECISION - 1));
        for (row, &weight) in pixels[start * stride..].chunks_exact(stride).zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i32::from(value) * weight;
            }
        }
        out.extend(sums.iter().map(|&sum| to_byte(sum)));
    }
    out
}
