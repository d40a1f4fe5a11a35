//! What was read, in the forms that others work with: plain text, markdown, hOCR, ALTO, and PDF with a text layer.
//!
//! Pure: pages in, bytes out, one page after the other, so that nobody has to hold a long document. Places are in pixels of
//! the page; of a line whose engine gives no place, hOCR and ALTO say that it is somewhere on the page.
#![warn(missing_docs)]

mod alto;
mod fonts;
mod hocr;
mod pdf;
mod place;
mod plain;
mod scribe;
mod words;
mod xml;

pub use pdf::{Picture, SearchablePdf, Sheet};
pub use scribe::{Form, Scribe};
