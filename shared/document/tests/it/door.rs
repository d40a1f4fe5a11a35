//! What `inspect` lets in, and what it refuses in which words.

use image::ImageFormat;
use quire_document::Documents;
use quire_tasks::{DocumentFormat, FailureCode, SplitDocument};

use crate::files::{documents, encode, file, inspect, pdf, red_left, refusal, size, strict};

#[test]
fn a_reader_can_be_moved_to_its_thread() {
    const fn sendable<T: Send>() {}
    sendable::<Documents>();
}

#[test]
fn every_format_is_known_by_its_bytes() {
    let formats = [
        (ImageFormat::Png, DocumentFormat::Png),
        (ImageFormat::Jpeg, DocumentFormat::Jpeg),
        (ImageFormat::Tiff, DocumentFormat::Tiff),
        (ImageFormat::WebP, DocumentFormat::Webp),
        (ImageFormat::Bmp, DocumentFormat::Bmp),
    ];
    for (encoding, format) in formats {
        assert_eq!(inspect(&encode(&red_left(), encoding)), Ok(SplitDocument { format, pages: 1 }));
    }
    let box_of_a_page = ("/MediaBox [0 0 100 100]", "");
    assert_eq!(inspect(&pdf(&[box_of_a_page; 3])), Ok(SplitDocument { format: DocumentFormat::Pdf, pages: 3 }));
}

#[test]
fn an_image_needs_no_pdfium() {
    let png = encode(&red_left(), ImageFormat::Png);
    assert_eq!(strict().inspect(file(&png).path()), Ok(SplitDocument { format: DocumentFormat::Png, pages: 1 }));
}

#[test]
fn nothing_and_the_unknown_are_refused() {
    assert_eq!(refusal(inspect(b"")), FailureCode::EmptyDocument);
    assert_eq!(refusal(inspect(b"<html>not one of ours</html>")), FailureCode::UnsupportedFormat);
    assert_eq!(refusal(inspect(b"GIF89a")), FailureCode::UnsupportedFormat);
}

#[test]
fn a_document_of_too_many_bytes_names_the_limit() {
    let mut png = encode(&red_left(), ImageFormat::Png);
    png.resize(10_001, 0);
    let failure = strict().inspect(file(&png).path()).expect_err("too large");
    assert_eq!(failure.code, FailureCode::DocumentTooLarge);
    assert_eq!(failure.message, "The document has 10001 bytes; at most 10000 are taken.");
}

#[test]
fn an_image_of_too_many_pixels_names_the_limit() {
    let png = encode(&red_left().resize_exact(50, 40, image::imageops::Nearest), ImageFormat::Png);
    for result in [
        strict().inspect(file(&png).path()).map(|_| ()),
        strict().page(file(&png).path(), DocumentFormat::Png, 1).map(|_| ()),
    ] {
        let failure = result.expect_err("too many");
        assert_eq!(failure.code, FailureCode::TooManyPixels);
        assert_eq!(failure.message, "The image has 50 × 40 pixels; at most 1000 are taken in all.");
    }
}

#[test]
fn a_header_without_an_image_cannot_be_opened() {
    for head in [&b"\x89PNG\r\n\x1a\n"[..], b"\xff\xd8\xff\xe0", b"RIFF\0\0\0\0WEBP", b"II*\0\x08\0\0\0", b"%PDF-1.7\n"]
    {
        assert_eq!(refusal(inspect(head)), FailureCode::UnreadableDocument, "{head:?}");
    }
}

#[test]
fn a_file_that_is_gone_is_our_fault() {
    let missing = std::path::Path::new("no/such/file");
    assert_eq!(refusal(strict().inspect(missing)), FailureCode::Internal);
    assert_eq!(refusal(strict().page(missing, DocumentFormat::Png, 1)), FailureCode::Internal);
}

#[test]
fn our_samples_are_taken_as_what_they_are() {
    let samples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples");
    // Their pages stand upright, whatever their pixels do.
    for (name, format, pages, frame) in [
        ("invoice.pdf", DocumentFormat::Pdf, 2, (1654, 2339)),
        ("receipt.png", DocumentFormat::Png, 1, (700, 1060)),
        ("letter.jpg", DocumentFormat::Jpeg, 1, (1240, 1754)),
        ("scan.tiff", DocumentFormat::Tiff, 2, (1654, 2339)),
    ] {
        let (mut documents, file) = (documents(), samples.join(name));
        assert_eq!(documents.inspect(&file), Ok(SplitDocument { format, pages }), "{name}");
        for page in 1..=pages {
            assert_eq!(size(&documents.page(&file, format, page).expect(name)), frame, "{name}");
        }
    }
}
