//! Output formats for recognized text: plain text, Markdown, CSV, hOCR, ALTO, and searchable PDF.
//!
//! Pure: pages in, bytes out. Pages are written one at a time, so that memory does not grow with the document.
//! Positions are in pixels of the page. A line whose position is unknown has the box of the whole page in hOCR and
//! ALTO.
#![warn(missing_docs)]

mod aligned;
mod alto;
mod csv;
mod escape;
mod fonts;
mod hocr;
mod join;
mod layout;
mod line_box;
mod markdown;
mod own_text;
mod page_output;
mod pdf;
mod pdf_file;
mod pdf_image;
mod plain;
mod table_text;
mod text_layer;
mod text_writer;
mod words;
mod xml;

pub use aligned::aligned_text;
pub use own_text::OwnGlyph;
pub use page_output::page_output;
pub use pdf::{ImportedPage, PdfImage, PdfPage, SearchablePdf, SourceEntries};
pub use pdf_file::PdfPlace;
pub use pdf_image::{PictureCoding, PictureColors, PictureStrip, StoredPage, StoredPicture};
pub use text_writer::{TextFormat, TextWriter};
