//! A page's bytes to the detection's input: reduced, normalized and split into planes in one go.

use ndarray::ArrayViewMut3;
use quire_document::PageImage;

/// (v / 255 − 0.5) / 0.5.
pub(crate) fn normalized(value: f32) -> f32 {
    value / 127.5 - 1.0
}

/// Which pixels make up one pixel of the result, and how much each counts.
struct Taps {
    start: usize,
    weights: Vec<f32>,
}

/// A triangle as wide as two pixels of the result, or of the source where that is the coarser one: bilinear when
/// enlarging, and no aliasing when reducing.
fn taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f32 / to as f32;
    let reach = scale.max(1.0);
    (0..to)
        .map(|index| {
            let center = (index as f32 + 0.5) * scale;
            let start = (center - reach).floor().max(0.0) as usize;
            let end = ((center + reach).ceil() as usize).min(from);
            let weight = |pixel: usize| (1.0 - (pixel as f32 + 0.5 - center).abs() / reach).max(0.0);
            let weights: Vec<f32> = (start..end).map(weight).collect();
            let sum: f32 = weights.iter().sum();
            Taps { start, weights: weights.into_iter().map(|weight| weight / sum).collect() }
        })
        .collect()
}

/// Draws a page into `[3, height, width]`, whatever its size.
pub(crate) fn resample(page: &PageImage, mut target: ArrayViewMut3<'_, f32>) {
    let (_, height, width) = target.dim();
    let stride = page.width() as usize * PageImage::CHANNELS;
    let columns = taps(page.width() as usize, width);
    let mut blended = vec![0.0_f32; stride];
    // Rows first: adding whole rows is what a processor's vector units do best.
    for (row, taps) in taps(page.height() as usize, height).iter().enumerate() {
        blended.fill(0.0);
        let rows = page.pixels()[taps.start * stride..].chunks_exact(stride);
        for (source, &weight) in rows.zip(&taps.weights) {
            for (sum, &value) in blended.iter_mut().zip(source) {
                *sum += f32::from(value) * weight;
            }
        }
        for (column, taps) in columns.iter().enumerate() {
            let pixels = blended[taps.start * PageImage::CHANNELS..].chunks_exact(PageImage::CHANNELS);
            let mut sums = [0.0_f32; PageImage::CHANNELS];
            for (pixel, &weight) in pixels.zip(&taps.weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += value * weight;
                }
            }
            for (channel, sum) in sums.into_iter().enumerate() {
                target[[channel, row, column]] = normalized(sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn a_flat_page_stays_flat_at_any_size_and_keeps_its_channels() {
        let page = PageImage::new(7, 5, [0, 51, 255].repeat(35));
        for (height, width) in [(32, 32), (1, 1), (5, 7), (3, 64)] {
            let mut target = Array3::zeros((3, height, width));
            resample(&page, target.view_mut());
            for (channel, value) in [-1.0, -0.6, 1.0].into_iter().enumerate() {
                let plane = target.index_axis(ndarray::Axis(0), channel);
                assert!(plane.iter().all(|found| (found - value).abs() < 1e-5));
            }
        }
    }

    #[test]
    fn reducing_averages_a_fine_checkerboard_to_gray() {
        let checkers = (0..64 * 64).flat_map(|index| [if (index % 64 + index / 64) % 2 == 0 { 0 } else { 255 }; 3]);
        let page = PageImage::new(64, 64, checkers.collect());
        let mut target = Array3::zeros((3, 16, 16));
        resample(&page, target.view_mut());
        assert!(target.iter().all(|value| value.abs() < 0.05));
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let page = PageImage::new(4, 2, (0..24).map(|index| index * 10).collect());
        let mut target = Array3::zeros((3, 2, 4));
        resample(&page, target.view_mut());
        assert!((target[[1, 1, 2]] - normalized(f32::from(page.pixels()[(4 + 2) * 3 + 1]))).abs() < 1e-6);
    }
}
