//! Decodes and renders the pages of documents.
//!
//! [`Documents::inspect`] validates a document before it is stored: it returns the format and the number of pages, or
//! why the document is refused, and decodes nothing. [`Documents::page`] decodes one page in the worker; pages of PDFs
//! are rendered by pdfium.
//!
//! ```text
//! file ── inspect ──> SplitDocument { format, pages }     sniff, headers, directories
//!      └─ page ────> PageImage                    images: raster     TIFF: tiff     PDF: pdfium
//!                                                 └ rows: downscale ─ background ─ upright ┘
//! ```
//!
//! All functions block. Everything that the sender of a document controls (bytes, pages, pixels) has a limit.
#![warn(missing_docs)]

mod damaged_rows;
mod document;
mod documents;
mod downscale;
mod embedding;
mod file_failure;
mod fonts;
mod format;
mod image_fault;
mod jpeg;
mod limits;
mod page_image;
mod pdf;
mod pixels;
mod png;
mod raster;
mod redact_pixels;
mod rows;
mod stored_image;
mod text_layer;
mod tiff;
mod transparency;

pub use document::Document;
pub use documents::Documents;
pub use downscale::{MAX_PAGE_PIXELS, MAX_SIDE};
pub use fonts::{FontIndex, SYSTEM_FONT_FOLDERS};
pub use format::{SNIFF_BYTES, sniff, sniff_file, unsupported_format};
pub use jpeg::Jpeg;
pub use limits::{DocumentLimits, MAX_WHOLE_PIXELS};
pub use page_image::PageImage;
pub use pdf::{
    BodyPart, CopiedPage, MAX_COPY_BYTES, ObjectPlace, PageGlyph, PageSpace, PdfCopy, PdfiumUnavailable, Span,
};
pub use stored_image::{StoredCoding, StoredColors, StoredImage, StoredStrip};
pub use text_layer::{LayerLine, LayerWord, TextLayer};
