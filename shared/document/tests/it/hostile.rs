//! Malicious documents: decompression bombs and randomly changed files.

use image::ImageFormat;
use proptest::prelude::*;
use quire_document::{DocumentLimits, Documents};
use quire_tasks::{DocumentFormat, FailureCode};

use crate::files::{encode, file, inspect, page, pdf, red_left, refusal};

/// A PNG that declares a huge size, with valid checksums.
fn png_bomb(width: u32, height: u32) -> Vec<u8> {
    let mut png = encode(&red_left(), ImageFormat::Png);
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    png
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    for (width, height) in [(100_000, 100_000), (1, 0x7fff_ffff), (0x7fff_ffff, 0x7fff_ffff)] {
        let bomb = png_bomb(width, height);
        assert_eq!(refusal(inspect(&bomb)), FailureCode::TooManyPixels, "{width} × {height}");
        assert_eq!(refusal(page(&bomb, DocumentFormat::Png, 1)), FailureCode::TooManyPixels, "{width} × {height}");
    }
    let mut bmp = encode(&red_left(), ImageFormat::Bmp);
    bmp[18..26].copy_from_slice(&[0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0]);
    assert_eq!(refusal(inspect(&bmp)), FailureCode::TooManyPixels);
    let mut jpeg = encode(&red_left(), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|bytes| bytes == [0xff, 0xc0]).expect("a frame");
    jpeg[frame + 5..frame + 9].fill(0xff);
    assert_eq!(refusal(inspect(&jpeg)), FailureCode::TooManyPixels);
}

const FORMATS: [(ImageFormat, DocumentFormat); 5] = [
    (ImageFormat::Png, DocumentFormat::Png),
    (ImageFormat::Jpeg, DocumentFormat::Jpeg),
    (ImageFormat::Tiff, DocumentFormat::Tiff),
    (ImageFormat::WebP, DocumentFormat::Webp),
    (ImageFormat::Bmp, DocumentFormat::Bmp),
];

/// Small limits, so that a random header does not slow down the test.
fn small() -> Documents {
    Documents::new(None, DocumentLimits { max_bytes: 1_000_000, max_pages: 20, max_pixels: 1_000_000 })
}

/// Neither call may panic, and no panic of a decoder may have been caught.
fn check_no_panic(bytes: &[u8], format: DocumentFormat) -> Result<(), TestCaseError> {
    let file = file(bytes);
    let failures = [small().inspect(file.path()).err(), small().page(file.path(), format, 1).err()];
    for failure in failures.into_iter().flatten() {
        prop_assert_ne!(failure.code, FailureCode::Internal);
        prop_assert!(!failure.message.contains("decoder cannot handle"), "a panic was caught");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_can_be_inspected(which in 0..FORMATS.len(), bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        // A PDF would need pdfium, which is not configured here.
        prop_assume!(!bytes.windows(5).any(|bytes| bytes == b"%PDF-"));
        check_no_panic(&bytes, FORMATS[which].1)?;
    }

    #[test]
    fn a_file_with_changed_bytes_can_be_inspected(
        which in 0..FORMATS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (encoding, format) = FORMATS[which];
        let mut bytes = encode(&red_left(), encoding);
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        check_no_panic(&bytes, format)?;
    }
}

proptest! {
    // Few cases: pdfium has its own fuzzers, and a crash would end the whole test process.
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    #[test]
    fn a_truncated_pdf_can_be_inspected(cut in any::<prop::sample::Index>()) {
        let bytes = pdf(&[("/MediaBox [0 0 100 200]", "1 0 0 rg 0 0 50 100 re f"); 3]);
        let cut = &bytes[..cut.index(bytes.len())];
        match inspect(cut) {
            Ok(split) => {
                for number in 1..=split.pages {
                    // The page's dictionary is complete if the object of its content has begun.
                    let content = format!("{} 0 obj", 2 + 2 * number);
                    let is_there = cut.windows(content.len()).any(|window| window == content.as_bytes());
                    let code = page(cut, DocumentFormat::Pdf, number).err().map(|failure| failure.code);
                    let expected = if is_there { None } else { Some(FailureCode::UnreadablePage) };
                    prop_assert!(code == expected || code.is_none(), "page {}: {:?}", number, code);
                }
            }
            Err(failure) => prop_assert_ne!(failure.code, FailureCode::Internal),
        }
    }
}
