//! Searchable PDFs: their text layer, and that redacted text is removed from it and from the pixels.

use std::sync::OnceLock;

use pdfium_render::prelude::Pdfium;
use quire_document::{DocumentLimits, Documents};
use quire_native_libs::Progress;
use serde_json::Value;

use crate::harness::{
    ApiClient, ServeOptions, ServeProcess, TIMEOUT, TestPage, UploadFile, pdf, text_of, without_whitespace,
};

const INVOICE: &[u8] = include_bytes!("../../samples/invoice.pdf");
const SCAN: &[u8] = include_bytes!("../../samples/scan.tiff");
/// A test card number with a valid Luhn checksum.
const CARD_NUMBER: &str = "4111111111111111";

/// Returns the text layer of each page of a PDF.
fn text_layers(pdf: &[u8]) -> Vec<String> {
    static PDFIUM: OnceLock<Pdfium> = OnceLock::new();
    let library = quire_native_libs::pdfium(&Progress::Silent).expect("pdfium");
    // pdfium can be bound once per process; `Documents` binds it.
    Documents::new(Some(library), DocumentLimits::default()).bind_pdfium().expect("pdfium can be bound");
    let pdf = PDFIUM.get_or_init(Pdfium::default).load_pdf_from_byte_vec(pdf.to_vec(), None).expect("a PDF");
    let pages = pdf.pages();
    let texts = pages.iter().map(|page| {
        let text = page.text().expect("text");
        text.chars().iter().filter_map(|character| character.unicode_string()).collect()
    });
    texts.collect()
}

/// Polls until the searchable PDF of the task is ready, and returns it.
async fn download_pdf(api: &ApiClient, task_id: &str) -> Vec<u8> {
    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build().expect("the client can be built");
    let url = format!("{}/task/{task_id}/result?format=pdf&wait=60", api.base);
    loop {
        let response = client.get(&url).send().await.expect("a response");
        if response.status() == 202 {
            continue;
        }
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"application/pdf".parse().expect("plain"))
        );
        return response.bytes().await.expect("a body").to_vec();
    }
}

fn page_texts(task: &Value) -> Vec<String> {
    let pages = task["documents"][0]["pages"].as_array().expect("pages");
    pages.iter().map(|page| without_whitespace(text_of(page))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_searchable_pdf_has_the_text_and_nothing_redacted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serve = ServeProcess::start(ServeOptions::new(folder.path())).await;
    let api = serve.api();
    let id = api.submit_without_callback([UploadFile::new("invoice.pdf", INVOICE)]).await.accepted_task_id();
    let read = page_texts(&api.await_end(&id).await);
    assert_eq!(read.len(), 2);
    let pages = text_layers(&download_pdf(&api, &id).await);
    assert_eq!(pages, text_layers(INVOICE), "a page that has the recognized text as its own does not get it again");
    for (page, read) in pages.iter().zip(&read) {
        let sorted = |text: &str| {
            let mut characters: Vec<char> = without_whitespace(text).chars().collect();
            characters.sort_unstable();
            characters
        };
        let (page, read) = (sorted(page), sorted(read));
        let missing = read.iter().filter(|character| page.binary_search(character).is_err()).count();
        assert!(missing * 100 < read.len(), "{missing} of {} recognized characters are not in the PDF", read.len());
    }

    let scan = api.submit_without_callback([UploadFile::new("scan.tiff", SCAN)]).await.accepted_task_id();
    let read = page_texts(&api.await_end(&scan).await);
    let pages = text_layers(&download_pdf(&api, &scan).await);
    let pages: Vec<String> = pages.iter().map(|page| without_whitespace(page)).collect();
    assert_eq!(pages, read, "the text layer is the recognized text, in reading order");

    let sheet = pdf(&[TestPage::new(format!("Card {CARD_NUMBER}")), TestPage::new("Nothing here")]);
    let redact = [("redact", r#"{"kinds": ["bank_card"]}"#)];
    let id = api.post_form("/ocr/async", [UploadFile::new("card.pdf", sheet)], &redact).await.accepted_task_id();
    assert_eq!(page_texts(&api.await_end(&id).await), ["Card[bank_card]", "Nothinghere"]);
    let redacted = download_pdf(&api, &id).await;
    assert_eq!(
        text_layers(&redacted).iter().map(|page| without_whitespace(page)).collect::<Vec<_>>(),
        ["Card[bank_card]", "Nothinghere"]
    );
    let again = api.batch([UploadFile::new("redacted.pdf", redacted)]).await.expect_status(200);
    let again = without_whitespace(text_of(&again[0]));
    assert!(again.contains("Nothinghere") && !again.contains("1111"), "{again}");
}
