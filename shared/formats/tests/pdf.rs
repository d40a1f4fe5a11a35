//! A searchable PDF, rendered by the crate that reads customers' documents.

use std::{fs, path::Path};

use image::ImageEncoder;
use quire_document::{DocumentLimits, Documents, PageImage};
use quire_formats::{PdfImage, PdfPage, SearchablePdf};
use quire_native_libs::Progress;
use quire_tasks::{DocumentFormat, EngineName, Line, PageText, SplitDocument};

/// A photographed letter in English.
const LETTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/letter.jpg");

fn page_text(width: u32, height: u32) -> PageText {
    let engine: EngineName = "test@1".parse().expect("a valid engine name");
    // More characters than one font has, and a line whose position is unknown.
    let many: String = ('\u{4E00}'..).take(300).collect();
    let polygon = Some([[100.0, 100.0], [900.0, 100.0], [900.0, 140.0], [100.0, 140.0]]);
    let line = |text: &str, polygon| Line { text: text.to_owned(), confidence: Some(0.9), polygon, ..Line::default() };
    PageText::from_lines(engine, width, height, 0, vec![line(&many, polygon), line("somewhere", None)])
}

fn mean_difference(one: &PageImage, other: &PageImage) -> f64 {
    assert_eq!((one.width(), one.height()), (other.width(), other.height()));
    let pixels = one.pixels().iter().zip(other.pixels());
    pixels.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / one.pixels().len() as f64
}

#[test]
fn the_image_is_visible_and_the_text_is_not() {
    let pdfium = quire_native_libs::pdfium(&Progress::Silent).expect("pdfium is available");
    let mut documents = Documents::new(Some(pdfium), DocumentLimits::default());
    let picture = documents.page(Path::new(LETTER), DocumentFormat::Jpeg, 1).expect("the letter can be decoded");
    let (width, height) = (picture.width(), picture.height());
    // Encoded again, because the file itself is upside down, with an EXIF orientation.
    let mut jpeg = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95);
    let rgb: Vec<u8> = picture.pixels().chunks_exact(3).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect();
    encoder.write_image(&rgb, width, height, image::ExtendedColorType::Rgb8).expect("a JPEG");

    let mut pdf = SearchablePdf::new(Vec::new()).expect("writing to memory cannot fail");
    // At the resolution of rendering, so that a pixel of the image is a pixel of the page.
    let image = PdfImage { jpeg: &jpeg, width, height, is_gray: false };
    let page = PdfPage { width, height, dpi: 200.0, picture: Some(image) };
    pdf.page(&page, Some(&page_text(width, height))).expect("writing to memory cannot fail");
    pdf.page(&page, None).expect("writing to memory cannot fail");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("letter.pdf");
    fs::write(&file, pdf.finish("A letter").expect("writing to memory cannot fail")).expect("the file can be written");

    assert_eq!(documents.inspect(&file), Ok(SplitDocument { format: DocumentFormat::Pdf, pages: 2 }));
    for number in 1..=2 {
        let rendered = documents.page(&file, DocumentFormat::Pdf, number).expect("the page can be rendered");
        let difference = mean_difference(&rendered, &picture);
        assert!(difference < 1.0, "page {number}: {difference} of 255");
    }
}
