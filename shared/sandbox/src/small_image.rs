//! Images that this process decodes itself.
//!
//! Their decoders are safe code, so that an image cannot take over the process; what is left is to bound memory and
//! time. A small image is bounded by its size, and a child would take as long to start as the image to decode. Larger
//! images, and the formats with many or rare codecs (TIFF, GIF, JPEG 2000, JPEG XL), are decoded in a child like a PDF.

use std::{fs::File, time::Duration};

use quire_document::{Document, DocumentLimits, PageImage};
use quire_tasks::{DocumentFormat, Failure, FailureCode};
use tokio::{task::spawn_blocking, time::timeout};

/// The most pixels of a small image: A4 at 400 dpi, or a photo. Decoders use at most 8 bytes per pixel, 128 MB.
const MAX_PIXELS: u64 = 16_000_000;
/// The most bytes of a small image's file, which some decoders read as a whole.
const MAX_BYTES: u64 = 32 << 20;

/// Decodes a page of a small image; returns `None` for any other document, which a child must decode.
pub(crate) async fn page(
    file: &File,
    format: DocumentFormat,
    page: u32,
    limits: DocumentLimits,
    time: Duration,
) -> Option<Result<PageImage, Failure>> {
    let is_simple =
        matches!(format, DocumentFormat::Png | DocumentFormat::Jpeg | DocumentFormat::Webp | DocumentFormat::Bmp);
    if !is_simple {
        return None;
    }
    let limits = DocumentLimits {
        max_bytes: limits.max_bytes.min(MAX_BYTES),
        max_pixels: limits.max_pixels.min(MAX_PIXELS),
        ..limits
    };
    let file = file.try_clone().ok()?;
    let decode = move || Document::open(file, None, limits).and_then(|mut document| document.page(page));
    let decoded = match timeout(time, spawn_blocking(decode)).await {
        Ok(Ok(decoded)) => decoded,
        Ok(Err(_panic)) => Err(Failure::new(FailureCode::UnreadablePage, "The image is invalid.")),
        Err(_) => {
            let message = format!("Page {page} is too complex: decoding it takes longer than {} s.", time.as_secs());
            Err(Failure::new(FailureCode::TooComplex, message))
        }
    };
    // It is not small.
    let is_large = |failure: &Failure| {
        matches!(failure.code, FailureCode::TooManyPixels | FailureCode::DocumentTooLarge | FailureCode::Internal)
    };
    if decoded.as_ref().is_err_and(is_large) { None } else { Some(decoded) }
}
