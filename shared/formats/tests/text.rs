//! A PDF that we made, and the text that a viewer finds in it.

use std::sync::OnceLock;

use pdfium_render::prelude::{PdfDocument, PdfRect, Pdfium};
use quire_formats::{Picture, SearchablePdf, Sheet};
use quire_native_libs::Progress;
use quire_tasks::{EngineName, Line, PageText, Polygon};

const WIDTH: u32 = 1000;
const HEIGHT: u32 = 1400;
/// So that a pixel is a point.
const DPI: f32 = 72.0;

fn pdfium() -> &'static Pdfium {
    static PDFIUM: OnceLock<Pdfium> = OnceLock::new();
    PDFIUM.get_or_init(|| {
        let library = quire_native_libs::pdfium(&Progress::Silent).expect("pdfium is to be had");
        Pdfium::new(Pdfium::bind_to_library(library).expect("it fits"))
    })
}

fn line(text: &str, polygon: Polygon) -> Line {
    Line { text: text.to_owned(), confidence: Some(0.9), polygon: Some(polygon) }
}

fn read(rotation: u16, lines: Vec<Line>) -> PageText {
    let engine: EngineName = "test@1".parse().expect("a name");
    PageText::from_lines(engine, WIDTH, HEIGHT, rotation, lines)
}

fn white() -> Vec<u8> {
    let mut jpeg = Vec::new();
    let pixels = vec![255; (WIDTH * HEIGHT) as usize];
    let encoder = image::codecs::jpeg::JpegEncoder::new(&mut jpeg);
    let written = image::ImageEncoder::write_image(encoder, &pixels, WIDTH, HEIGHT, image::ExtendedColorType::L8);
    written.expect("a JPEG");
    jpeg
}

fn made(pages: &[Option<PageText>]) -> PdfDocument<'static> {
    let jpeg = white();
    let picture = Some(Picture { jpeg: &jpeg, width: WIDTH, height: HEIGHT, is_gray: true });
    let mut pdf = SearchablePdf::new(Vec::new()).expect("memory takes everything");
    for page in pages {
        let sheet = Sheet { width: WIDTH, height: HEIGHT, dpi: DPI, picture };
        pdf.page(&sheet, page.as_ref()).expect("memory takes everything");
    }
    let bytes = pdf.finish("Test").expect("memory takes everything");
    pdfium().load_pdf_from_byte_vec(bytes, None).expect("a PDF")
}

fn text(pdf: &PdfDocument<'_>, page: i32) -> String {
    let page = pdf.pages().get(page).expect("a page");
    // Character by character: what the binding takes for the whole page is of a turned one only a part.
    let found = page.text().expect("text");
    let all: String = found.chars().iter().filter_map(|character| character.unicode_string()).collect();
    all.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Where the characters of a page are, all together, from its lower left corner.
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

fn near(found: [f32; 4], wanted: [f32; 4]) {
    let close = found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 6.0);
    assert!(close, "{found:?} for {wanted:?}");
}

#[test]
fn text_is_found_and_copied_in_order_where_it_stands() {
    let first = line("Invoice 发票 No. 7", [[100.0, 100.0], [500.0, 100.0], [500.0, 140.0], [100.0, 140.0]]);
    let second =
        line("Total: ¥ 1,234.50 (VAT incl.)", [[100.0, 200.0], [700.0, 200.0], [700.0, 240.0], [100.0, 240.0]]);
    let pdf = made(&[Some(read(0, vec![first.clone(), second])), None, Some(read(0, vec![first]))]);
    assert_eq!(pdf.pages().len(), 3);
    assert_eq!(text(&pdf, 0), "Invoice 发票 No. 7\nTotal: ¥ 1,234.50 (VAT incl.)");
    assert_eq!(text(&pdf, 1), "", "a page that was not read");
    assert_eq!(text(&pdf, 2), "Invoice 发票 No. 7");
    near(bounds(&pdf, 2), [100.0, 1260.0, 500.0, 1300.0]);
}

/// The same two lines on a page that was scanned on its side or its head: their corners begin where the text does.
#[test]
fn text_of_a_page_that_was_scanned_turned_is_copied_in_order_and_shown_upright() {
    let (wide, high) = (WIDTH as f32, HEIGHT as f32);
    let up = |top: f32, length: f32| [[100.0, top], [length, top], [length, top + 40.0], [100.0, top + 40.0]];
    for rotation in [90, 180, 270] {
        // From where it stands when the page is upright, which is as high as it was wide, to where it was scanned.
        let back = move |[x, y]: [f32; 2]| match rotation {
            90 => [y, high - x],
            180 => [wide - x, high - y],
            _ => [wide - y, x],
        };
        let placed = |text: &str, top, length| line(text, up(top, length).map(back));
        let lines = vec![placed("The first line", 100.0, 600.0), placed("and the second", 160.0, 600.0)];
        let pdf = made(&[Some(read(rotation, lines))]);
        assert_eq!(text(&pdf, 0), "The first line\nand the second", "{rotation}");
        let page = pdf.pages().get(0).expect("a page");
        let shown = (page.width().value, page.height().value);
        let upright = if rotation == 180 { (wide, high) } else { (high, wide) };
        assert_eq!(shown, upright, "{rotation}: shown as it is to be read");
        let corners = up(100.0, 600.0).into_iter().chain(up(160.0, 600.0)).map(back);
        let corners: Vec<[f32; 2]> = corners.map(|[x, y]| [x, high - y]).collect();
        let low = |axis: usize| corners.iter().map(|corner| corner[axis]).fold(f32::INFINITY, f32::min);
        let top = |axis: usize| corners.iter().map(|corner| corner[axis]).fold(f32::NEG_INFINITY, f32::max);
        near(bounds(&pdf, 0), [low(0), low(1), top(0), top(1)]);
    }
}

#[test]
fn a_slanted_line_is_found_and_one_without_a_place_too() {
    let slanted = line("slightly askew", [[100.0, 300.0], [600.0, 330.0], [598.0, 370.0], [98.0, 340.0]]);
    let nowhere = Line { polygon: None, ..line("somewhere", [[0.0; 2]; 4]) };
    let found = text(&made(&[Some(read(0, vec![slanted, nowhere]))]), 0);
    assert!(found.contains("slightly askew") && found.contains("somewhere"), "{found}");
}

#[test]
fn a_page_that_cannot_be_seen_has_its_text_all_the_same() {
    let mut pdf = SearchablePdf::new(Vec::new()).expect("memory takes everything");
    let sheet = Sheet { width: WIDTH, height: HEIGHT, dpi: DPI, picture: None };
    let read = read(0, vec![line("written by hand", [[100.0, 100.0], [500.0, 100.0], [500.0, 140.0], [100.0, 140.0]])]);
    pdf.page(&sheet, Some(&read)).expect("memory takes everything");
    let bytes = pdf.finish("Test").expect("memory takes everything");
    let pdf = pdfium().load_pdf_from_byte_vec(bytes, None).expect("a PDF");
    assert_eq!(text(&pdf, 0), "written by hand");
}
