//! Failures of documents and pages.

use serde::{Deserialize, Serialize};

/// A stable failure code of a document or page. Clients match on codes: never rename one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureCode {
    /// The format, or a feature of it, is not supported.
    UnsupportedFormat,
    /// The document has no bytes.
    EmptyDocument,
    /// The document exceeds the size limit.
    DocumentTooLarge,
    /// The document exceeds the page limit.
    TooManyPages,
    /// A page exceeds the pixel limit.
    TooManyPixels,
    /// The PDF requires a password.
    EncryptedDocument,
    /// The document is corrupt: it cannot be opened or its pages cannot be counted.
    UnreadableDocument,
    /// The page is corrupt; its document can be opened.
    UnreadablePage,
    /// A quota of the tenant does not suffice for the document.
    QuotaExceeded,
    /// The document or page exceeds a limit on memory, processor time or time while it is parsed or rendered.
    TooComplex,
    /// `image_url` is not allowed: its scheme, port or address is refused.
    UrlRefused,
    /// `image_url` could not be fetched.
    FetchFailed,
    /// The announced upload did not arrive, or was deleted before it was read.
    UploadMissing,
    /// No configured engine supports the requested mode, or the requested engine is not configured.
    NotOffered,
    /// The model failed on this page, in a micro-batch of its own.
    ModelFailed,
    /// The page exceeded the timeout.
    TimedOut,
    /// All delivery attempts of the page's message were used up without a result.
    AttemptsExhausted,
    /// The redaction policy could not be applied, so the text was not stored.
    RedactionFailed,
    /// An internal error; the log has the details.
    Internal,
}

impl FailureCode {
    /// All codes.
    pub const ALL: [Self; 19] = [
        Self::UnsupportedFormat,
        Self::EmptyDocument,
        Self::DocumentTooLarge,
        Self::TooManyPages,
        Self::TooManyPixels,
        Self::EncryptedDocument,
        Self::UnreadableDocument,
        Self::UnreadablePage,
        Self::QuotaExceeded,
        Self::TooComplex,
        Self::UrlRefused,
        Self::FetchFailed,
        Self::UploadMissing,
        Self::NotOffered,
        Self::ModelFailed,
        Self::TimedOut,
        Self::AttemptsExhausted,
        Self::RedactionFailed,
        Self::Internal,
    ];

    /// Returns the code as it is written in responses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnsupportedFormat => "unsupported_format",
            Self::EmptyDocument => "empty_document",
            Self::DocumentTooLarge => "document_too_large",
            Self::TooManyPages => "too_many_pages",
            Self::TooManyPixels => "too_many_pixels",
            Self::EncryptedDocument => "encrypted_document",
            Self::UnreadableDocument => "unreadable_document",
            Self::UnreadablePage => "unreadable_page",
            Self::QuotaExceeded => "quota_exceeded",
            Self::TooComplex => "too_complex",
            Self::UrlRefused => "url_refused",
            Self::FetchFailed => "fetch_failed",
            Self::UploadMissing => "upload_missing",
            Self::NotOffered => "not_offered",
            Self::ModelFailed => "model_failed",
            Self::TimedOut => "timed_out",
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::RedactionFailed => "redaction_failed",
            Self::Internal => "internal",
        }
    }

    /// Returns whether a retry can succeed: false if the document itself is the cause.
    pub const fn retryable(self) -> bool {
        matches!(
            self,
            Self::QuotaExceeded
                | Self::FetchFailed
                | Self::UploadMissing
                | Self::ModelFailed
                | Self::TimedOut
                | Self::AttemptsExhausted
                | Self::RedactionFailed
                | Self::Internal
        )
    }
}

/// A failure: a code for programs and a message for people. The message contains no text of the document and no URL
/// query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct Failure {
    /// The code.
    pub code: FailureCode,
    /// The message.
    pub message: String,
}

impl Failure {
    /// Returns a failure with a message.
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_the_same_text_in_json() {
        for code in FailureCode::ALL {
            assert_eq!(serde_json::to_value(code).ok(), Some(code.as_str().into()));
        }
    }

    #[test]
    fn all_codes_are_listed() {
        // serde lists the known variants in its error.
        let error = serde_json::from_str::<FailureCode>("\"?\"").expect_err("no code").to_string();
        let known: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
        assert_eq!(known, FailureCode::ALL.map(FailureCode::as_str), "{error}");
    }
}
