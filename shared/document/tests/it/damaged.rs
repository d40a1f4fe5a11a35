//! Damaged images: what is readable is returned, and the rest is named.

use std::fs;

use image::{DynamicImage, GrayImage, ImageFormat, Luma};
use quire_document::PageImage;
use quire_tasks::{DocumentFormat, Failure, FailureCode, WarningKind};

use crate::{
    files::{encode, fixture, page},
    tiff::gray,
};

/// An image in whose rows no two are equal, so that its compressed rows have about the same length.
fn noise(height: u32) -> DynamicImage {
    let value = |x: u32, y: u32| (x * 7 + y * 13 + x * y * 29 + (x ^ y) * 101) as u8;
    GrayImage::from_fn(64, height, |x, y| Luma([value(x, y)])).into()
}

/// Returns the damaged rows, their position, and the rows of the page.
fn damage(page: &PageImage) -> Option<(u32, Option<[f32; 2]>)> {
    match page.warnings() {
        [] => None,
        [warning] => {
            let WarningKind::Damaged { rows } = warning.kind else { panic!("{warning:?}") };
            Some((rows, warning.polygon.map(|corners| corners[0])))
        }
        other => panic!("{other:?}"),
    }
}

fn cut(bytes: &[u8], share: f64) -> &[u8] {
    &bytes[..(bytes.len() as f64 * share) as usize]
}

fn decode(bytes: &[u8], format: DocumentFormat) -> Result<PageImage, Failure> {
    page(bytes, format, 1)
}

#[test]
fn a_truncated_image_has_its_first_rows() {
    let large = |format| encode(&noise(256), format);
    for (bytes, format) in [
        (large(ImageFormat::Png), DocumentFormat::Png),
        (gray(64, 256, 8, 1, noise(256).as_bytes()), DocumentFormat::Tiff),
        (large(ImageFormat::Jpeg), DocumentFormat::Jpeg),
        (fs::read(fixture("images/lossy.webp")).expect("a fixture"), DocumentFormat::Webp),
    ] {
        let whole = decode(&bytes, format).expect("decodes");
        assert_eq!(damage(&whole), None, "{format:?}");
        let page = decode(cut(&bytes, 0.7), format).expect("a part is there");
        let (rows, position) = damage(&page).expect("a part is missing");
        let first = page.height() - rows;
        assert_eq!(position, Some([0.0, first as f32]), "{format:?}");
        assert!(first > page.height() / 4 && rows > page.height() / 10, "{format:?}: {rows} rows");
        let (decoded, missing) = page.pixels().split_at(first as usize * page.width() as usize * 3);
        assert!(whole.pixels().starts_with(decoded), "{format:?}: rows before the damage are right");
        assert!(missing.iter().all(|byte| *byte == 255), "{format:?}: missing rows are white");
    }
}

#[test]
fn a_truncated_bitmap_has_its_last_rows() {
    let bytes = encode(&noise(100), ImageFormat::Bmp);
    let page = decode(cut(&bytes, 0.7), DocumentFormat::Bmp).expect("a part is there");
    let (rows, position) = damage(&page).expect("a part is missing");
    assert_eq!(position, Some([0.0, 0.0]));
    assert!((28..=38).contains(&rows), "{rows}");
    let whole = decode(&bytes, DocumentFormat::Bmp).expect("decodes");
    let present = rows as usize * 64 * 3;
    assert_eq!(page.pixels()[present..], whole.pixels()[present..]);
}

#[test]
fn an_incomplete_progressive_jpeg_lacks_details() {
    let bytes = fs::read(fixture("images/progressive.jpg")).expect("a fixture");
    assert_eq!(damage(&decode(&bytes, DocumentFormat::Jpeg).expect("decodes")), None);
    let page = decode(cut(&bytes, 0.7), DocumentFormat::Jpeg).expect("a part is there");
    assert_eq!(damage(&page), Some((page.height(), None)));
}

#[test]
fn a_png_may_lack_its_end_and_have_wrong_checksums() {
    let bytes = encode(&noise(100), ImageFormat::Png);
    let whole = decode(&bytes, DocumentFormat::Png).expect("decodes");
    let without_end = &bytes[..bytes.len() - 12];
    let mut wrong_checksum = bytes.clone();
    let end = bytes.len();
    wrong_checksum[end - 16..end - 12].fill(0x55);
    for bytes in [without_end, wrong_checksum.as_slice()] {
        let page = decode(bytes, DocumentFormat::Png).expect("all rows are there");
        assert_eq!((page.pixels(), damage(&page)), (whole.pixels(), None));
    }
}

#[test]
fn wrong_pixels_of_a_png_are_reported_when_its_checksums_differ() {
    // Stored without compression, a changed byte does not stop the decoder.
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 64, 64);
    encoder.set_compression(png::Compression::NoCompression);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&[9; 64 * 64]).expect("pixels");
    writer.finish().expect("an end");
    let changed = bytes.len() - 12 - 4 - 4 - 500;
    bytes[changed] ^= 0x40;
    let page = decode(&bytes, DocumentFormat::Png).expect("all rows are there");
    assert_eq!(damage(&page), Some((64, None)));
}

#[test]
fn a_truncated_gif_has_its_first_rows() {
    let mut bytes = Vec::new();
    let palette: Vec<u8> = (0..=255).flat_map(|value| [value; 3]).collect();
    let pixels = noise(100).into_luma8().into_raw();
    let mut encoder = gif::Encoder::new(&mut bytes, 64, 100, &palette).expect("a header");
    encoder.write_frame(&gif::Frame::from_indexed_pixels(64, 100, pixels, None)).expect("a frame");
    drop(encoder);
    assert_eq!(damage(&decode(&bytes, DocumentFormat::Gif).expect("decodes")), None);
    let page = decode(cut(&bytes, 0.7), DocumentFormat::Gif).expect("a part is there");
    let (rows, position) = damage(&page).expect("a part is missing");
    assert_eq!(position, Some([0.0, (100 - rows) as f32]));
    assert!((15..60).contains(&rows), "{rows}");
}

#[test]
fn an_image_without_a_readable_row_fails_in_plain_words() {
    for (encoding, format) in [
        (ImageFormat::Png, DocumentFormat::Png),
        (ImageFormat::Jpeg, DocumentFormat::Jpeg),
        (ImageFormat::Tiff, DocumentFormat::Tiff),
        (ImageFormat::WebP, DocumentFormat::Webp),
    ] {
        let bytes = encode(&noise(64), encoding);
        let failure = decode(cut(&bytes, 0.01), format).expect_err("nothing is readable");
        assert!(
            matches!(failure.code, FailureCode::UnreadablePage | FailureCode::UnreadableDocument),
            "{format:?}: {failure}"
        );
        let reason = failure.message.split_once("cannot be decoded: ").expect("a reason").1;
        assert!(["the file is truncated.", "its data is damaged."].contains(&reason), "{format:?}: {failure}");
    }
}
