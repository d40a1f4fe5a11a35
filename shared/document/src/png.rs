//! A page as a PNG, for whoever reads it elsewhere.

use image::{
    ExtendedColorType, ImageEncoder,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};

use crate::PageImage;

impl PageImage {
    /// The pixels as a PNG, losslessly: an engine elsewhere reads what one here would read. The compression is the fast
    /// kind, since it is the network of one's own that it saves.
    ///
    /// # Panics
    /// When there is no memory for it.
    pub fn to_png(&self) -> Vec<u8> {
        let mut samples = self.pixels().to_vec();
        samples.as_chunks_mut::<{ Self::CHANNELS }>().0.iter_mut().for_each(|pixel| pixel.swap(0, 2));
        let mut png = Vec::new();
        PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Adaptive)
            .write_image(&samples, self.width(), self.height(), ExtendedColorType::Rgb8)
            .expect("a page has as many samples as its sides say");
        png
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_png_has_the_pages_pixels(width in 1_u32..40, pixels in prop::collection::vec(any::<u8>(), 3 * 40 * 8)) {
            let height = 8;
            let page = PageImage::new(width, height, pixels[..(width * height) as usize * 3].to_vec());
            let decoded = image::load_from_memory(&page.to_png()).expect("a PNG").into_rgb8();
            prop_assert_eq!((decoded.width(), decoded.height()), (width, height));
            let blue_first: Vec<u8> = decoded.pixels().flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect();
            prop_assert_eq!(blue_first.as_slice(), page.pixels());
        }
    }
}
