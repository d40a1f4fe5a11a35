//! `quire read` of PDFs that contain their text: it is used where it is what a reader sees.

use std::{fs, path::Path};

use serde_json::Value;

use crate::harness::{pdf_of_objects, quire};

const LETTER: &[u8] = include_bytes!("../../samples/letter.jpg");
const LETTER_SIZE: [u32; 2] = [1754, 1240];

/// Reads a file, and returns its first page.
async fn read(file: &Path, policy: &str) -> Value {
    let arguments = ["read", "--format", "json", "--text-layer", policy];
    let output = quire(arguments.map(AsRef::as_ref).into_iter().chain([file.as_os_str()])).await;
    assert_eq!(output.code, Some(0), "{output:#?}");
    let documents: Value = serde_json::from_str(&output.stdout).expect("JSON");
    documents[0]["pages"][0].clone()
}

/// Reads a PDF of one page of 400 × 300 points with this content; objects from 6 are its others.
async fn read_pdf(content: &str, font: &str, others: &[Vec<u8>], policy: &str) -> Value {
    let mut objects = vec![
        b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
        b"<</Type/Pages/Count 1/Kids[3 0 R]>>".to_vec(),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 300]/Contents 4 0 R\
          /Resources<</Font<</F 5 0 R>>/XObject<</Im 6 0 R>>>>>>"
            .to_vec(),
        format!("<</Length {}>>stream\n{content}\nendstream", content.len()).into_bytes(),
        format!("<</Type/Font/Subtype/Type1/BaseFont/Helvetica {font}>>").into_bytes(),
    ];
    objects.extend(others.iter().cloned());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("page.pdf");
    fs::write(&file, pdf_of_objects(&objects)).expect("written");
    read(&file, policy).await
}

/// A stream with these entries.
fn stream(entries: &str, bytes: &[u8]) -> Vec<u8> {
    let head = format!("<<{entries}/Length {}>>stream\n", bytes.len());
    [head.as_bytes(), bytes, b"\nendstream"].concat()
}

fn text(page: &Value) -> &str {
    page["text"].as_str().expect("a text")
}

const WORDS: &str = "BT /F 14 Tf 30 250 Td (Invoice number 4711) Tj 0 -30 Td (Total amount due 1.80) Tj";

#[tokio::test(flavor = "multi_thread")]
async fn the_text_of_a_pdf_is_used_where_it_is_what_is_printed() {
    let page = read_pdf(&format!("{WORDS} ET"), "", &[], "auto").await;
    assert_eq!(page["source"], "text_layer", "{page:#}");
    assert_eq!(text(&page), "Invoice number 4711\nTotal amount due 1.80");
    assert_eq!(page["confidence"], 1.0);
    let ocr = read_pdf(&format!("{WORDS} ET"), "", &[], "never").await;
    assert_eq!((&ocr["source"], text(&ocr)), (&"ocr".into(), text(&page)));
    // The places are those of the ink, within the margins of detected boxes.
    for (known, detected) in
        page["lines"].as_array().expect("lines").iter().zip(ocr["lines"].as_array().expect("lines"))
    {
        for corner in 0..4 {
            for axis in 0..2 {
                let at = |line: &Value| line["polygon"][corner][axis].as_f64().expect("a number");
                assert!((at(known) - at(detected)).abs() < 25.0, "{known} {detected}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_is_not_printed_is_not_used() {
    // Each letter is mapped to the next one, as some producers do to protect text from being copied.
    let map = "/CIDInit /ProcSet findresource begin begincmap 1 begincodespacerange <00> <FF> endcodespacerange \
               1 beginbfrange <21> <7A> <0022> endbfrange endcmap end";
    let map = [stream("", b"x"), stream("", map.as_bytes())];
    let content = format!("{WORDS} ET");
    let page = read_pdf(&content, "/ToUnicode 7 0 R", &map, "auto").await;
    assert_eq!((&page["source"], text(&page)), (&"ocr".into(), "Invoice number 4711\nTotal amount due 1.80"));
    let unchecked = read_pdf(&content, "/ToUnicode 7 0 R", &map, "only").await;
    assert!(text(&unchecked).starts_with("Jowpjdf"), "{unchecked:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn white_words_are_not_text() {
    let content = format!("{WORDS} 0 -30 Td 1 g (hidden) Tj ET");
    let page = read_pdf(&content, "", &[], "auto").await;
    assert_eq!((&page["source"], text(&page)), (&"text_layer".into(), "Invoice number 4711\nTotal amount due 1.80"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_on_a_page_with_text_is_read_as_well() {
    let [width, height] = LETTER_SIZE;
    let entries = format!(
        "/Type/XObject/Subtype/Image/Width {width}/Height {height}/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/DCTDecode"
    );
    let content = format!("{WORDS} ET q 350 0 0 247 30 -40 cm /Im Do Q");
    let page = read_pdf(&content, "", &[stream(&entries, LETTER)], "auto").await;
    assert_eq!(page["source"], "mixed", "{page:#}");
    assert!(text(&page).starts_with("Invoice number 4711\nTotal amount due 1.80\n"), "{page:#}");
    assert!(page["lines"].as_array().is_some_and(|lines| lines.len() > 4), "{page:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_text_is_reported_if_no_image_is_read() {
    let page = read_pdf("10 10 50 50 re f", "", &[], "only").await;
    assert_eq!((&page["warnings"][0]["code"], text(&page)), (&"no_text_layer".into(), ""));
}
