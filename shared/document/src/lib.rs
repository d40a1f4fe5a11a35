//! From a document's bytes to images of its pages.
//!
//! At the door, [`Documents::inspect`] says what a document is and how many pages it has, or why it is refused, and
//! decodes nothing. In the worker, [`Documents::page`] makes one page an image: decoded, or rendered by pdfium.
//!
//! ```text
//! file ── inspect ──> Split { format, pages }     sniff, headers, directories
//!      └─ page ────> PageImage                    PNG, JPEG, WebP, BMP: image     TIFF: tiff     PDF: pdfium
//!                                                 └ on white ─ reduce ─ turn upright ┘
//! ```
//!
//! Everything is synchronous, and everything that a stranger chooses (bytes, pages, pixels) has a limit.
#![warn(missing_docs)]

mod cover;
mod documents;
mod format;
mod jpeg;
mod limits;
mod page_image;
mod pdf;
mod picture;
mod pixels;
mod png;
mod reduce;
mod tiff;

pub use documents::Documents;
pub use format::{SNIFF_BYTES, sniff, sniff_file};
pub use jpeg::Jpeg;
pub use limits::Limits;
pub use page_image::PageImage;
pub use pdf::PdfiumUnavailable;
