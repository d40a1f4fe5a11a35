//! TIFF: counting pages of untrusted files, and the pixel formats of scanners.

use std::io::Cursor;

use quire_document::{DocumentLimits, Documents};
use quire_tasks::{DocumentFormat, FailureCode, SplitDocument};
use tiff::encoder::{TiffEncoder, colortype};

use crate::files::{BLACK, RED, WHITE, documents, file, fixture, inspect, near, page, pixel, refusal, size, strict};

/// A TIFF with one page of 4 × 2 pixels for each gray value.
fn pages_of(grays: &[u8]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).expect("a header");
    for gray in grays {
        encoder.write_image::<colortype::Gray8>(4, 2, &[*gray; 8]).expect("a page");
    }
    bytes.into_inner()
}

/// A TIFF with one directory of `entries` (tag, type, value), the offset of the next directory, and `data`.
fn directory(entries: &[(u16, u16, u32)], next: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    bytes.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, value) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend(next.to_le_bytes());
    bytes.extend(data);
    bytes
}

/// A gray image with `bits` per pixel in one strip, behind its directory.
pub(crate) fn gray(width: u32, height: u32, bits: u32, photometric: u32, data: &[u8]) -> Vec<u8> {
    let data_at = 8 + 2 + 8 * 12 + 4;
    let entries = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, bits),
        (259, 3, 1),
        (262, 3, photometric),
        (273, 4, data_at),
        (278, 4, height),
        (279, 4, data.len() as u32),
    ];
    directory(&entries, 0, data)
}

#[test]
fn every_page_is_counted_and_decoded() {
    let tiff = pages_of(&[10, 20, 30]);
    assert_eq!(inspect(&tiff), Ok(SplitDocument { format: DocumentFormat::Tiff, pages: 3 }));
    let file = file(&tiff);
    let mut documents = documents();
    for (number, gray) in [(3, 30), (1, 10), (2, 20)] {
        let page = documents.page(file.path(), DocumentFormat::Tiff, number).expect("decodes");
        assert_eq!((size(&page), pixel(&page, 0, 0)), ((4, 2), [gray; 3]));
    }
    for wrong in [0, 4] {
        assert_eq!(refusal(documents.page(file.path(), DocumentFormat::Tiff, wrong)), FailureCode::UnreadablePage);
    }
}

#[test]
fn too_many_pages_are_refused() {
    let failure = strict().inspect(file(&pages_of(&[0; 9])).path()).expect_err("too many");
    assert_eq!(failure.code, FailureCode::TooManyPages);
    assert!(failure.message.ends_with("at most 3 are taken."), "{failure}");
}

#[test]
fn what_follows_a_broken_directory_is_one_lost_page() {
    for (next, reason) in [
        (8_u32, "its directory is that of an earlier page"),
        (0xffff_fff8, "the file ends before its directory"),
        // In the middle of the first directory: no plausible number of entries.
        (16, "its directory is damaged"),
    ] {
        let mut tiff = gray(4, 2, 8, 1, &[7; 8]);
        let next_at = 8 + 2 + 8 * 12;
        tiff[next_at..next_at + 4].copy_from_slice(&next.to_le_bytes());
        assert_eq!(inspect(&tiff), Ok(SplitDocument { format: DocumentFormat::Tiff, pages: 2 }), "{reason}");
        assert_eq!(pixel(&page(&tiff, DocumentFormat::Tiff, 1).expect("decodes"), 0, 0), [7; 3]);
        let failure = page(&tiff, DocumentFormat::Tiff, 2).expect_err("it is lost");
        assert_eq!(failure.code, FailureCode::UnreadablePage);
        let message = format!("Page 2 cannot be decoded: {reason}, and later pages cannot be found.");
        assert_eq!(failure.message, message);
    }
}

#[test]
fn a_first_directory_outside_the_file_is_refused() {
    let failure = inspect(b"II*\0\xff\xff\0\0").expect_err("it has no page");
    assert_eq!(failure.code, FailureCode::UnreadableDocument);
    assert_eq!(failure.message, "The TIFF cannot be decoded: the file is truncated.");
}

#[test]
fn a_page_with_too_many_pixels_is_refused() {
    let huge = gray(100_000, 100_000, 8, 1, b"");
    assert_eq!(refusal(inspect(&huge)), FailureCode::TooManyPixels);
    assert_eq!(refusal(page(&huge, DocumentFormat::Tiff, 1)), FailureCode::TooManyPixels);
}

#[test]
fn a_smaller_copy_of_a_page_is_not_counted() {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).expect("a header");
    for subfile_type in [1_u32, 0, 1, 0] {
        let mut image = encoder.new_image::<colortype::Gray8>(4, 2).expect("a page");
        image.encoder().write_tag(tiff::tags::Tag::NewSubfileType, subfile_type).expect("a tag");
        image.write_data(&[subfile_type as u8; 8]).expect("pixels");
    }
    let bytes = bytes.into_inner();
    assert_eq!(inspect(&bytes), Ok(SplitDocument { format: DocumentFormat::Tiff, pages: 2 }));
    assert_eq!(pixel(&page(&bytes, DocumentFormat::Tiff, 2).expect("decodes"), 0, 0), BLACK);
}

#[test]
fn the_number_of_directories_is_limited() {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).expect("a header");
    for _ in 0..100 {
        let mut image = encoder.new_image::<colortype::Gray8>(1, 1).expect("a page");
        image.encoder().write_tag(tiff::tags::Tag::NewSubfileType, 1_u32).expect("a tag");
        image.write_data(&[0]).expect("pixels");
    }
    let limits = DocumentLimits { max_pages: 3, ..DocumentLimits::default() };
    let failure = Documents::new(None, limits).inspect(file(bytes.get_ref()).path()).expect_err("too many");
    assert_eq!(failure.code, FailureCode::UnreadableDocument);
    assert_eq!(failure.message, "The TIFF cannot be decoded: it has too many directories.");
}

#[test]
fn an_invalid_page_does_not_affect_other_pages() {
    // The strip of the second page is outside the file.
    let mut bytes = pages_of(&[10, 20, 30]);
    let strips: Vec<usize> =
        bytes.windows(4).enumerate().filter(|(_, w)| *w == [17, 1, 4, 0]).map(|(at, _)| at).collect();
    bytes[strips[1] + 8..][..4].copy_from_slice(&0x00ff_ffff_u32.to_le_bytes());
    let file = file(&bytes);
    let mut documents = documents();
    assert_eq!(documents.inspect(file.path()), Ok(SplitDocument { format: DocumentFormat::Tiff, pages: 3 }));
    assert_eq!(refusal(documents.page(file.path(), DocumentFormat::Tiff, 2)), FailureCode::UnreadablePage);
    for (number, gray) in [(1, 10), (3, 30)] {
        let page = documents.page(file.path(), DocumentFormat::Tiff, number).expect("decodes");
        assert_eq!(pixel(&page, 3, 1), [gray; 3]);
    }
}

#[test]
fn images_of_1_2_and_4_bits_are_scaled_to_8_bits() {
    // Rows of five pixels end inside a byte. With a photometric interpretation of 0, 0 is white.
    let cases: [(u32, u32, &[u8], [u8; 5]); 4] = [
        (1, 1, &[0b0110_1000], [0, 255, 255, 0, 255]),
        (1, 0, &[0b0110_1000], [255, 0, 0, 255, 0]),
        (2, 1, &[0b0001_1011, 0b1100_0000], [0, 85, 170, 255, 255]),
        (4, 1, &[0x0f, 0x8a, 0xf0], [0, 255, 136, 170, 255]),
    ];
    for (bits, photometric, row, wanted) in cases {
        let page = page(&gray(5, 2, bits, photometric, &row.repeat(2)), DocumentFormat::Tiff, 1).expect("decodes");
        for (x, gray) in (0..).zip(wanted) {
            assert_eq!(pixel(&page, x, 1), [gray; 3], "{bits} bits, {x}");
        }
    }
}

#[test]
fn compressions_and_color_types_of_scanners_are_decoded() {
    for (name, ink) in [("g3", BLACK), ("g4", BLACK), ("palette", RED), ("cmyk", RED), ("jpeg", RED), ("big", RED)] {
        let mut documents = documents();
        let path = fixture(&format!("{name}.tif"));
        assert_eq!(documents.inspect(&path), Ok(SplitDocument { format: DocumentFormat::Tiff, pages: 1 }), "{name}");
        let page = documents.page(&path, DocumentFormat::Tiff, 1).expect(name);
        assert_eq!(size(&page), (32, 16), "{name}");
        assert!(near(pixel(&page, 2, 8), ink) && near(pixel(&page, 29, 8), WHITE), "{name}");
    }
}

#[test]
fn samples_of_16_bits_are_decoded_in_both_byte_orders() {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).expect("a header");
    encoder.write_image::<colortype::RGBA16>(1, 1, &[0xffff, 0, 0, 0xffff]).expect("a page");
    assert_eq!(pixel(&page(&bytes.into_inner(), DocumentFormat::Tiff, 1).expect("decodes"), 0, 0), RED);

    let big_endian = [
        &b"MM\0*\0\0\0\x08\0\x08"[..],
        &[1, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1],
        &[1, 2, 0, 3, 0, 0, 0, 1, 0, 16, 0, 0, 1, 3, 0, 3, 0, 0, 0, 1, 0, 1, 0, 0],
        &[1, 6, 0, 3, 0, 0, 0, 1, 0, 1, 0, 0, 1, 17, 0, 4, 0, 0, 0, 1, 0, 0, 0, 110],
        &[1, 22, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, 1, 23, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2],
        &[0, 0, 0, 0, 0x80, 0x01],
    ];
    let page = page(&big_endian.concat(), DocumentFormat::Tiff, 1).expect("decodes");
    assert_eq!((size(&page), pixel(&page, 0, 0)), ((1, 1), [0x80; 3]));
}

#[test]
fn an_unsupported_compression_is_named() {
    let mut tiff = gray(4, 2, 8, 1, &[7; 8]);
    // The value of the fourth entry.
    tiff[8 + 2 + 3 * 12 + 8..][..4].copy_from_slice(&34_661_u32.to_le_bytes());
    let failure = page(&tiff, DocumentFormat::Tiff, 1).expect_err("JBIG is not supported");
    assert_eq!(failure.code, FailureCode::UnsupportedFormat);
    assert_eq!(failure.message, "TIFF images compressed with JBIG are not supported.");
}
