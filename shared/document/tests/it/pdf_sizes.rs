//! The resolution of PDF pages.

use quire_document::PageImage;
use quire_tasks::DocumentFormat;

use crate::files::{BLACK, RED, WHITE, documents, file, page, pdf, pdf_of_objects, pixel, size};

fn rendered(bytes: &[u8]) -> PageImage {
    page(bytes, DocumentFormat::Pdf, 1).expect("renders")
}

/// A PDF with one page of this size in points, whose resources are these, and further objects from 5.
fn pdf_with(page: &str, resources: &str, content: &str, objects: &[String]) -> Vec<u8> {
    let mut all = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Count 1 /Kids [3 0 R] >>".to_owned(),
        format!("<< /Type /Page {page} /Parent 2 0 R /Contents 4 0 R /Resources << {resources} >> >>"),
        stream("", content),
    ];
    all.extend_from_slice(objects);
    pdf_of_objects(&all)
}

fn stream(dictionary: &str, content: &str) -> String {
    format!("<< {dictionary} /Length {} >>\nstream\n{content}\nendstream", content.len())
}

/// An image of black and white stripes, eight pixels wide each (the bytes of `@`, 0100 0000, are black and white).
fn image(width: usize, height: usize) -> String {
    let dictionary = format!(
        "/Type /XObject /Subtype /Image /Width {width} /Height {height} /ColorSpace /DeviceGray /BitsPerComponent 1"
    );
    stream(&dictionary, &"@".repeat(width / 8 * height))
}

#[test]
fn a_scan_on_a_small_page_keeps_its_pixels() {
    let content = "q 100 0 0 66 0 0 cm /Im Do Q";
    let bytes = pdf_with("/MediaBox [0 0 100 66]", "/XObject << /Im 5 0 R >>", content, &[image(2_000, 1_320)]);
    let page = rendered(&bytes);
    assert_eq!(size(&page), (2_000, 1_320));
    // One pixel of the image is one pixel of the page.
    assert_eq!((pixel(&page, 8, 700), pixel(&page, 9, 700), pixel(&page, 10, 700)), (BLACK, WHITE, BLACK));
}

#[test]
fn a_scan_within_a_form_keeps_its_pixels() {
    let form = stream(
        "/Type /XObject /Subtype /Form /BBox [0 0 1000 660] /Matrix [0.1 0 0 0.1 0 0] \
         /Resources << /XObject << /Im 5 0 R >> >>",
        "q 1000 0 0 660 0 0 cm /Im Do Q",
    );
    let objects = [image(2_000, 1_320), form];
    let bytes = pdf_with("/MediaBox [0 0 100 66]", "/XObject << /Fm 6 0 R >>", "/Fm Do", &objects);
    assert_eq!(size(&rendered(&bytes)), (2_000, 1_320));
}

#[test]
fn a_small_logo_does_not_determine_the_resolution() {
    let content = "q 20 0 0 20 0 0 cm /Im Do Q";
    let bytes = pdf_with("/MediaBox [0 0 100 66]", "/XObject << /Im 5 0 R >>", content, &[image(2_000, 2_000)]);
    assert_eq!(size(&rendered(&bytes)), (1_000, 660));
}

#[test]
fn a_page_in_another_unit_is_rendered_like_one_in_points() {
    let font = "/Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>";
    let page = |size: &str, points: f32| {
        let content = format!("BT /F {points} Tf 1 1 Td (Total) Tj ET");
        rendered(&pdf_with(size, font, &content, &[]))
    };
    assert_eq!(size(&page("/MediaBox [0 0 595 842]", 12.0)), (1_653, 2_339));
    assert_eq!(size(&page("/MediaBox [0 0 59.5 84.2] /UserUnit 10", 1.2)), (1_653, 2_339));
    assert_eq!(size(&page("/MediaBox [0 0 5.95 8.42]", 0.12)), (1_653, 2_339));
    assert_eq!(size(&page("/MediaBox [0 0 59.5 84.2]", 12.0)), (707, 1_000), "a label with large type");
}

#[test]
fn the_text_layer_of_a_scan_does_not_determine_the_resolution() {
    let font = "/Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>";
    let content = "BT 3 Tr /F 1 Tf 1 1 Td (Total) Tj ET";
    assert_eq!(size(&rendered(&pdf_with("/MediaBox [0 0 59.5 84.2]", font, content, &[]))), (707, 1_000));
}

#[test]
fn a_crop_box_outside_of_the_media_box_is_ignored() {
    let red = "1 0 0 rg 0 0 90 180 re f";
    let own = pdf(&[("/MediaBox [0 0 180 360] /CropBox [2000 2000 2500 2500]", red)]);
    let inherited = pdf_of_objects(&[
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Count 1 /Kids [3 0 R] /MediaBox [0 0 180 360] /CropBox [-50 -50 -10 -10] >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>".to_owned(),
        stream("", red),
    ]);
    for bytes in [own, inherited] {
        let page = rendered(&bytes);
        assert_eq!(size(&page), (500, 1_000));
        assert_eq!((pixel(&page, 10, 990), pixel(&page, 10, 10), pixel(&page, 490, 990)), (RED, WHITE, WHITE));
    }
}

#[test]
fn the_resolution_is_that_of_the_rendered_page() {
    let scan = pdf_with(
        "/MediaBox [0 0 100 66]",
        "/XObject << /Im 5 0 R >>",
        "q 100 0 0 66 0 0 cm /Im Do Q",
        &[image(2_000, 1_320)],
    );
    let cropped = pdf(&[("/MediaBox [0 0 180 360] /CropBox [2000 2000 2500 2500]", "")]);
    for (bytes, width) in [(scan, 100.0), (cropped, 180.0), (pdf(&[("/MediaBox [0 0 595 842]", "")]), 595.0)] {
        let file = file(&bytes);
        let mut documents = documents();
        let before = documents.dpi(file.path(), DocumentFormat::Pdf, 1).expect("a resolution");
        let page = documents.page(file.path(), DocumentFormat::Pdf, 1).expect("renders");
        let after = documents.dpi(file.path(), DocumentFormat::Pdf, 1).expect("a resolution");
        assert!((before - after).abs() < 0.01, "{before} {after}");
        let points = page.width() as f32 * 72.0 / after;
        assert!((points - width).abs() < 0.2, "{points} {width}");
    }
}
