//! What was read, in the forms that others work with: plain text, markdown, hOCR, ALTO, and PDF with a text layer.
//!
//! Pure: pages in, bytes out. Places are in pixels of the page; of a line whose engine gives no place, hOCR and ALTO say that
//! it is somewhere on the page.
#![warn(missing_docs)]

mod alto;
mod fonts;
mod hocr;
mod pdf;
mod place;
mod plain;
mod words;
mod xml;

use quire_tasks::PageText;

pub use alto::alto;
pub use hocr::hocr;
pub use pdf::{Picture, SearchablePdf};
pub use plain::{markdown, text};

/// A page of a task.
#[derive(Debug, Clone, Copy)]
pub struct FormatPage<'a> {
    /// The number of its document, from 1.
    pub document: u32,
    /// Its number in the document, from 1.
    pub page: u32,
    /// What was read on it; nothing where it could not be read.
    pub text: Option<&'a PageText>,
}
