//! Rendering of PDF pages by pdfium.
//!
//! ```text
//! file ── repair ──> pdfium ── content ──> size ──> PageImage
//!                       └ hidden: what its pages do not show
//! ```

mod content;
mod hidden;
mod library;
mod repair;
mod size;

use std::{cell::Cell, fmt, fs::File, io, path::Path};

use pdfium_render::prelude::{
    PdfBitmap, PdfBitmapFormat, PdfDocument, PdfPage, PdfRect, PdfRenderConfig, Pdfium, PdfiumError,
    PdfiumInternalError,
};
use quire_tasks::{Failure, FailureCode, HiddenContent, Warning, WarningKind};

pub use self::library::PdfiumUnavailable;
use self::{
    content::PageContent,
    library::{lock_pdfium, reason},
    repair::RepairedFile,
    size::PixelSize,
};
pub(crate) use self::{library::bind, size::FULL_DPI};
use crate::{PageImage, document::file_failure, format::pdf_header};

/// The last position at which pdfium finds the header of a PDF.
const MAX_HEADER_POSITION: u64 = 1024;
/// Larger than any page, in points.
const ANY_SIDE: f32 = 1e7;

/// An open PDF.
pub(crate) struct PdfFile {
    document: PdfDocument<'static>,
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
        let (_lock, pdfium) = lock_pdfium(library).map_err(|error| unavailable_failure(&error))?;
        let document = load(pdfium, &mut file).map_err(|error| file_failure(&error))?;
        let document = document.map_err(|error| open_failure(&error))?;
        let hidden = hidden::hidden_content(&document, &mut file);
        let pdf = Self { document, hidden, rendered: Cell::new(None) };
        if pdf.pages() == 0 {
            return Err(Failure::new(FailureCode::UnreadableDocument, "The PDF has no pages."));
        }
        Ok(pdf)
    }

    pub(crate) fn pages(&self) -> u32 {
        self.document.pages().len().try_into().unwrap_or(0)
    }

    /// Renders one page, counted from 1, like a viewer: rotated and cropped, with annotations and form fields.
    pub(crate) fn render(&self, page: u32) -> Result<PageImage, Failure> {
        let (image, dpi) = self.with_page(page, |page| {
            let size = page_size(page);
            Ok((render(page, size)?, size.dpi))
        })?;
        self.rendered.set(Some((page, dpi)));
        let warnings = self.hidden.map(|content| Warning::from(WarningKind::NotOnPage { content }));
        Ok(image.with_warnings(warnings.into_iter().collect()))
    }

    /// Returns the resolution of the rendered page in pixels per inch.
    pub(crate) fn dpi(&self, page: u32) -> Result<f32, Failure> {
        match self.rendered.get() {
            Some((rendered, dpi)) if rendered == page => Ok(dpi),
            _ => self.with_page(page, |page| Ok(page_size(page).dpi)),
        }
    }

    fn with_page<T>(&self, page: u32, work: impl FnOnce(&PdfPage<'_>) -> Result<T, PdfiumError>) -> Result<T, Failure> {
        let unreadable = |error| {
            let message = format!("Page {page} of the PDF cannot be rendered: {}.", reason(&error));
            Failure::new(FailureCode::UnreadablePage, message)
        };
        let index = i32::try_from(page).ok().and_then(|page| page.checked_sub(1)).filter(|index| *index >= 0);
        let page = match index {
            Some(index) => self.page(index),
            None => Err(PdfiumError::PageIndexOutOfBounds),
        };
        page.and_then(|page| work(&page)).map_err(unreadable)
    }

    /// Opens a page, counted from 0. If its CropBox is outside of its MediaBox, the page is the MediaBox, as in viewers;
    /// for pdfium it is empty.
    fn page(&self, index: i32) -> Result<PdfPage<'_>, PdfiumError> {
        let mut page = self.document.pages().get(index)?;
        if page.width().value > 0.0 && page.height().value > 0.0 {
            return Ok(page);
        }
        // pdfium clips it to the MediaBox, which may be inherited, when the page is opened again.
        page.boundaries_mut().set_crop(PdfRect::new_from_values(-ANY_SIDE, -ANY_SIDE, ANY_SIDE, ANY_SIDE))?;
        drop(page);
        self.document.pages().get(index)
    }
}

/// Loads a document; if pdfium cannot repair it, repaired by us.
fn load(pdfium: &'static Pdfium, file: &mut File) -> io::Result<Result<PdfDocument<'static>, PdfiumError>> {
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

fn page_size(page: &PdfPage<'_>) -> PixelSize {
    let content = PageContent::of_page(page);
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
