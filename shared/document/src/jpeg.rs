//! Encoding of a page as JPEG, for people to look at.

use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder};
use quire_tasks::{Failure, FailureCode};

use crate::PageImage;

/// The quality that scanners and PDF printers use. Trade-off: text stays sharp at a tenth of the size of a PNG.
const QUALITY: u8 = 75;

/// A page encoded as JPEG.
#[derive(Clone, PartialEq, Eq)]
pub struct Jpeg {
    /// The encoded file.
    pub bytes: Vec<u8>,
    /// Whether it is grayscale, with one sample per pixel, instead of RGB.
    pub is_gray: bool,
}

impl std::fmt::Debug for Jpeg {
    /// Shows only the size: the content is confidential.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Jpeg({} bytes)", self.bytes.len())
    }
}

impl PageImage {
    /// Encodes the page as JPEG; as grayscale if all pixels are gray, which takes half the time.
    ///
    /// # Errors
    /// Fails with a [`Failure`] for a page with a side of more than 65,535 pixels, the limit of the format.
    pub fn to_jpeg(&self) -> Result<Jpeg, Failure> {
        let pixels = self.pixels().as_chunks::<{ Self::CHANNELS }>().0;
        let is_gray = pixels.iter().all(|[blue, green, red]| blue == green && green == red);
        let (samples, color): (Vec<u8>, _) = if is_gray {
            (pixels.iter().map(|pixel| pixel[0]).collect(), ExtendedColorType::L8)
        } else {
            (pixels.iter().flat_map(|[blue, green, red]| [*red, *green, *blue]).collect(), ExtendedColorType::Rgb8)
        };
        let mut bytes = Vec::new();
        let written = JpegEncoder::new_with_quality(&mut bytes, QUALITY).write_image(
            &samples,
            self.width(),
            self.height(),
            color,
        );
        match written {
            Ok(()) => Ok(Jpeg { bytes, is_gray }),
            Err(error) => {
                let message = format!("The page cannot be encoded as JPEG: {error}.");
                Err(Failure::new(FailureCode::TooManyPixels, message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jpeg_looks_like_its_page_and_is_grayscale_if_the_page_is() {
        for (pixel, is_gray) in [([200, 200, 200], true), ([10, 200, 90], false)] {
            let page = PageImage::new(24, 16, pixel.repeat(24 * 16));
            let jpeg = page.to_jpeg().expect("a small page");
            assert_eq!(jpeg.is_gray, is_gray);
            let decoded = image::load_from_memory(&jpeg.bytes).expect("a JPEG").into_rgb8();
            assert_eq!((decoded.width(), decoded.height()), (24, 16));
            let [blue, green, red] = pixel;
            let seen = decoded.get_pixel(12, 8).0;
            assert!(seen.iter().zip([red, green, blue]).all(|(a, b): (&u8, u8)| a.abs_diff(b) < 8), "{seen:?}");
        }
    }

    #[test]
    fn a_page_that_is_too_long_for_a_jpeg_is_an_error() {
        let refused = PageImage::new(70_000, 1, vec![0; 210_000]).to_jpeg().expect_err("too long");
        assert_eq!(refused.code, FailureCode::TooManyPixels);
    }
}
