//! A PDF that we made, opened by the reader that opens everybody's.

use std::{fs, path::Path};

use image::ImageEncoder;
use quire_document::{Documents, Limits, PageImage};
use quire_formats::{Picture, SearchablePdf, Sheet};
use quire_native_libs::Progress;
use quire_tasks::{DocumentFormat, EngineName, Line, PageText, SplitDocument};

/// A photographed letter in English.
const LETTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/letter.jpg");

fn read(width: u32, height: u32) -> PageText {
    let engine: EngineName = "test@1".parse().expect("a name");
    // More characters than one font has, and a line whose place is unknown.
    let many: String = ('\u{4E00}'..).take(300).collect();
    let polygon = Some([[100.0, 100.0], [900.0, 100.0], [900.0, 140.0], [100.0, 140.0]]);
    let line = |text: &str, polygon| Line { text: text.to_owned(), confidence: Some(0.9), polygon };
    PageText::from_lines(engine, width, height, 0, vec![line(&many, polygon), line("somewhere", None)])
}

fn mean_difference(one: &PageImage, other: &PageImage) -> f64 {
    assert_eq!((one.width(), one.height()), (other.width(), other.height()));
    let pixels = one.pixels().iter().zip(other.pixels());
    pixels.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / one.pixels().len() as f64
}

#[test]
fn what_is_seen_is_the_picture_and_nothing_of_the_text() {
    let pdfium = quire_native_libs::pdfium(&Progress::Silent).expect("pdfium is to be had");
    let mut documents = Documents::new(Some(pdfium), Limits::default());
    let picture = documents.page(Path::new(LETTER), DocumentFormat::Jpeg, 1).expect("a picture");
    let (width, height) = (picture.width(), picture.height());
    // Anew: as a file it lies on its head, and says so in its EXIF part.
    let mut jpeg = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95);
    let rgb: Vec<u8> = picture.pixels().chunks_exact(3).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect();
    encoder.write_image(&rgb, width, height, image::ExtendedColorType::Rgb8).expect("a JPEG");

    let mut pdf = SearchablePdf::new(Vec::new()).expect("memory takes everything");
    // As pages are rendered, so that a pixel of the picture is one of the page.
    let picture_of = Picture { jpeg: &jpeg, width, height, is_gray: false };
    let sheet = Sheet { width, height, dpi: 200.0, picture: Some(picture_of) };
    pdf.page(&sheet, Some(&read(width, height))).expect("memory takes everything");
    pdf.page(&sheet, None).expect("memory takes everything");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("letter.pdf");
    fs::write(&file, pdf.finish("A letter").expect("memory takes everything")).expect("written");

    assert_eq!(documents.inspect(&file), Ok(SplitDocument { format: DocumentFormat::Pdf, pages: 2 }));
    for number in 1..=2 {
        let seen = documents.page(&file, DocumentFormat::Pdf, number).expect("renders");
        let difference = mean_difference(&seen, &picture);
        assert!(difference < 1.0, "page {number}: {difference} of 255");
    }
}
