//! PDF, through pdfium.

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

use crate::{PageImage, reduce};

/// What PDF viewers print at, more or less: 8-point type becomes 22 pixels high.
pub(crate) const FULL_DPI: f64 = 200.0;

/// Detection reads a page at about a thousand pixels to a side, so more than A4 at [`FULL_DPI`] (2,339 pixels) is wasted
/// on it: larger pages are rendered with fewer dots…
const LONG_SIDE: f64 = 2_600.0;

/// …but not with fewer than this, where 8-point type is still 17 pixels high and reads well. Above A2 the bound on
/// pixels takes over: such sheets are posters and plans, and the alternative is not to read them.
const READABLE_DPI: f64 = 150.0;

const POINTS_PER_INCH: f64 = 72.0;

/// A process binds pdfium once, for good. The lock also keeps opening together with asking why it failed: pdfium keeps
/// its last error in a global.
static BOUND: Mutex<Option<&'static Pdfium>> = Mutex::new(None);

/// Why no PDF can be read here. Decision: refuse to start, where PDFs are expected; otherwise fail the page, retryably.
#[derive(Debug, thiserror::Error)]
pub enum PdfiumUnavailable {
    /// Nobody said where it is.
    #[error("no pdfium library was given")]
    NotGiven,
    /// It is missing, no library, or of another version: every function that we may call is looked up at once.
    #[error("the pdfium library {} cannot be used: {reason}", path.display())]
    Unfit {
        /// What was given.
        path: PathBuf,
        /// What the dynamic linker says.
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

/// Binds the library, unless this process already has one.
pub(crate) fn bind(library: Option<&Path>) -> Result<(), PdfiumUnavailable> {
    bound(library).map(|_| ())
}

type Bound = MutexGuard<'static, Option<&'static Pdfium>>;

fn bound(library: Option<&Path>) -> Result<(Bound, &'static Pdfium), PdfiumUnavailable> {
    // What it guards is whole at any moment.
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
    /// Opens a PDF without a password. pdfium reads from the file what it needs when it needs it.
    pub(crate) fn open(library: Option<&Path>, file: File) -> Result<Self, Failure> {
        let (_lock, pdfium) = bound(library).map_err(|error| unavailable(&error))?;
        let document = pdfium.load_pdf_from_reader(file, None).map_err(|error| not_opened(&error))?;
        let pdf = Self { document };
        if pdf.pages() == 0 {
            return Err(Failure::new(FailureCode::UnreadableDocument, "The PDF has no pages."));
        }
        Ok(pdf)
    }

    pub(crate) fn pages(&self) -> u32 {
        self.document.pages().len().try_into().unwrap_or(0)
    }

    /// Renders one page, counted from 1, as a viewer shows it: turned and cropped as it says, with annotations and
    /// filled forms.
    pub(crate) fn render(&self, page: u32) -> Result<PageImage, Failure> {
        self.with(page, render)
    }

    /// How many pixels of the rendered page are an inch.
    pub(crate) fn dpi(&self, page: u32) -> Result<f32, Failure> {
        self.with(page, |page| {
            let points = f64::from(page.width().value.max(page.height().value));
            let (width, height) = size_in_pixels(f64::from(page.width().value), f64::from(page.height().value));
            let dpi = f64::from(width.max(height)) * POINTS_PER_INCH / points;
            Ok(if dpi.is_finite() { dpi.max(1.0) as f32 } else { FULL_DPI as f32 })
        })
    }

    fn with<T>(&self, page: u32, work: impl FnOnce(&PdfPage<'_>) -> Result<T, PdfiumError>) -> Result<T, Failure> {
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

fn unavailable(error: &PdfiumUnavailable) -> Failure {
    // The customer learns that it is not their document's fault; the operator learns the rest.
    tracing::error!(%error, "PDFs cannot be read");
    Failure::new(FailureCode::Internal, "PDFs cannot be read at the moment: the PDF library is not available.")
}

fn not_opened(error: &PdfiumError) -> Failure {
    use PdfiumInternalError::{PasswordError, SecurityError};
    match error {
        PdfiumError::PdfiumLibraryInternalError(PasswordError) => {
            Failure::new(FailureCode::EncryptedDocument, "The PDF asks for a password.")
        }
        PdfiumError::PdfiumLibraryInternalError(SecurityError) => {
            Failure::new(FailureCode::EncryptedDocument, "The PDF is encrypted in a way that is not supported.")
        }
        _ => Failure::new(FailureCode::UnreadableDocument, "The PDF is broken: it cannot be opened."),
    }
}

fn render(page: &PdfPage<'_>) -> Result<PageImage, PdfiumError> {
    let (width, height) = size_in_pixels(f64::from(page.width().value), f64::from(page.height().value));
    let (row, stride) =
        (width as usize * PageImage::CHANNELS, (width as usize * PageImage::CHANNELS).next_multiple_of(4));
    let mut pixels = vec![0; stride * height as usize];
    let config = PdfRenderConfig::new()
        .set_fixed_size(width as i32, height as i32)
        .set_format(PdfBitmapFormat::BGR)
        .set_reverse_byte_order(false);
    // Into our own memory, so that there is no copy but the closing of the gaps between rows.
    let mut bitmap = PdfBitmap::from_bytes(width as i32, height as i32, PdfBitmapFormat::BGR, &mut pixels)?;
    page.render_into_bitmap_with_config(&mut bitmap, &config)?;
    drop(bitmap);
    for y in 1..height as usize {
        pixels.copy_within(y * stride..y * stride + row, y * row);
    }
    pixels.truncate(row * height as usize);
    Ok(PageImage::new(width, height, pixels))
}

/// How large a page of so many points is rendered: at least one pixel either way, and never more than
/// [`reduce::ENOUGH_PIXELS`] in all.
fn size_in_pixels(width: f64, height: f64) -> (u32, u32) {
    // A page may call itself 0 points wide, or infinitely long.
    let side = |points: f64| if points.is_nan() { 0.1 } else { points.clamp(0.1, 1e6) } / POINTS_PER_INCH;
    let (width, height) = (side(width), side(height));
    let dpi = (LONG_SIDE / width.max(height)).clamp(READABLE_DPI, FULL_DPI);
    let pixels = |inches: f64| ((inches * dpi).round() as u32).max(1);
    reduce::reduced((pixels(width), pixels(height)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_resolution_falls_with_the_page_s_size_until_it_would_harm() {
        assert_eq!(size_in_pixels(595.0, 842.0), (1653, 2339), "A4 at 200 dpi");
        assert_eq!(size_in_pixels(842.0, 1191.0), (1838, 2600), "A3 at 157 dpi");
        assert_eq!(size_in_pixels(1191.0, 1684.0), (2481, 3508), "A2 at 150 dpi");
        let (width, height) = size_in_pixels(2384.0, 3370.0);
        assert_eq!((width, height), (3364, 4755), "A0 at 102 dpi");
    }

    #[test]
    fn absurd_pages_have_a_size() {
        assert_eq!(size_in_pixels(1.0, 14_400.0), (2, 30_000));
        assert_eq!(size_in_pixels(0.0, f64::NAN), (1, 1));
        assert_eq!(size_in_pixels(f64::INFINITY, -3.0), (65_535, 1));
    }

    proptest! {
        #[test]
        fn no_page_has_too_many_pixels(width in 0.0..1e7, height in 0.0..1e7) {
            let (width, height) = size_in_pixels(width, height);
            prop_assert!(width > 0 && height > 0);
            prop_assert!(u64::from(width) * u64::from(height) <= reduce::ENOUGH_PIXELS);
        }
    }
}
