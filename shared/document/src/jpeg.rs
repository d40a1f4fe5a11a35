//! A page as a JPEG, for whoever looks at it.

use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder};
use quire_tasks::{Failure, FailureCode};

use crate::PageImage;

/// What scanners and PDF printers use: type stays crisp, at a tenth of what a PNG takes.
const QUALITY: u8 = 75;

/// A page as a JPEG.
#[derive(Clone, PartialEq, Eq)]
pub struct Jpeg {
    /// The file.
    pub bytes: Vec<u8>,
    /// Whether it is gray, and has one sample a pixel; or else RGB.
    pub is_gray: bool,
}

impl std::fmt::Debug for Jpeg {
    /// Its size only: the picture is the customer's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Jpeg({} bytes)", self.bytes.len())
    }
}

impl PageImage {
    /// The pixels as a JPEG: gray, where all of them are, which takes half the time.
    ///
    /// # Errors
    /// A [`Failure`] for a page of more than 65,535 pixels to a side, which a JPEG cannot have.
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
        let refused = |error| Failure::new(FailureCode::TooManyPixels, format!("The page can be no JPEG: {error}."));
        written.map(|()| Jpeg { bytes, is_gray }).map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jpeg_looks_like_its_page_and_is_gray_where_that_is() {
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
    fn a_page_that_is_too_long_for_a_jpeg_says_so() {
        let refused = PageImage::new(70_000, 1, vec![0; 210_000]).to_jpeg().expect_err("too long");
        assert_eq!(refused.code, FailureCode::TooManyPixels);
    }
}
