//! Encoding of a page as PNG, for engines on other machines.

use image::{
    ExtendedColorType, ImageEncoder,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};

use crate::PageImage;

impl PageImage {
    /// Encodes the page as PNG, without loss, so that a remote engine gets the same pixels as a local one. Trade-off:
    /// fast compression, because the image is sent over a local network.
    ///
    /// # Panics
    /// Panics if memory allocation fails.
    pub fn to_png(&self) -> Vec<u8> {
        let mut samples = self.pixels().to_vec();
        samples.as_chunks_mut::<{ Self::CHANNELS }>().0.iter_mut().for_each(|pixel| pixel.swap(0, 2));
        let mut png = Vec::new();
        PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Adaptive)
            .write_image(&samples, self.width(), self.height(), ExtendedColorType::Rgb8)
            .expect("the length of the pixels matches the size");
        png
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_png_has_the_pixels_of_its_page(
            width in 1_u32..40,
            pixels in prop::collection::vec(any::<u8>(), 3 * 40 * 8),
        ) {
            let height = 8;
            let page = PageImage::new(width, height, pixels[..(width * height) as usize * 3].to_vec());
            let decoded = image::load_from_memory(&page.to_png()).expect("a PNG").into_rgb8();
            prop_assert_eq!((decoded.width(), decoded.height()), (width, height));
            let blue_first: Vec<u8> = decoded.pixels().flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect();
            prop_assert_eq!(blue_first.as_slice(), page.pixels());
        }
    }
}
