//! Test documents in temporary files, and shared assertions.

use std::{
    io::{Cursor, Write},
    path::{Path, PathBuf},
};

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use quire_document::{DocumentLimits, Documents, PageImage};
use quire_tasks::{DocumentFormat, Failure, FailureCode, SplitDocument};
use tempfile::NamedTempFile;

pub(crate) const WHITE: [u8; 3] = [255; 3];
pub(crate) const BLACK: [u8; 3] = [0; 3];
/// In the order blue, green, red.
pub(crate) const RED: [u8; 3] = [0, 0, 255];

/// Documents with pdfium, which is downloaded at the first use.
pub(crate) fn documents() -> Documents {
    let library = quire_native_libs::pdfium(&quire_native_libs::Progress::Silent).expect("pdfium is available");
    Documents::new(Some(library), DocumentLimits::default())
}

/// Documents without pdfium and with small limits.
pub(crate) fn strict() -> Documents {
    Documents::new(None, DocumentLimits { max_bytes: 10_000, max_pages: 3, max_pixels: 1_000 })
}

pub(crate) fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("the temporary file can be written");
    file
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

pub(crate) fn inspect(bytes: &[u8]) -> Result<SplitDocument, Failure> {
    documents().inspect(file(bytes).path())
}

pub(crate) fn page(bytes: &[u8], format: DocumentFormat, page: u32) -> Result<PageImage, Failure> {
    documents().page(file(bytes).path(), format, page)
}

pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, Failure>) -> FailureCode {
    result.expect_err("the document is refused").code
}

pub(crate) fn size(page: &PageImage) -> (u32, u32) {
    (page.width(), page.height())
}

pub(crate) fn pixel(page: &PageImage, x: u32, y: u32) -> [u8; 3] {
    let at = (y * page.width() + x) as usize * PageImage::CHANNELS;
    page.pixels()[at..at + 3].try_into().expect("three bytes")
}

pub(crate) fn near(found: [u8; 3], wanted: [u8; 3]) -> bool {
    found.iter().zip(wanted).all(|(found, wanted)| found.abs_diff(wanted) < 12)
}

/// 32 × 16 pixels: red on the left, white on the right.
pub(crate) fn red_left() -> DynamicImage {
    let color = |x, _| if x < 16 { Rgb([255, 0, 0]) } else { Rgb([255; 3]) };
    DynamicImage::ImageRgb8(RgbImage::from_fn(32, 16, color))
}

pub(crate) fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).expect("encodes");
    bytes.into_inner()
}

/// A PDF whose pages each have a content stream and extra entries in the page dictionary: (extra, content).
pub(crate) fn pdf(pages: &[(&str, &str)]) -> Vec<u8> {
    let kids: Vec<String> = (0..pages.len()).map(|page| format!("{} 0 R", 3 + 2 * page)).collect();
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!("<< /Type /Pages /Count {} /Kids [{}] >>", pages.len(), kids.join(" ")),
    ];
    for (number, (extra, content)) in pages.iter().enumerate() {
        let stream = 4 + 2 * number;
        objects.push(format!("<< /Type /Page {extra} /Parent 2 0 R /Contents {stream} 0 R >>"));
        objects.push(format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()));
    }
    pdf_of_objects(&objects)
}

/// A PDF of these objects, numbered from 1. The first one is the catalog.
pub(crate) fn pdf_of_objects(objects: &[String]) -> Vec<u8> {
    let mut bytes = b"%PDF-1.7\n".to_vec();
    let mut table = vec!["0000000000 65535 f \n".to_owned()];
    for (number, object) in objects.iter().enumerate() {
        table.push(format!("{:010} 00000 n \n", bytes.len()));
        bytes.extend(format!("{} 0 obj\n{object}\nendobj\n", number + 1).bytes());
    }
    let (count, table, start) = (table.len(), table.concat(), bytes.len());
    let end = format!("xref\n0 {count}\n{table}trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n");
    bytes.extend(end.bytes());
    bytes
}
