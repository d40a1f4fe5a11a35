//! Searchable PDFs preserve what their documents contain: vectors, links, outlines, and images as they are stored.

use std::{fmt::Write as _, io::Read, path::Path};

use quire_document::{Document, DocumentLimits, PageGlyph, PageImage};
use quire_tasks::{DocumentFormat, PageText};

use crate::{
    searchable::{SAME, difference, seen, text},
    support::{PdfWorld, documents, page_of, rectangle, samples_folder},
};

/// The bytes that a text layer with its fonts may add.
const LAYER_BYTES: usize = 4_000;

/// Returns a PDF of these objects, numbered from 1, of which the first is the catalog.
fn pdf_of(objects: &[String]) -> Vec<u8> {
    let mut file = "%PDF-1.7\n".to_owned();
    let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for (number, object) in (1..).zip(objects) {
        let _ = writeln!(table, "{:010} 00000 n ", file.len());
        let _ = write!(file, "{number} 0 obj\n{object}\nendobj\n");
    }
    let start = file.len();
    let _ = write!(file, "{table}trailer\n<</Root 1 0 R/Size {}>>\nstartxref\n{start}\n%%EOF\n", objects.len() + 1);
    file.into_bytes()
}

fn stream(entries: &str, data: &str) -> String {
    format!("<<{entries}/Length {}>>\nstream\n{data}\nendstream", data.len())
}

/// The contents of a page with a diagonal in its lower left corner. They leave behind a scaled graphics state.
const DRAWING: &str = "q 0.5 0 0 0.5 7 9 cm 3 w 0 0 m 200 300 l S";

/// Returns a PDF of one page with these entries, with a link, an outline and a drawing.
fn drawing(page: &str) -> Vec<u8> {
    pdf_of(&[
        "<</Type/Catalog/Pages 2 0 R/Outlines 6 0 R/PageMode/UseOutlines>>".to_owned(),
        "<</Type/Pages/Count 1/Kids[3 0 R]/MediaBox[0 0 300 400]/Resources<<>>>>".to_owned(),
        format!("<</Type/Page/Parent 2 0 R/Contents 4 0 R/Annots[5 0 R]{page}>>"),
        stream("", DRAWING),
        "<</Type/Annot/Subtype/Link/Rect[10 10 90 60]/Border[0 0 0]/A<</S/URI/URI(https://example.com/a\\(b\\))>>>>"
            .to_owned(),
        "<</Type/Outlines/First 7 0 R/Last 7 0 R/Count 1>>".to_owned(),
        "<</Title(Start)/Parent 6 0 R/Dest[3 0 R/Fit]>>".to_owned(),
    ])
}

async fn searchable(
    pdf_world: &PdfWorld,
    name: &str,
    format: DocumentFormat,
    bytes: &[u8],
    texts: Vec<Option<PageText>>,
) -> Vec<u8> {
    let file = pdf_world.program.path().join(name);
    std::fs::write(&file, bytes).expect("written");
    let pages = texts.len() as u32;
    let task = pdf_world.task_of(&[(file.to_str().expect("UTF-8"), format, pages)], None, texts).await;
    pdf_world.pdf(&task).await
}

/// Returns the text of a PDF's first page, and where its characters are in pixels.
fn glyphs(pdf: &[u8]) -> Vec<PageGlyph> {
    drop(documents());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("made.pdf");
    std::fs::write(&file, pdf).expect("written");
    let opened = std::fs::File::open(&file).expect("it is there");
    let library = quire_native_libs::pdfium(&quire_native_libs::Progress::Silent).expect("the PDFium library");
    let mut document = Document::open(opened, Some(library), DocumentLimits::default()).expect("a PDF");
    document.page_space(1).expect("a page").glyphs
}

/// Returns whether these bytes are in a PDF, or in one of its compressed streams.
fn has(pdf: &[u8], wanted: &str) -> bool {
    const KEYWORD: &[u8] = b"stream\n";
    let contains = |bytes: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted.as_bytes());
    let starts = pdf.windows(KEYWORD.len()).enumerate().filter(|(_, window)| *window == KEYWORD);
    let mut streams = starts.map(|(at, _)| {
        let mut decoded = Vec::new();
        // What follows the compressed data is ignored, and data that is not compressed is not decoded.
        let _ = flate2::read::ZlibDecoder::new(&pdf[at + KEYWORD.len()..]).read_to_end(&mut decoded);
        decoded
    });
    contains(pdf) || streams.any(|stream| contains(&stream))
}

#[tokio::test]
async fn text_is_where_it_was_read_on_pages_of_all_orientations() {
    let mut pdf_world = PdfWorld::new().await;
    pdf_world.start_worker();
    for (number, page) in [
        "",
        "/Rotate 90",
        "/Rotate 180/CropBox[20 30 220 330]",
        "/Rotate -90/CropBox[-50 30 220 1000]/UserUnit 2",
        "/CropBox[500 500 600 600]",
    ]
    .iter()
    .enumerate()
    {
        let source = drawing(page);
        let sent = seen(&source).remove(0);
        let (width, height) = (sent.width() as f32, sent.height() as f32);
        let place = rectangle(width * 0.25, height * 0.5, width * 0.75, height * 0.55);
        let read = page_of((sent.width(), sent.height()), &[("Total 12", place)]);
        let name = format!("{number}.pdf");
        let made = searchable(&pdf_world, &name, DocumentFormat::Pdf, &source, vec![Some(read)]).await;
        assert_eq!(text(&made), ["Total 12"], "{page}");
        assert!(difference(&seen(&made).remove(0), &sent) < SAME, "{page}: it looks the same");
        let glyphs = glyphs(&made);
        assert_eq!(glyphs.len(), 7);
        for glyph in &glyphs {
            let [x, y] = glyph.center;
            let is_inside = (place[0][0]..place[2][0]).contains(&x) && (place[0][1]..place[2][1]).contains(&y);
            assert!(is_inside, "{page}: {glyph:?} of {width} × {height}");
        }
        assert!(glyphs[0].center[0] < glyphs[6].center[0], "{page}: in the direction of the line");
        assert!(made.len() < source.len() + LAYER_BYTES, "{} for {}", made.len(), source.len());
    }
}

#[tokio::test]
async fn links_outlines_and_objects_in_streams_are_kept() {
    let mut pdf_world = PdfWorld::new().await;
    pdf_world.start_worker();
    let source = drawing("");
    let made = searchable(&pdf_world, "a.pdf", DocumentFormat::Pdf, &source, vec![None]).await;
    for wanted in ["https://example.com/a\\(b\\)", "Start", "UseOutlines"] {
        assert!(has(&made, wanted), "{wanted}");
    }
    // Made again of what was made, whose objects are in object streams: the text is not added twice.
    let sent = seen(&made).remove(0);
    let place = rectangle(100.0, 100.0, 300.0, 130.0);
    let read = || page_of((sent.width(), sent.height()), &[("Invoice 7", place)]);
    let again = searchable(&pdf_world, "b.pdf", DocumentFormat::Pdf, &made, vec![Some(read())]).await;
    let third = searchable(&pdf_world, "c.pdf", DocumentFormat::Pdf, &again, vec![Some(read())]).await;
    assert_eq!((text(&again), text(&third)), (vec!["Invoice 7".to_owned()], vec!["Invoice 7".to_owned()]));
    assert!(has(&third, "https://example.com/a\\(b\\)"));
}

/// Returns a photo without symmetry.
fn photo(width: u32, height: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| {
        let share = |value: u32, of: u32| (value * 255 / of) as u8;
        image::Rgb([share(x, width), share(y, height), share(x * y, width * height)])
    })
}

fn encoded(image: &image::DynamicImage, format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).expect("an image");
    bytes.into_inner()
}

/// Returns the page of an image as the engines see it.
fn decoded(bytes: &[u8], format: DocumentFormat) -> PageImage {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("image");
    std::fs::write(&file, bytes).expect("written");
    documents().page(&file, format, 1).expect("an image")
}

#[tokio::test]
async fn images_are_not_encoded_again() {
    let mut pdf_world = PdfWorld::new().await;
    pdf_world.start_worker();
    let photo = image::DynamicImage::from(photo(301, 207));
    let gray = image::DynamicImage::from(photo.to_luma8());
    let jpeg = encoded(&photo, image::ImageFormat::Jpeg);
    // EXIF with the orientation 6: to be turned clockwise.
    let exif = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let turned = [&jpeg[..2], exif, &jpeg[2..]].concat();
    for (name, format, bytes, limit) in [
        ("photo.jpg", DocumentFormat::Jpeg, jpeg, 2.0),
        ("turned.jpg", DocumentFormat::Jpeg, turned, 2.0),
        ("gray.jpg", DocumentFormat::Jpeg, encoded(&gray, image::ImageFormat::Jpeg), 2.0),
        ("photo.png", DocumentFormat::Png, encoded(&photo, image::ImageFormat::Png), SAME),
        ("gray.png", DocumentFormat::Png, encoded(&gray, image::ImageFormat::Png), SAME),
        ("wide.png", DocumentFormat::Png, encoded(&photo.to_rgb16().into(), image::ImageFormat::Png), 1.0),
        ("alpha.png", DocumentFormat::Png, encoded(&photo.to_rgba8().into(), image::ImageFormat::Png), SAME),
        ("photo.bmp", DocumentFormat::Bmp, encoded(&photo, image::ImageFormat::Bmp), SAME),
        ("photo.tif", DocumentFormat::Tiff, encoded(&photo, image::ImageFormat::Tiff), SAME),
    ] {
        let sent = decoded(&bytes, format);
        let (width, height) = (sent.width() as f32, sent.height() as f32);
        let place = rectangle(width * 0.1, height * 0.5, width * 0.9, height * 0.6);
        let read = page_of((sent.width(), sent.height()), &[("Total 12", place)]);
        let made = searchable(&pdf_world, name, format, &bytes, vec![Some(read)]).await;
        assert_eq!(text(&made), ["Total 12"], "{name}");
        let shown = seen(&made).remove(0);
        let difference = difference(&at_size_of(&made, &sent), &sent);
        assert!(difference <= limit, "{name}: {difference} of 255, {shown:?} for {sent:?}");
        assert!(made.len() < bytes.len() * 11 / 10 + LAYER_BYTES, "{name}: {} for {}", made.len(), bytes.len());
    }
}

/// Renders the first page in the size of an image: in that of its own pixels.
fn at_size_of(pdf: &[u8], image: &PageImage) -> PageImage {
    use pdfium_render::prelude::{PdfBitmapFormat, PdfRenderConfig, Pdfium};
    drop(documents());
    let pdfium = Pdfium::default();
    let document = pdfium.load_pdf_from_byte_vec(pdf.to_vec(), None).expect("a PDF");
    let config = PdfRenderConfig::new()
        .set_fixed_size(image.width() as i32, image.height() as i32)
        .set_format(PdfBitmapFormat::BGRA)
        .set_reverse_byte_order(false);
    let page = document.pages().get(0).expect("a page");
    let bitmap = page.render_with_config(&config).expect("rendered");
    let pixels = bitmap.as_raw_bytes().chunks_exact(4).flat_map(|pixel| pixel[..3].to_vec()).collect();
    PageImage::new(image.width(), image.height(), pixels)
}

/// Returns a PDF of one page with a square on a layer that is hidden.
fn hidden_layer() -> Vec<u8> {
    let page = "<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</Properties<</L 5 0 R>>>>/MediaBox[0 0 300 400]>>";
    pdf_of(&[
        "<</Type/Catalog/Pages 2 0 R/OCProperties<</OCGs[5 0 R]/D<</OFF[5 0 R]/Order[5 0 R]>>>>>>".to_owned(),
        "<</Type/Pages/Count 1/Kids[3 0 R]>>".to_owned(),
        page.to_owned(),
        stream("", "/OC/L BDC 0 0 200 200 re f EMC 220 220 50 50 re f"),
        "<</Type/OCG/Name(Hidden)>>".to_owned(),
    ])
}

#[tokio::test]
async fn documents_of_a_task_keep_their_links_and_their_looks() {
    let mut pdf_world = PdfWorld::new().await;
    pdf_world.start_worker();
    let mut samples = Vec::new();
    for (name, bytes) in [("a.pdf", drawing("/Rotate 90")), ("b.pdf", hidden_layer()), ("c.pdf", hidden_layer())] {
        let file = pdf_world.program.path().join(name);
        std::fs::write(&file, bytes).expect("written");
        samples.push(file.to_str().expect("UTF-8").to_owned());
    }
    let samples: Vec<_> = samples.iter().map(|file| (file.as_str(), DocumentFormat::Pdf, 1)).collect();
    let size = seen(&hidden_layer()).remove(0);
    let place = rectangle(100.0, 100.0, 300.0, 130.0);
    let read = || Some(page_of((size.width(), size.height()), &[("Invoice 7", place)]));
    let task = pdf_world.task_of(&samples, None, vec![None, read(), read()]).await;
    let made = pdf_world.pdf(&task).await;
    assert_eq!(text(&made), ["", "Invoice 7", "Invoice 7"]);
    assert!(has(&made, "https://example.com/a\\(b\\)"));
    let sent = [drawing("/Rotate 90"), hidden_layer(), hidden_layer()].map(|source| seen(&source).remove(0));
    let differences: Vec<f64> = seen(&made).iter().zip(&sent).map(|(made, sent)| difference(made, sent)).collect();
    // The layers of the third one cannot be merged with those of the second one: it is rendered.
    assert!(differences[0] < SAME && differences[1] < SAME && differences[2] < 1.0, "{differences:?}");
}

#[tokio::test]
async fn an_encrypted_pdf_that_opens_without_a_password_is_copied() {
    let mut pdf_world = PdfWorld::new().await;
    pdf_world.start_worker();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/document/tests/fixtures");
    let source = std::fs::read(folder.join("owner-password.pdf")).expect("the fixture is there");
    let sent = seen(&source).remove(0);
    let place = rectangle(100.0, 100.0, 300.0, 130.0);
    let read = page_of((sent.width(), sent.height()), &[("Invoice 7", place)]);
    let made = searchable(&pdf_world, "owner.pdf", DocumentFormat::Pdf, &source, vec![Some(read)]).await;
    assert!(has(&source, "/Encrypt") && !has(&made, "/Encrypt"));
    assert!(text(&made)[0].ends_with("Invoice 7"));
    assert!(difference(&seen(&made).remove(0), &sent) < SAME);
}

#[tokio::test]
async fn a_fax_keeps_its_bits() {
    let mut pdf_world = PdfWorld::new().await;
    pdf_world.start_worker();
    let file = samples_folder().join("scan.tiff");
    let bytes = std::fs::read(&file).expect("the sample is there");
    let sent: Vec<_> =
        (1..=2).map(|page| documents().page(&file, DocumentFormat::Tiff, page).expect("a page")).collect();
    let made = searchable(&pdf_world, "scan.tiff", DocumentFormat::Tiff, &bytes, vec![None, None]).await;
    for (made, sent) in seen(&made).iter().zip(&sent) {
        assert!(difference(made, sent) < SAME);
    }
    assert!(has(&made, "/CCITTFaxDecode"));
    assert!(made.len() < bytes.len() * 11 / 10, "{} for {}", made.len(), bytes.len());
}

#[tokio::test]
#[ignore = "needs the program qpdf: `.ci/run` runs it where it is installed"]
async fn qpdf_finds_no_error() {
    let mut pdf_world = PdfWorld::new().await;
    pdf_world.start_worker();
    let invoice = std::fs::read(samples_folder().join("invoice.pdf")).expect("the sample is there");
    let photo = image::DynamicImage::from(photo(301, 207));
    for (name, format, bytes) in [
        ("drawing.pdf", DocumentFormat::Pdf, drawing("/Rotate 90")),
        ("layer.pdf", DocumentFormat::Pdf, hidden_layer()),
        ("invoice.pdf", DocumentFormat::Pdf, invoice),
        ("photo.png", DocumentFormat::Png, encoded(&photo, image::ImageFormat::Png)),
        ("photo.jpg", DocumentFormat::Jpeg, encoded(&photo, image::ImageFormat::Jpeg)),
    ] {
        let read = page_of((0, 0), &[("Invoice 发票 7", rectangle(100.0, 100.0, 300.0, 130.0))]);
        let made = searchable(&pdf_world, name, format, &bytes, vec![Some(read)]).await;
        let file = pdf_world.program.path().join("made.pdf");
        std::fs::write(&file, made).expect("written");
        let checked = std::process::Command::new("qpdf").arg("--check").arg(&file).output().expect("qpdf runs");
        assert!(checked.status.success(), "{name}: {}", String::from_utf8_lossy(&checked.stderr));
    }
}
