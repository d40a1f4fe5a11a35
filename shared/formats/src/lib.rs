//! Output formats for recognized text: plain text, Markdown, hOCR, ALTO, and searchable PDF.
//!
//! Pure: pages in, bytes out. Pages are written one at a time, so that memory does not grow with the document.
//! Positions are in pixels of the page. A line whose position is unknown has the box of the whole page in hOCR and
//! ALTO.
#![warn(missing_docs)]

mod alto;
mod fonts;
mod hocr;
mod layout;
mod line_box;
mod own_text;
mod pdf;
mod pdf_file;
mod pdf_image;
mod plain;
mod text_layer;
mod text_writer;
mod words;
mod xml;

pub use own_text::OwnGlyph;
pub use pdf::{ImportedPage, PdfImage, PdfPage, SearchablePdf, SourceEntries};
pub use pdf_file::PdfPlace;
pub use pdf_image::{PictureCoding, PictureColors, PictureStrip, StoredPage, StoredPicture};
pub use text_writer::{TextFormat, TextWriter};
