//! Decoding of PNG, JPEG, WebP and BMP.

use image::{
    DynamicImage, ExtendedColorType, GrayImage, ImageEncoder, ImageFormat, Luma, LumaA, Rgba, RgbaImage,
    codecs::jpeg::JpegEncoder,
};
use quire_tasks::{DocumentFormat, FailureCode};

use crate::files::{BLACK, RED, WHITE, documents, encode, fixture, near, page, pixel, red_left, refusal, size};

#[test]
fn every_format_gives_the_same_page() {
    let formats = [
        (ImageFormat::Png, DocumentFormat::Png),
        (ImageFormat::Jpeg, DocumentFormat::Jpeg),
        (ImageFormat::WebP, DocumentFormat::Webp),
        (ImageFormat::Bmp, DocumentFormat::Bmp),
    ];
    for (encoding, format) in formats {
        let page = page(&encode(&red_left(), encoding), format, 1).expect("decodes");
        assert_eq!(size(&page), (32, 16), "{format:?}");
        assert!(near(pixel(&page, 2, 8), RED) && near(pixel(&page, 29, 8), WHITE), "{format:?}");
    }
}

/// A JPEG whose EXIF has only an orientation.
fn turned_jpeg(orientation: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
    let exif = [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", &[orientation, 0, 0, 0][..], &[0; 4]].concat();
    encoder.set_exif_metadata(exif).expect("JPEG has EXIF");
    let image = red_left().into_rgb8();
    encoder.write_image(&image, 32, 16, ExtendedColorType::Rgb8).expect("encodes");
    bytes
}

#[test]
fn a_photo_is_turned_upright_by_its_exif_orientation() {
    // Orientation 6: a quarter clockwise, the left side becomes the top. 3: half a turn. 8: a quarter counterclockwise.
    for (orientation, frame, red, white) in [
        (1, (32, 16), (1, 1), (30, 1)),
        (3, (32, 16), (30, 1), (1, 1)),
        (6, (16, 32), (1, 1), (1, 30)),
        (8, (16, 32), (1, 30), (1, 1)),
    ] {
        let page = page(&turned_jpeg(orientation), DocumentFormat::Jpeg, 1).expect("decodes");
        assert_eq!(size(&page), frame, "{orientation}");
        assert_eq!((page.page_width(), page.page_height()), frame, "{orientation}");
        assert!(near(pixel(&page, red.0, red.1), RED), "{orientation}");
        assert!(near(pixel(&page, white.0, white.1), WHITE), "{orientation}");
    }
}

#[test]
fn transparent_pixels_are_white() {
    let image = RgbaImage::from_fn(4, 1, |x, _| if x < 2 { Rgba([0, 0, 0, 0]) } else { Rgba([0, 0, 0, 255]) });
    let images = [DynamicImage::ImageRgba8(image.clone()), DynamicImage::ImageRgba8(image).into_luma_alpha16().into()];
    for image in images {
        let page = page(&encode(&image, ImageFormat::Png), DocumentFormat::Png, 1).expect("decodes");
        assert_eq!((pixel(&page, 0, 0), pixel(&page, 3, 0)), (WHITE, BLACK));
    }
}

#[test]
fn gray_and_16_bit_images_become_8_bits_per_color() {
    let dark = |x: u32| if x < 2 { 0x4000_u16 } else { 0xffff };
    let images: [DynamicImage; 3] = [
        GrayImage::from_fn(4, 1, |x, _| Luma([(dark(x) >> 8) as u8])).into(),
        image::ImageBuffer::<Luma<u16>, _>::from_fn(4, 1, |x, _| Luma([dark(x)])).into(),
        image::ImageBuffer::<LumaA<u16>, _>::from_fn(4, 1, |x, _| LumaA([dark(x), 0xffff])).into(),
    ];
    for image in images {
        let page = page(&encode(&image, ImageFormat::Png), DocumentFormat::Png, 1).expect("decodes");
        assert_eq!((pixel(&page, 0, 0), pixel(&page, 3, 0)), ([0x40; 3], WHITE));
    }
}

#[test]
fn a_cmyk_jpeg_has_its_colors() {
    let page = documents().page(&fixture("cmyk.jpg"), DocumentFormat::Jpeg, 1).expect("decodes");
    assert_eq!(size(&page), (32, 16));
    assert!(near(pixel(&page, 2, 8), RED), "{:?}", pixel(&page, 2, 8));
    assert!(near(pixel(&page, 29, 8), WHITE), "{:?}", pixel(&page, 29, 8));
}

#[test]
fn a_large_image_is_downscaled_and_keeps_its_page_size() {
    // The left half is black.
    let image = GrayImage::from_fn(10_000, 4_000, |x, _| Luma([if x < 5_000 { 0 } else { 255 }]));
    let page = page(&encode(&image.into(), ImageFormat::Png), DocumentFormat::Png, 1).expect("decodes");
    assert_eq!((page.page_width(), page.page_height()), (10_000, 4_000));
    assert_eq!(size(&page), (6_324, 2_529));
    assert_eq!((pixel(&page, 3_100, 1_000), pixel(&page, 3_200, 1_000)), (BLACK, WHITE));
}

#[test]
fn an_image_has_one_page() {
    let png = encode(&red_left(), ImageFormat::Png);
    for wrong in [0, 2] {
        assert_eq!(refusal(page(&png, DocumentFormat::Png, wrong)), FailureCode::UnreadablePage);
    }
}
