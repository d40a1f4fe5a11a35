//! Copies the objects of a PDF for another PDF, without decoding what they contain.
//!
//! Everything that the catalog refers to is copied: pages with their contents, fonts, images, links, outlines, forms.
//! Objects get new numbers, so that several documents fit into one file, and are decrypted. The data of streams stays
//! in the source and is only referred to, so that a copy is small. The pages' own dictionaries are left to the caller,
//! which adds to their contents.
//!
//! ```text
//! file ── hayro-syntax ──> objects ── syntax ──> body: object streams, stream dictionaries, data of the source
//!                          └ pages ─────────────> CopiedPage
//! ```

mod body;
mod copier;
mod fault;
mod numbering;
mod pages;
mod pdf_copy;
mod syntax;

pub use self::pdf_copy::{BodyPart, CopiedPage, ObjectPlace, PdfCopy, Span};
pub(super) use self::{
    copier::{Copied, copy},
    fault::CopyFault,
};
