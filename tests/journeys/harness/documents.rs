//! Documents to send: small pages, each with one line of text that reads in a moment.

use std::{
    fmt::Write as _,
    io::Cursor,
    sync::{Mutex, PoisonError},
};

use image::{ImageFormat, RgbImage};
use quire_document::{DocumentLimits, Documents};
use quire_native_libs::Progress;

/// Points; read in about a tenth of a second.
const WIDTH: u32 = 340;
const HEIGHT: u32 = 60;

/// A page to be.
#[derive(Debug, Clone)]
pub(crate) struct Sheet {
    text: String,
    color: [u8; 3],
}

impl Sheet {
    /// Black on white.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), color: [1, 1, 1] }
    }

    /// Kills the faulty command.
    pub(crate) fn magenta(self) -> Self {
        Self { color: [1, 0, 1], ..self }
    }

    /// Stops the faulty command.
    pub(crate) fn cyan(self) -> Self {
        Self { color: [0, 1, 1], ..self }
    }

    /// Lets a model server treat it in a way of its own.
    pub(crate) fn yellow(self) -> Self {
        Self { color: [1, 1, 0], ..self }
    }

    fn content(&self) -> String {
        let [red, green, blue] = self.color;
        let text = &self.text;
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' '), "nothing to be escaped");
        format!("{red} {green} {blue} rg 0 0 {WIDTH} {HEIGHT} re f 0 g BT /F1 24 Tf 16 22 Td ({text}) Tj ET")
    }
}

/// A PDF of these pages.
pub(crate) fn pdf(sheets: &[Sheet]) -> Vec<u8> {
    let pages = sheets.iter().map(|sheet| Some(sheet.content()));
    assemble(&pages.collect::<Vec<_>>(), "")
}

/// A PDF of these pages, and between the first and the others one that nobody can open.
pub(crate) fn pdf_with_a_broken_page(sheets: &[Sheet]) -> Vec<u8> {
    let mut pages: Vec<_> = sheets.iter().map(|sheet| Some(sheet.content())).collect();
    pages.insert(1, None);
    assemble(&pages, "")
}

/// A PDF that asks for a password, which nobody knows.
pub(crate) fn encrypted_pdf() -> Vec<u8> {
    let key = "A5".repeat(32);
    let encrypt = format!("/Encrypt << /Filter /Standard /V 1 /R 2 /O <{key}> /U <{key}> /P -4 >> /ID [<00> <00>]");
    assemble(&[Some(Sheet::new("Secret").content())], &encrypt)
}

/// Objects: 1 is the catalog, 2 the page tree, 3 the font; then for each page itself and its content. A page without
/// content is no page at all.
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
        writeln!(table, "{:010} 00000 n ", file.len()).expect("a string takes everything");
        write!(file, "{} 0 obj\n{object}\nendobj\n", index + 1).expect("a string takes everything");
    }
    let (start, size) = (file.len(), objects.len() + 1);
    let root = format!("<< /Size {size} /Root 1 0 R {trailer} >>");
    write!(file, "xref\n0 {size}\n{table}trailer\n{root}\nstartxref\n{start}\n%%EOF\n").expect("it takes everything");
    file.into_bytes()
}

/// The same page as a PNG.
pub(crate) fn png(sheet: &Sheet) -> Vec<u8> {
    // What renders is native code that wants one caller at a time.
    static RENDERING: Mutex<()> = Mutex::new(());
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), pdf(std::slice::from_ref(sheet))).expect("a PDF");
    let page = {
        let _alone = RENDERING.lock().unwrap_or_else(PoisonError::into_inner);
        let pdfium = quire_native_libs::pdfium(&Progress::Silent).expect("pdfium");
        let mut documents = Documents::new(Some(pdfium), DocumentLimits::default());
        documents.page(file.path(), quire_tasks::DocumentFormat::Pdf, 1).expect("a page")
    };
    let rgb = page.pixels().chunks_exact(3).flat_map(|bgr| [bgr[2], bgr[1], bgr[0]]).collect();
    let image = RgbImage::from_raw(page.width(), page.height(), rgb).expect("three bytes a pixel");
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png).expect("a PNG");
    png.into_inner()
}

/// The beginning of a PNG of this size, with nothing behind it.
pub(crate) fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for chunk in [&header[..], b"IDAT"] {
        png.extend((chunk.len() as u32 - 4).to_be_bytes());
        png.extend(chunk);
        png.extend(checksum(chunk).to_be_bytes());
    }
    png
}

/// A PNG chunk's checksum.
fn checksum(bytes: &[u8]) -> u32 {
    let step = |sum: u32| if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 };
    !bytes.iter().fold(!0_u32, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| step(sum)))
}

/// A white picture that takes three bytes a pixel.
pub(crate) fn raw_bmp(width: u32, height: u32) -> Vec<u8> {
    let mut bmp = Cursor::new(Vec::new());
    let image = RgbImage::from_pixel(width, height, image::Rgb([255; 3]));
    image.write_to(&mut bmp, ImageFormat::Bmp).expect("a bitmap");
    bmp.into_inner()
}
