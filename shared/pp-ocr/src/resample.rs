//! Converts a page to the detection input: scales, normalizes and splits it into planes in one pass.

use ndarray::ArrayViewMut3;
use quire_document::PageImage;

use crate::{
    crop_rect::CropRect,
    resampling_kernel::{ResamplingKernel, resample_rows_and_columns},
};

/// Draws a crop of a page into `[3, height, width]`, at any size.
pub(crate) fn resample(page: &PageImage, part: &CropRect, target: ArrayViewMut3<'_, f32>) {
    let (_, height, width) = target.dim();
    let columns = ResamplingKernel::triangle_filter(part.columns(), width);
    let rows = ResamplingKernel::triangle_filter(part.rows(), height);
    resample_rows_and_columns(page, &columns, &rows, target);
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn a_uniform_page_stays_uniform_at_any_size() {
        let page = PageImage::new(7, 5, [0, 51, 255].repeat(35));
        for (height, width) in [(32, 32), (1, 1), (5, 7), (3, 64)] {
            let mut target = Array3::zeros((3, height, width));
            resample(&page, &CropRect::whole(&page), target.view_mut());
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
        resample(&page, &CropRect::whole(&page), target.view_mut());
        assert!(target.iter().all(|value| value.abs() < 0.05));
    }

    #[test]
    fn a_crop_ignores_the_pixels_around_it() {
        let around = |x: u32, y: u32| (2..6).contains(&x) && (3..6).contains(&y);
        let page = (0..8).flat_map(|y| (0..9).flat_map(move |x| [if around(x, y) { 200 } else { 10 }; 3]));
        let page = PageImage::new(9, 8, page.collect());
        let part = CropRect { left: 2, top: 3, width: 4, height: 3 };
        let mut target = Array3::zeros((3, 5, 3));
        resample(&page, &part, target.view_mut());
        assert!(target.iter().all(|value| (value - (200.0 / 127.5 - 1.0)).abs() < 1e-5));
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let page = PageImage::new(4, 2, (0..24).map(|index| index * 10).collect());
        let mut target = Array3::zeros((3, 2, 4));
        resample(&page, &CropRect::whole(&page), target.view_mut());
        assert!((target[[1, 1, 2]] - (f32::from(page.pixels()[(4 + 2) * 3 + 1]) / 127.5 - 1.0)).abs() < 1e-6);
    }
}
