//! Rendering of PDF pages by pdfium.

use std::{
    fmt,
    fs::File,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use pdfium_render::prelude::{
    PdfBitmap, PdfBitmapFormat, PdfDocument, PdfPage, PdfRenderConfig, Pdfium, PdfiumError, PdfiumInternalError,
};
use quire_tasks::{Failure, FailureCode};

use crate::{PageImage, downscale};

/// The default resolution, similar to that of printing: 8-point type is 22 pixels high.
pub(crate) const FULL_DPI: f64 = 200.0;

/// The longest side of pages at less than [`FULL_DPI`]. Text detection scales a page to about 1,000 pixels anyway, so
/// that more than A4 at [`FULL_DPI`] (2,339 pixels) does not help it.
const LONG_SIDE: f64 = 2_600.0;

/// The lowest resolution of pages up to A2: 8-point type is 17 pixels high and still readable. Larger pages are posters
/// and plans, for which the limit on pixels applies.
const MIN_READABLE_DPI: f64 = 150.0;

const POINTS_PER_INCH: f64 = 72.0;

/// The library, which a process binds only once. The lock also makes opening a document and reading its error atomic,
/// because pdfium stores its last error in a global variable.
static BOUND: Mutex<Option<&'static Pdfium>> = Mutex::new(None);

/// Why PDFs cannot be rendered. Decision: refuse to start if PDFs are expected; otherwise fail the page with a
/// retryable error.
#[derive(Debug, thiserror::Error)]
pub enum PdfiumUnavailable {
    /// The configuration has no path of the library.
    #[error("no pdfium library was given")]
    NotGiven,
    /// It is missing, not a library, or of an incompatible version: all functions are looked up when it is bound.
    #[error("the pdfium library {} cannot be used: {reason}", path.display())]
    Unfit {
        /// The configured path.
        path: PathBuf,
        /// The error of the dynamic linker.
        reason: String,
    },
}

/// An open PDF.
pub(crate) struct PdfFile {
    document: PdfDocument<'static>,
}

impl fmt::Debug for PdfFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PdfFile({} pages)", self.pages())
    }
}

/// Binds the library, unless this process has already bound one.
pub(crate) fn bind(library: Option<&Path>) -> Result<(), PdfiumUnavailable> {
    lock_pdfium(library).map(|_| ())
}

type PdfiumLock = MutexGuard<'static, Option<&'static Pdfium>>;

/// Locks pdfium, and binds it first if necessary.
fn lock_pdfium(library: Option<&Path>) -> Result<(PdfiumLock, &'static Pdfium), PdfiumUnavailable> {
    // A poisoned lock is fine: the value is set by one assignment.
    let mut bound = BOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pdfium) = *bound {
        return Ok((bound, pdfium));
    }
    let path = library.ok_or(PdfiumUnavailable::NotGiven)?;
    let bindings = Pdfium::bind_to_library(path)
        .map_err(|error| PdfiumUnavailable::Unfit { path: path.to_owned(), reason: reason(&error) })?;
    let pdfium: &'static Pdfium = Box::leak(Box::new(Pdfium::new(bindings)));
    *bound = Some(pdfium);
    Ok((bound, pdfium))
}

fn reason(error: &PdfiumError) -> String {
    match error {
        PdfiumError::LoadLibraryError(error) => error.to_string(),
        PdfiumError::PdfiumLibraryInternalError(error) => format!("{error:?}"),
        // Its `Display` takes several lines.
        error => format!("{error:?}"),
    }
}

impl PdfFile {
    /// Opens a PDF without a password. pdfium reads from the file on demand.
    pub(crate) fn open(library: Option<&Path>, file: File) -> Result<Self, Failure> {
        let (_lock, pdfium) = lock_pdfium(library).map_err(|error| unavailable_failure(&error))?;
        let document = pdfium.load_pdf_from_reader(file, None).map_err(|error| open_failure(&error))?;
        let pdf = Self { document };
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
        self.with_page(page, render)
    }

    /// Returns the resolution of the rendered page in pixels per inch.
    pub(crate) fn dpi(&self, page: u32) -> Result<f32, Failure> {
        self.with_page(page, |page| {
            let points = f64::from(page.width().value.max(page.height().value));
            let (width, height) = size_in_pixels(f64::from(page.width().value), f64::from(page.height().value));
            let dpi = f64::from(width.max(height)) * POINTS_PER_INCH / points;
            Ok(if dpi.is_finite() { dpi.max(1.0) as f32 } else { FULL_DPI as f32 })
        })
    }

    fn with_page<T>(&self, page: u32, work: impl FnOnce(&PdfPage<'_>) -> Result<T, PdfiumError>) -> Result<T, Failure> {
        let unreadable = |error| {
            let message = format!("Page {page} of the PDF cannot be rendered: {}.", reason(&error));
            Failure::new(FailureCode::UnreadablePage, message)
        };
        let index = i32::try_from(page).ok().and_then(|page| page.checked_sub(1)).filter(|index| *index >= 0);
        let page = match index {
            Some(index) => self.document.pages().get(index),
            None => Err(PdfiumError::PageIndexOutOfBounds),
        };
        page.and_then(|page| work(&page)).map_err(unreadable)
    }
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

fn render(page: &PdfPage<'_>) -> Result<PageImage, PdfiumError> {
    let (width, height) = size_in_pixels(f64::from(page.width().value), f64::from(page.height().value));
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

/// Returns the size in pixels of a page whose size is in points: at least one pixel either way, and at most
/// [`downscale::MAX_PAGE_PIXELS`] in total.
fn size_in_pixels(width: f64, height: f64) -> (u32, u32) {
    // A PDF may declare a width of 0 or an infinite height.
    let side = |points: f64| if points.is_nan() { 0.1 } else { points.clamp(0.1, 1e6) } / POINTS_PER_INCH;
    let (width, height) = (side(width), side(height));
    let dpi = (LONG_SIDE / width.max(height)).clamp(MIN_READABLE_DPI, FULL_DPI);
    let pixels = |inches: f64| ((inches * dpi).round() as u32).max(1);
    downscale::downscaled_size((pixels(width), pixels(height)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_resolution_decreases_with_the_size_of_the_page() {
        assert_eq!(size_in_pixels(595.0, 842.0), (1653, 2339), "A4 at 200 dpi");
        assert_eq!(size_in_pixels(842.0, 1191.0), (1838, 2600), "A3 at 157 dpi");
        assert_eq!(size_in_pixels(1191.0, 1684.0), (2481, 3508), "A2 at 150 dpi");
        let (width, height) = size_in_pixels(2384.0, 3370.0);
        assert_eq!((width, height), (3364, 4755), "A0 at 102 dpi");
    }

    #[test]
    fn invalid_page_sizes_are_clamped() {
        assert_eq!(size_in_pixels(1.0, 14_400.0), (2, 30_000));
        assert_eq!(size_in_pixels(0.0, f64::NAN), (1, 1));
        assert_eq!(size_in_pixels(f64::INFINITY, -3.0), (65_535, 1));
    }

    proptest! {
        #[test]
        fn no_page_has_too_many_pixels(width in 0.0..1e7, height in 0.0..1e7) {
            let (width, height) = size_in_pixels(width, height);
            prop_assert!(width > 0 && height > 0);
            prop_assert!(u64::from(width) * u64::from(height) <= downscale::MAX_PAGE_PIXELS);
        }
    }
}
