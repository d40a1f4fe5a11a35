//! PDFs that are not quite PDFs.

use quire_tasks::{DocumentFormat, FailureCode, SplitDocument};

use crate::files::{RED, inspect, page, pdf, pixel, refusal, size};

const SMALL: &str = "/MediaBox [0 0 180 360]";
const RED_CORNER: &str = "1 0 0 rg 0 0 90 180 re f";

fn two_pages() -> Vec<u8> {
    pdf(&[(SMALL, ""), (SMALL, RED_CORNER)])
}

fn assert_second_page_is_red(bytes: &[u8], what: &str) {
    assert_eq!(inspect(bytes), Ok(SplitDocument { format: DocumentFormat::Pdf, pages: 2 }), "{what}");
    let page = page(bytes, DocumentFormat::Pdf, 2).expect("renders");
    assert_eq!((size(&page), pixel(&page, 10, 990)), ((500, 1_000), RED), "{what}");
}

fn position(bytes: &[u8], word: &[u8]) -> usize {
    bytes.windows(word.len()).position(|window| window == word).expect("the word is there")
}

#[test]
fn bytes_before_the_header_are_skipped() {
    for before in [7, 1_024, 1_025, 2_000, 8_192] {
        let bytes = [b"X-Spam: no\r\n".repeat(1_000)[..before].to_vec(), two_pages()].concat();
        assert_second_page_is_red(&bytes, &format!("{before} bytes"));
    }
    let text = [vec![b' '; 8_193], two_pages()].concat();
    assert_eq!(refusal(inspect(&text)), FailureCode::UnsupportedFormat);
}

#[test]
fn a_pdf_without_an_end_is_read() {
    let bytes = two_pages();
    let without_table = &bytes[..position(&bytes, b"xref\n")];
    assert_second_page_is_red(without_table, "no table and no trailer");
    assert_second_page_is_red(&bytes[..position(&bytes, b"trailer")], "no trailer");
    let shifted = [&b" ".repeat(3_000)[..], without_table].concat();
    assert_second_page_is_red(&shifted, "no trailer and other bytes before the header");
}

#[test]
fn a_pdf_without_a_catalog_has_the_pages_that_are_there() {
    let bytes = two_pages();
    let pages = &bytes[position(&bytes, b"3 0 obj")..position(&bytes, b"xref\n")];
    let bytes = [b"%PDF-1.4\n", pages].concat();
    assert_second_page_is_red(&bytes, "no catalog");
}

#[test]
fn a_pdf_that_ends_within_its_second_page_has_its_first() {
    let bytes = pdf(&[(SMALL, RED_CORNER), (SMALL, "")]);
    let bytes = &bytes[..position(&bytes, b"6 0 obj") + 30];
    let page = page(bytes, DocumentFormat::Pdf, 1).expect("renders");
    assert_eq!(pixel(&page, 10, 990), RED);
}

#[test]
fn what_only_looks_like_a_pdf_is_refused() {
    for bytes in [&b"%PDF-1.7"[..], b"%PDF-1.7\n1 0 obj\n<< >>\nendobj", b"%PDF-1.7 1 0 obj <</Type/Catalog>> endobj"] {
        assert_eq!(refusal(inspect(bytes)), FailureCode::UnreadableDocument);
    }
}
