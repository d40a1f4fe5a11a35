//! What a copy of a PDF consists of.

use serde::{Deserialize, Serialize};

/// The objects of a PDF, with numbers of another PDF.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PdfCopy {
    /// Where the objects are, in the order of their numbers.
    pub places: Vec<ObjectPlace>,
    /// The objects, one after another.
    pub body: Vec<BodyPart>,
    /// The pages, in order.
    pub pages: Vec<CopiedPage>,
    /// The entries of the catalog, except its type and its pages.
    pub catalog: Span,
    /// Those of them that change how pages look: layers and forms.
    pub appearance: Span,
    /// The entries of the document information dictionary.
    pub info: Span,
    /// Whether the source has version 2.0.
    pub is_version_2: bool,
    /// The bytes to which spans refer.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

/// Where an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectPlace {
    /// At this position of the body.
    #[serde(rename = "a")]
    At(u64),
    /// In the object stream with this number, at this index.
    #[serde(rename = "i")]
    In(u32, u32),
    /// The caller writes it: a page.
    #[serde(rename = "p")]
    Page,
}

/// A part of a copy's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BodyPart {
    /// Bytes of the copy.
    #[serde(rename = "c")]
    Copy(Span),
    /// Bytes of the source's file.
    #[serde(rename = "s")]
    Source(Span),
}

/// A range of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Span {
    /// The first byte.
    #[serde(rename = "s")]
    pub start: u64,
    /// The number of bytes.
    #[serde(rename = "b")]
    pub bytes: u64,
}

impl Span {
    /// Returns the range of these bytes; empty if they do not have it.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        let end = self.start.saturating_add(self.bytes);
        let range = usize::try_from(self.start).unwrap_or(usize::MAX)..usize::try_from(end).unwrap_or(usize::MAX);
        bytes.get(range).unwrap_or_default()
    }
}

/// A page whose dictionary the caller writes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CopiedPage {
    /// The number of its object.
    pub number: u32,
    /// The entries of its dictionary, inherited ones among them, except its type, parent, contents and resources.
    pub entries: Span,
    /// The entries of its resources, except fonts.
    pub resources: Span,
    /// The entries of its fonts.
    pub fonts: Span,
    /// No name of a font in its resources begins with `Quire` and this number.
    pub font_prefix: u32,
    /// The numbers of its content streams.
    pub contents: Vec<u32>,
    /// The number of graphics states to be saved before its contents, which restore more than they save.
    pub saves: u32,
    /// Operators that end what its contents have begun, and restore the first graphics state.
    pub closing: String,
}
