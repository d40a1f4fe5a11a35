//! Rendering of PDFs by pdfium.

use quire_document::PageImage;
use quire_tasks::{DocumentFormat, FailureCode, SplitDocument};

use crate::files::{RED, WHITE, documents, file, fixture, inspect, page, pdf, pdf_of_objects, pixel, refusal, size};

/// Red in the lower left quarter of a page of 180 × 360 points.
const RED_CORNER: &str = "1 0 0 rg 0 0 90 180 re f";
const SMALL: &str = "/MediaBox [0 0 180 360]";

fn rendered(extra: &str, content: &str) -> PageImage {
    page(&pdf(&[(extra, content)]), DocumentFormat::Pdf, 1).expect("renders")
}

#[test]
fn a_page_is_rendered_upright_in_color_on_white() {
    let page = rendered(SMALL, RED_CORNER);
    assert_eq!(size(&page), (500, 1000));
    assert_eq!((page.page_width(), page.page_height()), size(&page));
    assert_eq!((pixel(&page, 10, 990), pixel(&page, 10, 10), pixel(&page, 490, 990)), (RED, WHITE, WHITE));
}

#[test]
fn rows_have_no_padding_at_any_width() {
    // Widths of 278 to 281 pixels cover every amount of padding.
    for width in ["100", "100.4", "100.8", "101.1"] {
        let page = rendered(&format!("/MediaBox [0 0 {width} 400]"), "1 0 0 rg 0 0 50 400 re f");
        for y in 0..page.height() {
            assert_eq!((pixel(&page, 2, y), pixel(&page, page.width() - 1, y)), (RED, WHITE), "{width}, row {y}");
        }
    }
}

#[test]
fn a_rotated_page_is_rotated() {
    let page = rendered(&format!("{SMALL} /Rotate 90"), RED_CORNER);
    assert_eq!(size(&page), (1000, 500));
    assert_eq!((pixel(&page, 10, 10), pixel(&page, 10, 490)), (RED, WHITE), "lower left becomes upper left");
}

#[test]
fn a_cropped_page_is_cropped() {
    let page = rendered(&format!("{SMALL} /CropBox [0 0 90 180]"), RED_CORNER);
    assert_eq!(size(&page), (500, 1000));
    assert_eq!((pixel(&page, 2, 2), pixel(&page, 497, 997)), (RED, RED));
}

#[test]
fn form_fields_are_rendered_with_their_values() {
    let page = documents().page(&fixture("form.pdf"), DocumentFormat::Pdf, 1).expect("renders");
    let dark = page.pixels().chunks_exact(3).filter(|pixel| pixel.iter().all(|value| *value < 100)).count();
    assert!(dark > 500, "{dark} dark pixels");
}

#[test]
fn pages_of_any_size_are_rendered() {
    for (width, height, expected) in
        [(1, 14_400, (2, 30_000)), (14_400, 14_400, (4_000, 4_000)), (1, 1, (1_000, 1_000))]
    {
        let page = rendered(&format!("/MediaBox [0 0 {width} {height}]"), "1 0 0 rg 0 0 20000 20000 re f");
        assert_eq!(size(&page), expected);
        assert_eq!(pixel(&page, 0, expected.1 / 2), RED);
    }
}

#[test]
fn pages_can_be_rendered_in_any_order_from_alternating_documents() {
    let reds: Vec<String> = (0..40).map(|page| format!("1 0 0 rg 0 0 100 {} re f", 9 * (page + 1))).collect();
    let pages: Vec<(&str, &str)> = reds.iter().map(|content| (SMALL, content.as_str())).collect();
    let (long, other) = (file(&pdf(&pages)), file(&pdf(&[(SMALL, "")])));
    let mut documents = documents();
    assert_eq!(documents.inspect(long.path()), Ok(SplitDocument { format: DocumentFormat::Pdf, pages: 40 }));
    for number in [40, 1, 20] {
        let page = documents.page(long.path(), DocumentFormat::Pdf, number).expect("renders");
        let red = (0..page.height()).filter(|y| pixel(&page, 5, *y) == RED).count() as u32;
        assert!(red.abs_diff(number * 25) < 3, "{red} red rows on page {number}");
        let blank = documents.page(other.path(), DocumentFormat::Pdf, 1).expect("renders");
        assert!(blank.pixels().iter().all(|value| *value == 255));
    }
    for wrong in [0, 41, u32::MAX] {
        assert_eq!(refusal(documents.page(long.path(), DocumentFormat::Pdf, wrong)), FailureCode::UnreadablePage);
    }
}

#[test]
fn a_replaced_file_is_opened_again() {
    let file = file(&pdf(&[(SMALL, "")]));
    let mut documents = documents();
    assert_eq!(size(&documents.page(file.path(), DocumentFormat::Pdf, 1).expect("renders")), (500, 1000));
    std::fs::write(file.path(), pdf(&[("/MediaBox [0 0 72 72]", "")])).expect("writes");
    assert_eq!(size(&documents.page(file.path(), DocumentFormat::Pdf, 1).expect("renders")), (1000, 1000));
}

#[test]
fn only_pdfs_with_a_user_password_are_refused() {
    let mut documents = documents();
    assert_eq!(refusal(documents.inspect(&fixture("password.pdf"))), FailureCode::EncryptedDocument);
    assert_eq!(
        refusal(documents.page(&fixture("password.pdf"), DocumentFormat::Pdf, 1)),
        FailureCode::EncryptedDocument
    );
    let open = fixture("owner-password.pdf");
    assert_eq!(documents.inspect(&open), Ok(SplitDocument { format: DocumentFormat::Pdf, pages: 1 }));
    let page = documents.page(&open, DocumentFormat::Pdf, 1).expect("renders");
    assert!(page.pixels().iter().any(|value| *value < 100), "its text is visible");
}

#[test]
fn an_invalid_cross_reference_table_is_repaired() {
    // Bytes before the header shift all objects away from the offsets in the table.
    let bytes = [&b"\n".repeat(7)[..], &pdf(&[(SMALL, RED_CORNER)])].concat();
    let start = bytes.windows(9).position(|bytes| bytes == b"startxref").expect("the end of the PDF");
    for broken in [bytes.clone(), [&bytes[..start], b"startxref\n12\n%%EOF"].concat()] {
        assert_eq!(inspect(&broken), Ok(SplitDocument { format: DocumentFormat::Pdf, pages: 1 }));
        assert_eq!(pixel(&page(&broken, DocumentFormat::Pdf, 1).expect("renders"), 10, 990), RED);
    }
}

#[test]
fn a_pdf_without_pages_or_objects_is_refused() {
    assert_eq!(refusal(inspect(&pdf(&[]))), FailureCode::UnreadableDocument);
    let half = pdf(&[(SMALL, RED_CORNER)]);
    assert_eq!(refusal(inspect(&half[..60])), FailureCode::UnreadableDocument);
}

#[test]
fn a_missing_page_does_not_affect_other_pages() {
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Count 3 /Kids [3 0 R 99 0 R 4 0 R] >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 180 360] >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 72 72] >>",
    ];
    let file = file(&pdf_of_objects(&objects.map(str::to_owned)));
    let mut documents = documents();
    assert_eq!(documents.inspect(file.path()).map(|split| split.pages), Ok(3));
    let failure = documents.page(file.path(), DocumentFormat::Pdf, 2).expect_err("the page object is missing");
    assert_eq!(failure.code, FailureCode::UnreadablePage);
    assert_eq!(size(&documents.page(file.path(), DocumentFormat::Pdf, 1).expect("renders")), (500, 1000));
    assert_eq!(size(&documents.page(file.path(), DocumentFormat::Pdf, 3).expect("renders")), (1000, 1000));
}

#[test]
fn content_before_invalid_operators_is_rendered() {
    let page = rendered(SMALL, &format!("{RED_CORNER} BT /None 12 Tf (lost Tj ] >> 1 0 0 0 0"));
    assert_eq!(pixel(&page, 10, 990), RED);
}

#[test]
fn several_threads_can_render_at_once() {
    let file = file(&pdf(&[(SMALL, RED_CORNER)]));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut documents = documents();
                for _ in 0..20 {
                    assert_eq!(documents.inspect(file.path()).map(|split| split.pages), Ok(1));
                    assert_eq!(refusal(documents.inspect(&fixture("password.pdf"))), FailureCode::EncryptedDocument);
                    let page = documents.page(file.path(), DocumentFormat::Pdf, 1).expect("renders");
                    assert_eq!(pixel(&page, 10, 990), RED);
                }
            });
        }
    });
}
