//! Limits of documents, and the messages for documents that exceed them.

use quire_tasks::{Failure, FailureCode};

/// The most pixels of an image that is decoded as a whole before it is downscaled. Three bytes for each of them are
/// within the memory limit of a process that decodes untrusted images.
pub const MAX_WHOLE_PIXELS: u64 = 100_000_000;

/// Limits of a document. A document that exceeds one is refused before anything is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentLimits {
    /// The most bytes of a document.
    pub max_bytes: u64,
    /// The most pages of a document.
    pub max_pages: u32,
    /// The most pixels of an image. They do not apply to PDFs, whose pages are rendered at a bounded size. PNG and TIFF
    /// are downscaled row by row while they are decoded; the limit of other images is the smaller of this and
    /// [`MAX_WHOLE_PIXELS`], or what fits into memory for JPEG, JPEG 2000 and JPEG XL.
    pub max_pixels: u64,
}

impl Default for DocumentLimits {
    /// Default: 500 MB and 3,000 pages, the limits of the large OCR services, and 1,000 million pixels, which suffice
    /// for A2 at 1,200 dpi and any camera.
    fn default() -> Self {
        Self { max_bytes: 500_000_000, max_pages: 3_000, max_pixels: 1_000_000_000 }
    }
}

impl DocumentLimits {
    /// Returns the limits of an image that is decoded as a whole.
    pub(crate) fn whole(&self) -> Self {
        Self { max_pixels: self.max_pixels.min(MAX_WHOLE_PIXELS), ..*self }
    }

    pub(crate) fn check_bytes(&self, bytes: u64) -> Result<(), Failure> {
        let max = self.max_bytes;
        match bytes {
            0 => Err(Failure::new(FailureCode::EmptyDocument, "The document is empty.")),
            bytes if bytes > max => Err(Failure::new(
                FailureCode::DocumentTooLarge,
                format!("The document has {bytes} bytes; at most {max} are taken."),
            )),
            _ => Ok(()),
        }
    }

    /// Note: `pages` may be a lower bound, because counting stops above the limit.
    pub(crate) fn check_pages(&self, pages: u32) -> Result<(), Failure> {
        let max = self.max_pages;
        if pages <= max {
            return Ok(());
        }
        let message = format!("The document has {pages} pages or more; at most {max} are taken.");
        Err(Failure::new(FailureCode::TooManyPages, message))
    }
}
