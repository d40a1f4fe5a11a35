//! The text that pdfium extracts from a searchable PDF.

use std::sync::OnceLock;

use pdfium_render::prelude::{PdfDocument, PdfRect, Pdfium};
use quire_formats::{PdfImage, PdfPage, SearchablePdf};
use quire_native_libs::Progress;
use quire_tasks::{EngineName, Line, PageText, Polygon};

const WIDTH: u32 = 1000;
const HEIGHT: u32 = 1400;
/// One pixel is one PDF point.
const DPI: f32 = 72.0;

fn pdfium() -> &'static Pdfium {
    static PDFIUM: OnceLock<Pdfium> = OnceLock::new();
    PDFIUM.get_or_init(|| {
        let library = quire_native_libs::pdfium(&Progress::Silent).expect("pdfium is available");
        Pdfium::new(Pdfium::bind_to_library(library).expect("the library can be bound"))
    })
}

fn line(text: &str, polygon: Polygon) -> Line {
    Line { text: text.to_owned(), confidence: Some(0.9), polygon: Some(polygon), ..Line::default() }
}

fn page_text(rotation: u16, lines: Vec<Line>) -> PageText {
    let engine: EngineName = "test@1".parse().expect("a valid engine name");
    PageText::from_lines(engine, WIDTH, HEIGHT, rotation, lines)
}

fn white_jpeg() -> Vec<u8> {
    let mut jpeg = Vec::new();
    let pixels = vec![255; (WIDTH * HEIGHT) as usize];
    let encoder = image::codecs::jpeg::JpegEncoder::new(&mut jpeg);
    let written = image::ImageEncoder::write_image(encoder, &pixels, WIDTH, HEIGHT, image::ExtendedColorType::L8);
    written.expect("a JPEG");
    jpeg
}

fn build_pdf(pages: &[Option<PageText>]) -> PdfDocument<'static> {
    let jpeg = white_jpeg();
    let picture = Some(PdfImage { jpeg: &jpeg, width: WIDTH, height: HEIGHT, is_gray: true });
    let mut pdf = SearchablePdf::new(Vec::new()).expect("writing to memory cannot fail");
    for text in pages {
        let page = PdfPage { width: WIDTH, height: HEIGHT, dpi: DPI, picture };
        pdf.page(&page, text.as_ref()).expect("writing to memory cannot fail");
    }
    let bytes = pdf.finish("Test").expect("writing to memory cannot fail");
    pdfium().load_pdf_from_byte_vec(bytes, None).expect("a PDF")
}

fn extract_text(pdf: &PdfDocument<'_>, page: i32) -> String {
    let page = pdf.pages().get(page).expect("a page");
    // Character by character: for a rotated page, the binding returns only a part of the whole text.
    let found = page.text().expect("text");
    let all: String = found.chars().iter().filter_map(|character| character.unicode_string()).collect();
    all.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Returns left, bottom, right and top of all characters of a page, from its lower left corner.
fn bounds(pdf: &PdfDocument<'_>, page: i32) -> [f32; 4] {
    let page = pdf.pages().get(page).expect("a page");
    let text = page.text().expect("text");
    let boxes: Vec<PdfRect> = text.chars().iter().filter_map(|character| character.loose_bounds().ok()).collect();
    let low = |side: fn(&PdfRect) -> f32| boxes.iter().map(side).fold(f32::INFINITY, f32::min);
    let high = |side: fn(&PdfRect) -> f32| boxes.iter().map(side).fold(f32::NEG_INFINITY, f32::max);
    [
        low(|bounds| bounds.left().value),
        low(|bounds| bounds.bottom().value),
        high(|bounds| bounds.right().value),
        high(|bounds| bounds.top().value),
    ]
}

fn assert_near(found: [f32; 4], wanted: [f32; 4]) {
    let close = found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 6.0);
    assert!(close, "{found:?} instead of {wanted:?}");
}

#[test]
fn text_is_extracted_in_order_and_at_its_position() {
    let first = line("Invoice 发票 No. 7", [[100.0, 100.0], [500.0, 100.0], [500.0, 140.0], [100.0, 140.0]]);
    let second =
        line("Total: ¥ 1,234.50 (VAT incl.)", [[100.0, 200.0], [700.0, 200.0], [700.0, 240.0], [100.0, 240.0]]);
    let pdf = build_pdf(&[Some(page_text(0, vec![first.clone(), second])), None, Some(page_text(0, vec![first]))]);
    assert_eq!(pdf.pages().len(), 3);
    assert_eq!(extract_text(&pdf, 0), "Invoice 发票 No. 7\nTotal: ¥ 1,234.50 (VAT incl.)");
    assert_eq!(extract_text(&pdf, 1), "", "a page without text");
    assert_eq!(extract_text(&pdf, 2), "Invoice 发票 No. 7");
    assert_near(bounds(&pdf, 2), [100.0, 1260.0, 500.0, 1300.0]);
}

/// The same two lines on a page that was scanned sideways or upside down. Polygons begin at the start of the text.
#[test]
fn text_of_a_rotated_scan_is_extracted_in_order_and_shown_upright() {
    let (wide, high) = (WIDTH as f32, HEIGHT as f32);
    let up = |top: f32, length: f32| [[100.0, top], [length, top], [length, top + 40.0], [100.0, top + 40.0]];
    for rotation in [90, 180, 270] {
        // From the position on the upright page, whose height is the width of the scan, to the position in the scan.
        let back = move |[x, y]: [f32; 2]| match rotation {
            90 => [y, high - x],
            180 => [wide - x, high - y],
            _ => [wide - y, x],
        };
        let placed = |text: &str, top, length| line(text, up(top, length).map(back));
        let lines = vec![placed("The first line", 100.0, 600.0), placed("and the second", 160.0, 600.0)];
        let pdf = build_pdf(&[Some(page_text(rotation, lines))]);
        assert_eq!(extract_text(&pdf, 0), "The first line\nand the second", "{rotation}");
        let page = pdf.pages().get(0).expect("a page");
        let shown = (page.width().value, page.height().value);
        let upright = if rotation == 180 { (wide, high) } else { (high, wide) };
        assert_eq!(shown, upright, "{rotation}: the page is shown upright");
        let corners = up(100.0, 600.0).into_iter().chain(up(160.0, 600.0)).map(back);
        let corners: Vec<[f32; 2]> = corners.map(|[x, y]| [x, high - y]).collect();
        let low = |axis: usize| corners.iter().map(|corner| corner[axis]).fold(f32::INFINITY, f32::min);
        let top = |axis: usize| corners.iter().map(|corner| corner[axis]).fold(f32::NEG_INFINITY, f32::max);
        assert_near(bounds(&pdf, 0), [low(0), low(1), top(0), top(1)]);
    }
}

#[test]
fn slanted_lines_and_lines_without_a_position_are_extracted() {
    let slanted = line("slightly askew", [[100.0, 300.0], [600.0, 330.0], [598.0, 370.0], [98.0, 340.0]]);
    let nowhere = Line { polygon: None, ..line("somewhere", [[0.0; 2]; 4]) };
    let found = extract_text(&build_pdf(&[Some(page_text(0, vec![slanted, nowhere]))]), 0);
    assert!(found.contains("slightly askew") && found.contains("somewhere"), "{found}");
}

#[test]
fn a_page_without_an_image_has_its_text() {
    let mut pdf = SearchablePdf::new(Vec::new()).expect("writing to memory cannot fail");
    let page = PdfPage { width: WIDTH, height: HEIGHT, dpi: DPI, picture: None };
    let polygon = [[100.0, 100.0], [500.0, 100.0], [500.0, 140.0], [100.0, 140.0]];
    let text = page_text(0, vec![line("written by hand", polygon)]);
    pdf.page(&page, Some(&text)).expect("writing to memory cannot fail");
    let bytes = pdf.finish("Test").expect("writing to memory cannot fail");
    let pdf = pdfium().load_pdf_from_byte_vec(bytes, None).expect("a PDF");
    assert_eq!(extract_text(&pdf, 0), "written by hand");
}
