//! Why a document cannot be copied.

use hayro_syntax::{DecryptionError, LoadPdfError};

/// Why a document cannot be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CopyFault {
    #[error("it is too large to be copied")]
    TooLarge,
    #[error("its objects are nested too deeply, or are too many")]
    Complex,
    #[error("its structure is damaged")]
    Damaged,
    #[error("it is encrypted in a way that is not supported")]
    Encrypted,
    #[error("it needs a password")]
    Password,
}

impl From<LoadPdfError> for CopyFault {
    fn from(error: LoadPdfError) -> Self {
        match error {
            LoadPdfError::Decryption(DecryptionError::PasswordProtected) => Self::Password,
            LoadPdfError::Decryption(_) => Self::Encrypted,
            LoadPdfError::Invalid => Self::Damaged,
        }
    }
}
