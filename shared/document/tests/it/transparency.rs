//! Transparent images, and pages that are downscaled while they are decoded.

use image::{DynamicImage, ImageFormat, Rgba, RgbaImage};
use quire_document::Documents;
use quire_tasks::DocumentFormat;

use crate::files::{BLACK, WHITE, encode, file, page, pixel, size};

/// A clear page with a bar of one color.
fn bar(color: [u8; 3], background: [u8; 4]) -> DynamicImage {
    let [r, g, b] = color;
    RgbaImage::from_fn(40, 10, |x, _| Rgba(if x % 10 < 3 { [r, g, b, 255] } else { background })).into()
}

#[test]
fn print_contrasts_with_what_is_behind_it() {
    for (ink, is_dark) in [([255; 3], true), ([0; 3], false), ([200, 0, 0], false)] {
        for format in [(ImageFormat::Png, DocumentFormat::Png), (ImageFormat::WebP, DocumentFormat::Webp)] {
            let page = page(&encode(&bar(ink, [0; 4]), format.0), format.1, 1).expect("decodes");
            let background = pixel(&page, 5, 5);
            assert_eq!(background[0] < 64, is_dark, "{ink:?} on {background:?}");
        }
    }
}

#[test]
fn an_image_that_is_transparent_everywhere_is_read_as_opaque() {
    let image = RgbaImage::from_fn(8, 8, |x, _| if x < 4 { Rgba([0; 4]) } else { Rgba([255, 255, 255, 0]) });
    let image = DynamicImage::ImageRgba8(image);
    for format in [
        (ImageFormat::Bmp, DocumentFormat::Bmp),
        (ImageFormat::Png, DocumentFormat::Png),
        (ImageFormat::Tiff, DocumentFormat::Tiff),
    ] {
        let page = page(&encode(&image, format.0), format.1, 1).expect("decodes");
        assert_eq!((pixel(&page, 1, 1), pixel(&page, 6, 1)), (BLACK, WHITE), "{format:?}");
    }
}

#[test]
fn a_scan_of_more_than_100_million_pixels_is_downscaled_while_it_is_decoded() {
    // 1 bit per pixel in one strip, 1 is white; the left half is black.
    let (width, height) = (12_000_u32, 9_000_u32);
    let row_bytes = (width / 8) as usize;
    let mut tiff = b"II*\0\x08\0\0\0\x08\0".to_vec();
    for (tag, kind, value) in [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 1),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 110),
        (278, 4, height),
        (279, 4, 0),
    ] {
        tiff.extend(u16::to_le_bytes(tag));
        tiff.extend(u16::to_le_bytes(kind));
        tiff.extend(1_u32.to_le_bytes());
        tiff.extend(u32::to_le_bytes(value));
    }
    tiff.extend([0; 4]);
    for _ in 0..height {
        tiff.resize(tiff.len() + row_bytes / 2, 0);
        tiff.resize(tiff.len() + row_bytes / 2, 0xff);
    }
    let document = file(&tiff);
    let mut documents = Documents::new(None, quire_document::DocumentLimits::default());
    assert_eq!(documents.inspect(document.path()).map(|split| split.pages), Ok(1));
    let page = documents.page(document.path(), DocumentFormat::Tiff, 1).expect("decodes");
    assert_eq!((page.page_width(), page.page_height(), page.warnings()), (width, height, &[][..]));
    let (width, height) = size(&page);
    assert!(u64::from(width) * u64::from(height) <= 16_000_000);
    assert_eq!((pixel(&page, width / 2 - 2, height - 1), pixel(&page, width / 2 + 2, height - 1)), (BLACK, WHITE));
}
