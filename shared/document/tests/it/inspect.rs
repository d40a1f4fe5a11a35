//! Which documents `inspect` accepts, and how it refuses others.

use image::ImageFormat;
use quire_document::Documents;
use quire_tasks::{DocumentFormat, FailureCode, SplitDocument};

use crate::files::{documents, encode, file, inspect, pdf, red_left, refusal, size, strict};

#[test]
fn documents_are_send() {
    const fn assert_send<T: Send>() {}
    assert_send::<Documents>();
}

#[test]
fn every_format_is_detected_from_its_bytes() {
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
    let page_box = ("/MediaBox [0 0 100 100]", "");
    assert_eq!(inspect(&pdf(&[page_box; 3])), Ok(SplitDocument { format: DocumentFormat::Pdf, pages: 3 }));
}

#[test]
fn images_do_not_need_pdfium() {
    let png = encode(&red_left(), ImageFormat::Png);
    assert_eq!(strict().inspect(file(&png).path()), Ok(SplitDocument { format: DocumentFormat::Png, pages: 1 }));
}

#[test]
fn empty_and_unknown_documents_are_refused() {
    assert_eq!(refusal(inspect(b"")), FailureCode::EmptyDocument);
    assert_eq!(refusal(inspect(b"<html>unsupported</html>")), FailureCode::UnsupportedFormat);
    let failure = inspect(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").expect_err("HEIC");
    assert_eq!(failure.code, FailureCode::UnsupportedFormat);
    assert!(failure.message.starts_with("HEIC images are not supported; PDF, PNG"), "{failure}");
}

#[test]
fn a_document_with_too_many_bytes_is_refused_with_the_limit() {
    let mut png = encode(&red_left(), ImageFormat::Png);
    png.resize(10_001, 0);
    let failure = strict().inspect(file(&png).path()).expect_err("the document is too large");
    assert_eq!(failure.code, FailureCode::DocumentTooLarge);
    assert_eq!(failure.message, "The document has 10001 bytes; at most 10000 are taken.");
}

#[test]
fn an_image_with_too_many_pixels_is_refused_with_the_limit() {
    let png = encode(&red_left().resize_exact(50, 40, image::imageops::Nearest), ImageFormat::Png);
    for result in [
        strict().inspect(file(&png).path()).map(|_| ()),
        strict().page(file(&png).path(), DocumentFormat::Png, 1).map(|_| ()),
    ] {
        let failure = result.expect_err("the image has too many pixels");
        assert_eq!(failure.code, FailureCode::TooManyPixels);
        assert_eq!(failure.message, "The image has 50 × 40 pixels; at most 1000 are taken in all.");
    }
}

#[test]
fn a_header_without_an_image_is_unreadable() {
    for head in [
        &b"\x89PNG\r\n\x1a\n"[..],
        b"\xff\xd8\xff\xe0",
        b"RIFF\0\0\0\0WEBP",
        b"II*\0\x08\0\0\0",
        b"GIF89a",
        b"\0\0\0\x0cjP  \r\n\x87\n",
        b"\0\0\0\x0cJXL \r\n\x87\n",
        b"%PDF-1.7\n",
    ] {
        assert_eq!(refusal(inspect(head)), FailureCode::UnreadableDocument, "{head:?}");
    }
}

#[test]
fn a_missing_file_is_an_internal_error() {
    let missing = std::path::Path::new("no/such/file");
    assert_eq!(refusal(strict().inspect(missing)), FailureCode::Internal);
    assert_eq!(refusal(strict().page(missing, DocumentFormat::Png, 1)), FailureCode::Internal);
}

#[test]
fn the_sample_documents_can_be_inspected_and_decoded() {
    let samples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples");
    // All pages are upright after decoding.
    for (name, format, pages, expected) in [
        ("invoice.pdf", DocumentFormat::Pdf, 2, (1654, 2339)),
        ("receipt.png", DocumentFormat::Png, 1, (700, 1060)),
        ("letter.jpg", DocumentFormat::Jpeg, 1, (1240, 1754)),
        ("scan.tiff", DocumentFormat::Tiff, 2, (1654, 2339)),
    ] {
        let (mut documents, file) = (documents(), samples.join(name));
        assert_eq!(documents.inspect(&file), Ok(SplitDocument { format, pages }), "{name}");
        for page in 1..=pages {
            assert_eq!(size(&documents.page(&file, format, page).expect(name)), expected, "{name}");
        }
    }
}
