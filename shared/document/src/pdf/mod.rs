//! Rendering of PDF pages by pdfium.
//!
//! ```text
//! file ── repair ──> pdfium ── content ──> size ──> PageImage
//!                      │ └ hidden: what its pages do not show
//!                      └ substitutes: fonts that the document lacks ──> missing_fonts
//! ```

mod content;
mod copy;
mod hidden;
mod layer;
mod layer_lines;
mod library;
mod missing_fonts;
mod repair;
mod size;
mod space;
mod substitutes;

use std::{
    cell::{Cell, RefCell},
    fmt,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use pdfium_render::prelude::{
    PdfBitmap, PdfBitmapFormat, PdfDocument, PdfPage, PdfRect, PdfRenderConfig, Pdfium, PdfiumError,
    PdfiumInternalError,
};
use quire_tasks::{Failure, FailureCode, HiddenContent, Warning, WarningKind};

use self::{
    content::PageContent,
    copy::{Copied, CopyFault, copy},
    layer::text_layer,
    library::{Bound, lock_pdfium},
    missing_fonts::MissingText,
    repair::RepairedFile,
    size::PixelSize,
    substitutes::Substitutes,
};
pub use self::{
    copy::{BodyPart, CopiedPage, ObjectPlace, PdfCopy, Span},
    library::PdfiumUnavailable,
    space::{PageGlyph, PageSpace},
};
pub(crate) use self::{library::bind, size::FULL_DPI};
use crate::{PageImage, file_failure::file_failure, format::pdf_header};

/// The last position at which pdfium finds the header of a PDF.
const MAX_HEADER_POSITION: u64 = 1024;
/// Larger than any page, in points.
const ANY_SIDE: f32 = 1e7;
/// The largest file that is copied: its bytes are in memory then.
const MAX_COPIED_BYTES: u64 = 256 << 20;
/// The most bytes of a copy beside those of its source.
pub const MAX_COPY_BYTES: usize = 128 << 20;
/// The largest difference, in points, of a page's side that two parsers may find.
const SIDE_TOLERANCE: f32 = 0.5;

/// An open PDF.
pub(crate) struct PdfFile {
    file: File,
    pdfium: &'static Pdfium,
    document: PdfDocument<'static>,
    substitutes: Substitutes,
    /// The document, opened with this fallback: pdfium keeps the fonts of a document.
    with_fallback: RefCell<Option<(usize, PdfDocument<'static>)>>,
    hidden: Option<HiddenContent>,
    /// The last rendered page and its resolution.
    rendered: Cell<Option<(u32, f32)>>,
}

impl fmt::Debug for PdfFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PdfFile({} pages)", self.pages())
    }
}

impl PdfFile {
    /// Opens a PDF without a password. pdfium reads from the file on demand.
    pub(crate) fn open(library: Option<&Path>, mut file: File) -> Result<Self, Failure> {
        let (_lock, Bound { pdfium, substitutes }) =
            lock_pdfium(library).map_err(|error| unavailable_failure(&error))?;
        let document = load(pdfium, &file).map_err(|error| file_failure(&error))?;
        let document = document.map_err(|error| open_failure(&error))?;
        let hidden = hidden::hidden_content(&document, &mut file);
        let (with_fallback, rendered) = (RefCell::default(), Cell::default());
        let pdf = Self { file, pdfium, document, substitutes, with_fallback, hidden, rendered };
        if pdf.pages() == 0 {
            return Err(Failure::new(FailureCode::UnreadableDocument, "The PDF has no pages."));
        }
        Ok(pdf)
    }

    pub(crate) fn pages(&self) -> u32 {
        self.document.pages().len().try_into().unwrap_or(0)
    }

    /// Renders one page, counted from 1, like a viewer: rotated and cropped, with annotations and form fields.
    pub(crate) fn render(&self, number: u32, with_text_layer: bool) -> Result<PageImage, Failure> {
        let rendered = page_index(number).and_then(|index| self.render_page(index, with_text_layer));
        let (image, dpi) = rendered.map_err(|error| page_failure(number, &error))?;
        self.rendered.set(Some((number, dpi)));
        Ok(image)
    }

    /// Returns the resolution of the rendered page in pixels per inch.
    pub(crate) fn dpi(&self, number: u32) -> Result<f32, Failure> {
        if let Some((rendered, dpi)) = self.rendered.get()
            && rendered == number
        {
            return Ok(dpi);
        }
        let page = page_index(number).and_then(|index| open_page(&self.document, index));
        let page = page.map_err(|error| page_failure(number, &error))?;
        Ok(page_size(&page, &PageContent::of_page(&page)).dpi)
    }

    /// Copies the document for another PDF, in which its objects are numbered from `first`.
    pub(crate) fn copy(&self, first: u32) -> Result<PdfCopy, Failure> {
        let mut bytes = Vec::new();
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0)).map_err(|error| file_failure(&error))?;
        file.take(MAX_COPIED_BYTES + 1).read_to_end(&mut bytes).map_err(|error| file_failure(&error))?;
        let copied = if bytes.len() as u64 > MAX_COPIED_BYTES {
            Err(CopyFault::TooLarge)
        } else {
            copy(bytes, first, MAX_COPY_BYTES)
        };
        // pdfium has rendered the pages that were read: the copy must have the same ones.
        let copied =
            copied.and_then(
                |copied| {
                    if self.has_pages_of(&copied.page_sizes) { Ok(copied) } else { Err(CopyFault::Damaged) }
                },
            );
        let Copied { copy, .. } = copied.map_err(|fault| {
            let message = format!("The PDF cannot be copied: {fault}.");
            Failure::new(FailureCode::UnreadableDocument, message)
        })?;
        Ok(copy)
    }

    /// Returns whether the document has pages of these sizes.
    fn has_pages_of(&self, sizes: &[(f32, f32)]) -> bool {
        let pages = self.document.pages();
        let is_near = |one: f32, other: f32| (one - other).abs() <= SIDE_TOLERANCE;
        let has_size = |(index, &(width, height)): (i32, &(f32, f32))| {
            let size = pages.page_size(index).map(|size| (size.width().value, size.height().value));
            // For pdfium, a page is empty if its boxes do not intersect.
            size.is_ok_and(|(w, h)| w <= 0.0 || h <= 0.0 || (is_near(w, width) && is_near(h, height)))
        };
        sizes.len() as u32 == self.pages() && (0..).zip(sizes).all(has_size)
    }

    /// Returns the coordinates and the text of a page, counted from 1.
    pub(crate) fn space(&self, number: u32) -> Result<PageSpace, Failure> {
        let space = page_index(number).and_then(|index| {
            let page = open_page(&self.document, index)?;
            PageSpace::of_page(&page, page_size(&page, &PageContent::of_page(&page)))
        });
        space.map_err(|error| page_failure(number, &error))
    }

    fn render_page(&self, index: i32, with_text_layer: bool) -> Result<(PageImage, f32), PdfiumError> {
        let _page = self.substitutes.begin_page();
        let page = open_page(&self.document, index)?;
        let content = PageContent::of_page(&page);
        let size = page_size(&page, &content);
        let missing = MissingText::of_page(&page, &content, &self.substitutes)?;
        let (image, missing) = if missing.is_empty() {
            (render(&page, size)?, missing)
        } else {
            self.render_with_fallback(index, size, &missing)?.map_or_else(|| Ok((render(&page, size)?, missing)), Ok)?
        };
        let text_layer = if with_text_layer { text_layer(&page, &content, size)? } else { None };
        let mut warnings = Vec::from_iter(self.hidden.map(|content| WarningKind::NotOnPage { content }));
        if !missing.is_empty() {
            warnings.push(WarningKind::missing_fonts(missing.fonts()));
        }
        let warnings = warnings.into_iter().map(Warning::from).collect();
        Ok((image.with_warnings(warnings).with_text_layer(text_layer), size.dpi))
    }

    /// Renders a page with a font that has most of the missing letters, and returns what is missing then; `None` if
    /// there is no such font.
    fn render_with_fallback(
        &self,
        index: i32,
        size: PixelSize,
        missing: &MissingText,
    ) -> Result<Option<(PageImage, MissingText)>, PdfiumError> {
        let Some(fallback) = self.substitutes.set_fallback(&missing.letters()) else { return Ok(None) };
        let mut opened = self.with_fallback.borrow_mut();
        if opened.as_ref().is_none_or(|(opened_with, _)| *opened_with != fallback) {
            // The old one is closed first.
            *opened = None;
            let Ok(document) = load(self.pdfium, &self.file) else { return Ok(None) };
            *opened = Some((fallback, document?));
        }
        let Some((_, document)) = opened.as_ref() else { return Ok(None) };
        let page = open_page(document, index)?;
        let missing = MissingText::of_page(&page, &PageContent::of_page(&page), &self.substitutes)?.without_spaces();
        Ok(Some((render(&page, size)?, missing)))
    }
}

/// Opens a page, counted from 0. If its `CropBox` is outside of its `MediaBox`, the page is the `MediaBox`, as in
/// viewers; for pdfium it is empty.
fn open_page<'a>(document: &'a PdfDocument<'static>, index: i32) -> Result<PdfPage<'a>, PdfiumError> {
    let mut page = document.pages().get(index)?;
    if page.width().value > 0.0 && page.height().value > 0.0 {
        return Ok(page);
    }
    // pdfium clips it to the MediaBox, which may be inherited, when the page is opened again.
    page.boundaries_mut().set_crop(PdfRect::new_from_values(-ANY_SIDE, -ANY_SIDE, ANY_SIDE, ANY_SIDE))?;
    drop(page);
    document.pages().get(index)
}

/// Loads a document; if pdfium cannot repair it, repaired by us.
fn load(pdfium: &'static Pdfium, file: &File) -> io::Result<Result<PdfDocument<'static>, PdfiumError>> {
    let start = pdf_header(file)?.unwrap_or(0);
    let document = if start <= MAX_HEADER_POSITION {
        pdfium.load_pdf_from_reader(file.try_clone()?, None)
    } else {
        pdfium.load_pdf_from_reader(RepairedFile::new(file.try_clone()?, start, false)?, None)
    };
    let is_repairable = |error: &PdfiumError| {
        matches!(error, PdfiumError::PdfiumLibraryInternalError(PdfiumInternalError::FormatError))
    };
    if !document.as_ref().err().is_some_and(is_repairable) {
        return Ok(document);
    }
    Ok(pdfium.load_pdf_from_reader(RepairedFile::new(file.try_clone()?, start, true)?, None))
}

fn unavailable_failure(error: &PdfiumUnavailable) -> Failure {
    // The details are for the operator only; the customer's document is not the cause.
    tracing::error!(%error, "cannot read PDFs: pdfium is not available");
    Failure::new(FailureCode::Internal, "PDFs cannot be read at the moment: the PDF library is not available.")
}

fn open_failure(error: &PdfiumError) -> Failure {
    use PdfiumInternalError::{PasswordError, SecurityError};
    match error {
        PdfiumError::PdfiumLibraryInternalError(PasswordError) => {
            Failure::new(FailureCode::EncryptedDocument, "The PDF needs a password to open.")
        }
        PdfiumError::PdfiumLibraryInternalError(SecurityError) => {
            Failure::new(FailureCode::EncryptedDocument, "The PDF is encrypted in a way that is not supported.")
        }
        _ => Failure::new(FailureCode::UnreadableDocument, "The PDF is invalid: it cannot be opened."),
    }
}

fn page_index(number: u32) -> Result<i32, PdfiumError> {
    let index = i32::try_from(number).ok().and_then(|number| number.checked_sub(1)).filter(|index| *index >= 0);
    index.ok_or(PdfiumError::PageIndexOutOfBounds)
}

fn page_failure(number: u32, error: &PdfiumError) -> Failure {
    let message = match error {
        PdfiumError::PageIndexOutOfBounds => format!("The PDF has no page {number}."),
        // The library's own reasons, e.g. "Unknown", tell a customer nothing.
        _ => format!("Page {number} of the PDF is invalid: it cannot be rendered."),
    };
    Failure::new(FailureCode::UnreadablePage, message)
}

fn page_size(page: &PdfPage<'_>, content: &PageContent) -> PixelSize {
    PixelSize::of_page(f64::from(page.width().value), f64::from(page.height().value), content.detail)
}

fn render(page: &PdfPage<'_>, PixelSize { width, height, .. }: PixelSize) -> Result<PageImage, PdfiumError> {
    let row = width as usize * PageImage::CHANNELS;
    let stride = row.next_multiple_of(4);
    let mut pixels = vec![0; stride * height as usize];
    let config = PdfRenderConfig::new()
        .set_fixed_size(width as i32, height as i32)
        .set_format(PdfBitmapFormat::BGR)
        .set_reverse_byte_order(false);
    // Rendered into our own buffer, so that only the padding between rows needs to be removed.
    let mut bitmap = PdfBitmap::from_bytes(width as i32, height as i32, PdfBitmapFormat::BGR, &mut pixels)?;
    page.render_into_bitmap_with_config(&mut bitmap, &config)?;
    drop(bitmap);
    for y in 1..height as usize {
        pixels.copy_within(y * stride..y * stride + row, y * row);
    }
    pixels.truncate(row * height as usize);
    Ok(PageImage::new(width, height, pixels))
}
