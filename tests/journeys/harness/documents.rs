//! Test documents: small pages with one line of text each, read in about 0.1 s.

use std::{
    fmt::Write as _,
    io::Cursor,
    sync::{Mutex, PoisonError},
};

use image::{ImageFormat, RgbImage};
use quire_document::{DocumentLimits, Documents};
use quire_native_libs::Progress;

/// The size of a page in points.
const WIDTH: u32 = 340;
const HEIGHT: u32 = 60;

/// The text and the background color of a test page.
#[derive(Debug, Clone)]
pub(crate) struct TestPage {
    text: String,
    color: [u8; 3],
}

impl TestPage {
    /// Black on white.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), color: [1, 1, 1] }
    }

    /// A page that crashes the `faulty` command.
    pub(crate) fn magenta(self) -> Self {
        Self { color: [1, 0, 1], ..self }
    }

    /// A page that the `faulty` command never finishes.
    pub(crate) fn cyan(self) -> Self {
        Self { color: [0, 1, 1], ..self }
    }

    /// A page that a model server treats by
    /// [`ModelServer::set_yellow_behavior`](super::ModelServer::set_yellow_behavior).
    pub(crate) fn yellow(self) -> Self {
        Self { color: [1, 1, 0], ..self }
    }

    fn content(&self) -> String {
        let [red, green, blue] = self.color;
        let text = &self.text;
        assert!(
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' '),
            "the text needs no escaping in a PDF string"
        );
        format!("{red} {green} {blue} rg 0 0 {WIDTH} {HEIGHT} re f 0 g BT /F1 24 Tf 16 22 Td ({text}) Tj ET")
    }
}

/// A PDF of these objects, numbered from 1. The first one is the catalog.
pub(crate) fn pdf_of_objects(objects: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = b"%PDF-1.7\n".to_vec();
    for (index, object) in objects.iter().enumerate() {
        bytes.extend(format!("{} 0 obj\n", index + 1).bytes());
        bytes.extend(object.as_ref());
        bytes.extend(b"\nendobj\n");
    }
    bytes.extend(b"trailer\n<</Root 1 0 R>>\nstartxref\n0\n%%EOF\n");
    bytes
}

/// Returns a PDF of these pages.
pub(crate) fn pdf(sheets: &[TestPage]) -> Vec<u8> {
    let pages = sheets.iter().map(|sheet| Some(sheet.content()));
    assemble(&pages.collect::<Vec<_>>(), "")
}

/// Returns a PDF of these pages, with an unreadable page inserted after the first.
pub(crate) fn pdf_with_a_broken_page(sheets: &[TestPage]) -> Vec<u8> {
    let mut pages: Vec<_> = sheets.iter().map(|sheet| Some(sheet.content())).collect();
    pages.insert(1, None);
    assemble(&pages, "")
}

/// Returns a PDF that is encrypted with an unknown password.
pub(crate) fn encrypted_pdf() -> Vec<u8> {
    let key = "A5".repeat(32);
    let encrypt = format!("/Encrypt << /Filter /Standard /V 1 /R 2 /O <{key}> /U <{key}> /P -4 >> /ID [<00> <00>]");
    assemble(&[Some(TestPage::new("Secret").content())], &encrypt)
}

/// Writes the PDF file. Object 1 is the catalog, 2 the page tree, 3 the font, then the dictionary and the content of
/// each page. A page without content becomes a `null` object, which no renderer can open.
fn assemble(pages: &[Option<String>], trailer: &str) -> Vec<u8> {
    let kids: Vec<String> = (0..pages.len()).map(|page| format!("{} 0 R", 4 + 2 * page)).collect();
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!("<< /Type /Pages /Count {} /Kids [{}] >>", pages.len(), kids.join(" ")),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    for (page, content) in pages.iter().enumerate() {
        let Some(content) = content else {
            objects.extend(["null".to_owned(), "null".to_owned()]);
            continue;
        };
        let resources = "/Resources << /Font << /F1 3 0 R >> >>";
        let at = 5 + 2 * page;
        objects.push(format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {WIDTH} {HEIGHT}] {resources} /Contents {at} 0 R >>"
        ));
        objects.push(format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()));
    }
    let mut file = String::from("%PDF-1.4\n");
    let mut table = String::from("0000000000 65535 f \n");
    for (index, object) in objects.iter().enumerate() {
        writeln!(table, "{:010} 00000 n ", file.len()).expect("a String accepts all text");
        write!(file, "{} 0 obj\n{object}\nendobj\n", index + 1).expect("a String accepts all text");
    }
    let start = file.len();
    let size = objects.len() + 1;
    let root = format!("<< /Size {size} /Root 1 0 R {trailer} >>");
    write!(file, "xref\n0 {size}\n{table}trailer\n{root}\nstartxref\n{start}\n%%EOF\n")
        .expect("a String accepts all text");
    file.into_bytes()
}

/// Returns the page as a PNG.
pub(crate) fn png(sheet: &TestPage) -> Vec<u8> {
    // pdfium is not thread-safe.
    static RENDERING: Mutex<()> = Mutex::new(());
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), pdf(std::slice::from_ref(sheet))).expect("the PDF is written");
    let page = {
        let _guard = RENDERING.lock().unwrap_or_else(PoisonError::into_inner);
        let pdfium = quire_native_libs::pdfium(&Progress::Silent).expect("pdfium is installed");
        let mut documents = Documents::new(Some(pdfium), DocumentLimits::default());
        documents.page(file.path(), quire_tasks::DocumentFormat::Pdf, 1).expect("the page renders")
    };
    let rgb = page.pixels().chunks_exact(3).flat_map(|bgr| [bgr[2], bgr[1], bgr[0]]).collect();
    let image = RgbImage::from_raw(page.width(), page.height(), rgb).expect("three bytes per pixel");
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png).expect("the PNG is encoded");
    png.into_inner()
}

/// Returns the header of a PNG of this size, without image data.
pub(crate) fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for chunk in [&header[..], b"IDAT"] {
        png.extend((chunk.len() as u32 - 4).to_be_bytes());
        png.extend(chunk);
        png.extend(crc32(chunk).to_be_bytes());
    }
    png
}

/// Returns the checksum of a PNG chunk: CRC-32 with the reversed polynomial (PNG specification, annex D).
fn crc32(bytes: &[u8]) -> u32 {
    const REVERSED_POLYNOMIAL: u32 = 0xEDB8_8320;
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ REVERSED_POLYNOMIAL } else { crc >> 1 };
        }
    }
    !crc
}

/// Returns a white BMP image, three bytes per pixel.
pub(crate) fn raw_bmp(width: u32, height: u32) -> Vec<u8> {
    let mut bmp = Cursor::new(Vec::new());
    let image = RgbImage::from_pixel(width, height, image::Rgb([255; 3]));
    image.write_to(&mut bmp, ImageFormat::Bmp).expect("the BMP is encoded");
    bmp.into_inner()
}
