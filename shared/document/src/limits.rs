//! What is taken, and the sentences that refuse the rest.

use quire_tasks::{Failure, FailureCode};

/// What is taken; more is refused before anything is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a document.
    pub max_bytes: u64,
    /// Pages of a document.
    pub max_pages: u32,
    /// Pixels of an image. The pages of a PDF have none until they are rendered, and that is bounded anyway.
    pub max_pixels: u64,
}

impl Default for Limits {
    /// 500 MB and 3,000 pages are what the large services take; 100 million pixels are A4 at 1,000 dpi and any camera,
    /// and 300 MB when decoded.
    fn default() -> Self {
        Self { max_bytes: 500_000_000, max_pages: 3_000, max_pixels: 100_000_000 }
    }
}

impl Limits {
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

    /// Counting may have stopped at the first page too many.
    pub(crate) fn check_pages(&self, pages: u32) -> Result<(), Failure> {
        let max = self.max_pages;
        if pages <= max {
            return Ok(());
        }
        let message = format!("The document has {pages} pages or more; at most {max} are taken.");
        Err(Failure::new(FailureCode::TooManyPages, message))
    }

    pub(crate) fn check_pixels(&self, (width, height): (u32, u32)) -> Result<(), Failure> {
        let (pixels, max) = (u64::from(width) * u64::from(height), self.max_pixels);
        if pixels <= max {
            return Ok(());
        }
        let message = format!("The image has {width} × {height} pixels; at most {max} are taken in all.");
        Err(Failure::new(FailureCode::TooManyPixels, message))
    }
}
