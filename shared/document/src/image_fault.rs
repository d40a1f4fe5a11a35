//! Why an image cannot be decoded, in words for the customer. Messages of decoders are internal and not passed on.

use std::io;

use quire_tasks::{Failure, FailureCode};

use crate::file_failure::file_failure;

/// Why an image, or a page of a TIFF, cannot be decoded. Decision: refuse the document, or fail the page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageFault {
    /// The file ends before the first row.
    #[error("the file is truncated")]
    Truncated,
    /// Nothing can be decoded. The reason completes "cannot be decoded: ".
    #[error("{0}")]
    Invalid(&'static str),
    /// A format or feature that no decoder supports, in the plural: "HEIC images".
    #[error("{0} are not supported")]
    Unsupported(String),
    /// More pixels than the limit.
    #[error("{0}")]
    TooLarge(String),
    /// All pixels are fully transparent. Decision: decode again without transparency.
    #[error("all its pixels are transparent")]
    Invisible,
    /// Our own disk.
    #[error("the document's file cannot be read")]
    File(io::Error),
}

/// The reason for damaged data.
pub(crate) const DAMAGED: ImageFault = ImageFault::Invalid("its data is damaged");

impl ImageFault {
    /// Names an unsupported format or feature, in the plural.
    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported(what.into())
    }

    /// Returns the failure of `what`, e.g. "The image"; `code` for what is truncated or invalid.
    pub(crate) fn into_failure(self, code: FailureCode, what: &str) -> Failure {
        match self {
            Self::Unsupported(feature) => {
                Failure::new(FailureCode::UnsupportedFormat, format!("{feature} are not supported."))
            }
            Self::TooLarge(why) => Failure::new(FailureCode::TooManyPixels, why),
            Self::File(error) => file_failure(&error),
            fault => Failure::new(code, format!("{what} cannot be decoded: {fault}.")),
        }
    }
}

impl From<io::Error> for ImageFault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            // A position that no file can have.
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => DAMAGED,
            _ => Self::File(error),
        }
    }
}
