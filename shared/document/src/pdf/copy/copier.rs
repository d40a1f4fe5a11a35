//! Finds and copies the objects of a PDF.

use std::borrow::Cow;

use hayro_syntax::{
    Pdf, PdfVersion,
    metadata::Metadata,
    object::{DateTime, Dict, Name, Object, Stream},
};

use super::{
    body::{Body, StreamData},
    fault::CopyFault,
    numbering::Numbering,
    pages,
    pdf_copy::{PdfCopy, Span},
    syntax,
};

/// The most objects of a document: a hundred for each page of a large one.
const MAX_OBJECTS: usize = 1_000_000;

/// The entries of the catalog that are not copied. Permissions and validation data belong to signatures.
const OMITTED: [&[u8]; 5] = [b"Type", b"Pages", b"Version", b"Perms", b"DSS"];
/// The entries of the catalog that change how pages look (ISO 32000-1, 8.11.4 and 12.7.2).
const APPEARANCE: [&[u8]; 2] = [b"OCProperties", b"AcroForm"];

/// The copy of a document, and the sizes of its pages as shown, in points.
pub(crate) struct Copied {
    pub(crate) copy: PdfCopy,
    pub(crate) page_sizes: Vec<(f32, f32)>,
}

/// Copies the document in these bytes. Its objects are numbered from `first`; the copy has at most `max_bytes` beside
/// those of the source.
pub(crate) fn copy(file: Vec<u8>, first: u32, max_bytes: usize) -> Result<Copied, CopyFault> {
    let pdf = Pdf::new(file)?;
    let mut copier = Copier { pdf: &pdf, numbers: Numbering::new(first, max_bytes) };
    let page_numbers: Vec<u32> = pdf.pages().iter().map(|page| copier.numbers.add_page(page.raw().obj_id())).collect();
    let catalog = copier.catalog(|key| !OMITTED.contains(&key))?;
    let appearance = copier.catalog(|key| APPEARANCE.contains(&key))?;
    let mut pages = Vec::new();
    for (page, number) in pdf.pages().iter().zip(page_numbers) {
        pages.push(pages::copy_page(page, number, &mut copier.numbers)?);
        copier.copy_queued()?;
    }
    copier.copy_queued()?;
    let mut body = copier.numbers.body;
    body.pack()?;
    let info = body.keep(&info_entries(pdf.metadata()));
    let is_version_2 = pdf.version() == PdfVersion::Pdf20;
    let page_sizes = pdf.pages().iter().map(hayro_syntax::page::Page::render_dimensions).collect();
    let Body { places, parts, bytes, .. } = body;
    let copy = PdfCopy { places, body: parts, pages, catalog, appearance, info, is_version_2, bytes };
    Ok(Copied { copy, page_sizes })
}

struct Copier<'a> {
    pdf: &'a Pdf,
    numbers: Numbering,
}

impl<'a> Copier<'a> {
    /// Copies entries of the catalog.
    fn catalog(&mut self, is_copied: impl Fn(&[u8]) -> bool) -> Result<Span, CopyFault> {
        let xref = self.pdf.xref();
        let catalog = xref.get::<Dict<'_>>(xref.root_id()).ok_or(CopyFault::Damaged)?;
        let mut entries = Vec::new();
        syntax::write_entries(&mut entries, &catalog, &mut self.numbers, 0, |key| !is_copied(key))?;
        self.copy_queued()?;
        Ok(self.numbers.body.keep(&entries))
    }

    /// Copies the objects to which others refer, and those to which they refer in turn.
    fn copy_queued(&mut self) -> Result<(), CopyFault> {
        while let Some((id, number)) = self.numbers.queue.pop_front() {
            if self.numbers.numbers.len() > MAX_OBJECTS {
                return Err(CopyFault::Complex);
            }
            match self.pdf.xref().get::<Object<'a>>(id) {
                Some(Object::Stream(stream)) => self.copy_stream(number, &stream)?,
                object => {
                    let mut out = Vec::new();
                    match object {
                        // The copy has its own tree of pages.
                        Some(Object::Dict(dict)) if is_page_tree(&dict) => out.extend_from_slice(b"null"),
                        Some(object) => syntax::write_object(&mut out, &object, &mut self.numbers, 0)?,
                        None => out.extend_from_slice(b"null"),
                    }
                    self.numbers.body.object(number, out)?;
                }
            }
        }
        Ok(())
    }

    fn copy_stream(&mut self, number: u32, stream: &Stream<'a>) -> Result<(), CopyFault> {
        let data = stream.raw_data();
        let is_encrypted = matches!(data, Cow::Owned(_));
        if is_encrypted && syntax::has_crypt_filter(stream) {
            return Err(CopyFault::Encrypted);
        }
        // Metadata may be readable although the document is encrypted: what was decrypted is no metadata.
        if is_encrypted && is_plain_metadata(stream) && !data.windows(9).any(|word| word == b"x:xmpmeta") {
            return self.numbers.body.object(number, b"null".to_vec());
        }
        let mut dict = Vec::new();
        syntax::write_stream_dict(&mut dict, stream, data.len(), &mut self.numbers)?;
        let data = match offset_in(self.pdf.data().as_ref(), &data) {
            Some(start) => StreamData::Source(Span { start, bytes: data.len() as u64 }),
            None => StreamData::Memory(&data),
        };
        self.numbers.body.stream(number, &dict, &data)
    }
}

fn is_page_tree(dict: &Dict<'_>) -> bool {
    dict.get::<Name<'_>>("Type").is_some_and(|name| name.as_ref() == b"Pages")
}

fn is_plain_metadata(stream: &Stream<'_>) -> bool {
    let dict = stream.dict();
    let is_metadata = dict.get::<Name<'_>>("Type").is_some_and(|name| name.as_ref() == b"Metadata");
    is_metadata && !dict.contains_key("Filter")
}

/// Returns where the bytes are in others from which they may be borrowed.
fn offset_in(whole: &[u8], part: &[u8]) -> Option<u64> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    let end = start.checked_add(part.len())?;
    (!part.is_empty() && end <= whole.len()).then_some(start as u64)
}

/// Returns the entries of the document information dictionary.
fn info_entries(metadata: &Metadata) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in [
        ("Title", &metadata.title),
        ("Author", &metadata.author),
        ("Subject", &metadata.subject),
        ("Keywords", &metadata.keywords),
        ("Creator", &metadata.creator),
        ("Producer", &metadata.producer),
    ] {
        if let Some(value) = value {
            syntax::write_name(&mut out, key.as_bytes());
            syntax::write_string(&mut out, value);
        }
    }
    for (key, date) in [("CreationDate", &metadata.creation_date), ("ModDate", &metadata.modification_date)] {
        if let Some(date) = date {
            syntax::write_name(&mut out, key.as_bytes());
            syntax::write_string(&mut out, date_text(date).as_bytes());
        }
    }
    out
}

/// Returns a date as PDF writes it (ISO 32000-1, 7.9.4).
fn date_text(date: &DateTime) -> String {
    let DateTime { year, month, day, hour, minute, second, utc_offset_hour, utc_offset_minute } = *date;
    let sign = if utc_offset_hour < 0 { '-' } else { '+' };
    let zone = format!("{sign}{:02}'{utc_offset_minute:02}'", utc_offset_hour.unsigned_abs());
    format!("D:{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}{zone}")
}
