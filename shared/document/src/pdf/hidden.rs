//! Detects PDFs whose content is not on their pages.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    panic::catch_unwind,
};

use hayro_syntax::{Pdf, object::Dict};
use pdfium_render::prelude::{PdfDocument, PdfFormType};
use quire_tasks::HiddenContent;

/// The largest file that is parsed for its catalog.
const MAX_BYTES: u64 = 64 << 20;

/// Returns where the content of a document is, if it is not on its pages.
pub(super) fn hidden_content(document: &PdfDocument<'_>, file: &mut File) -> Option<HiddenContent> {
    if document.form().is_some_and(|form| form.form_type() == PdfFormType::XfaFull) {
        return Some(HiddenContent::DynamicForm);
    }
    // Invoices with attached data are no portfolios: only those have a collection (ISO 32000-1, 12.3.5).
    let is_portfolio = !document.attachments().is_empty() && has_collection(file);
    is_portfolio.then_some(HiddenContent::Attachments)
}

/// Returns whether the catalog has a collection, which pdfium does not tell.
fn has_collection(file: &mut File) -> bool {
    let mut bytes = Vec::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(MAX_BYTES).read_to_end(&mut bytes));
    // A document that pdfium can read is not refused because of another parser.
    read.is_ok() && catch_unwind(|| catalog_has_collection(bytes)).unwrap_or(false)
}

fn catalog_has_collection(bytes: Vec<u8>) -> bool {
    let Ok(pdf) = Pdf::new(bytes) else { return false };
    let xref = pdf.xref();
    xref.get::<Dict<'_>>(xref.root_id()).is_some_and(|catalog| catalog.contains_key("Collection"))
}
