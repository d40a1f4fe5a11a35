//! A document comes back as a PDF whose text can be found, and in which nobody reads what was redacted.

use std::sync::OnceLock;

use pdfium_render::prelude::Pdfium;
use quire_document::{DocumentLimits, Documents};
use quire_native_libs::Progress;
use serde_json::Value;

use crate::harness::{Api, Launch, PATIENCE, Serve, Sheet, Upload, pdf, squeezed, text_of};

const INVOICE: &[u8] = include_bytes!("../../samples/invoice.pdf");
/// A number that is right by Luhn's formula, and nobody's.
const CARD: &str = "4111111111111111";

/// What is found on the pages of a PDF.
fn found(pdf: &[u8]) -> Vec<String> {
    static PDFIUM: OnceLock<Pdfium> = OnceLock::new();
    let library = quire_native_libs::pdfium(&Progress::Silent).expect("pdfium");
    // A process has one: the binding is that of our own documents.
    Documents::new(Some(library), DocumentLimits::default()).bind_pdfium().expect("it fits");
    let pdf = PDFIUM.get_or_init(Pdfium::default).load_pdf_from_byte_vec(pdf.to_vec(), None).expect("a PDF");
    let pages = pdf.pages();
    let all = pages.iter().map(|page| {
        let text = page.text().expect("text");
        text.chars().iter().filter_map(|character| character.unicode_string()).collect()
    });
    all.collect()
}

async fn searchable(api: &Api, task_id: &str) -> Vec<u8> {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
    let url = format!("{}/task/{task_id}/result?format=pdf&wait=60", api.base);
    loop {
        let response = client.get(&url).send().await.expect("an answer");
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

fn pages_of(task: &Value) -> Vec<String> {
    let pages = task["documents"][0]["pages"].as_array().expect("pages");
    pages.iter().map(|page| squeezed(text_of(page))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_comes_back_as_a_pdf_to_be_searched_and_without_what_was_redacted() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = Serve::start(Launch::new(folder.path())).await;
    let api = serve.api();
    let id = api.submit_without_callback([Upload::new("invoice.pdf", INVOICE)]).await.accepted();
    let read = pages_of(&api.ended(&id).await);
    assert_eq!(read.len(), 2);
    let pages = found(&searchable(&api, &id).await);
    let pages: Vec<String> = pages.iter().map(|page| squeezed(page)).collect();
    assert_eq!(pages, read, "what is copied is what was read, in order");

    let sheet = pdf(&[Sheet::new(format!("Card {CARD}")), Sheet::new("Nothing here")]);
    let redact = [("redact", r#"{"kinds": ["bank_card"]}"#)];
    let id = api.ask("/ocr/async", [Upload::new("card.pdf", sheet)], &redact).await.accepted();
    assert_eq!(pages_of(&api.ended(&id).await), ["Card[bank_card]", "Nothinghere"]);
    let redacted = searchable(&api, &id).await;
    assert_eq!(
        found(&redacted).iter().map(|page| squeezed(page)).collect::<Vec<_>>(),
        ["Card[bank_card]", "Nothinghere"]
    );
    let again = api.batch([Upload::new("redacted.pdf", redacted)]).await.body(200);
    let again = squeezed(text_of(&again[0]));
    assert!(again.contains("Nothinghere") && !again.contains("1111"), "{again}");
}
