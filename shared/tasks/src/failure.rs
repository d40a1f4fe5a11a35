//! Why a document or a page could not be read, in words that clients can rely on.

use serde::{Deserialize, Serialize};

/// Stable names of what can go wrong with a document or a page. Clients match on them: never rename one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureCode {
    /// The bytes are no PDF, PNG, JPEG, TIFF, WebP or BMP.
    UnsupportedFormat,
    /// Nothing was sent.
    EmptyDocument,
    /// More bytes than are taken.
    DocumentTooLarge,
    /// More pages than are taken.
    TooManyPages,
    /// A page with more pixels than are taken.
    TooManyPixels,
    /// A PDF that asks for a password.
    EncryptedDocument,
    /// The document is broken: it cannot be opened or counted.
    UnreadableDocument,
    /// The page is broken, its document is not.
    UnreadablePage,
    /// `image_url` may not be fetched: its scheme, its port or its address is refused.
    UrlRefused,
    /// `image_url` could not be fetched.
    FetchFailed,
    /// The document was announced, and its upload never came, or it was removed before it was read.
    UploadMissing,
    /// No engine here reads in the mode that was asked for, or the engine that was asked for is gone.
    NotOffered,
    /// The model failed on this page, alone in its micro-batch.
    ModelFailed,
    /// The page took longer than a page may.
    TimedOut,
    /// The page was taken up as often as is allowed, and whoever read it died each time.
    AttemptsExhausted,
    /// What was to be taken out of the text could not be looked for, so nothing of it was kept.
    RedactionFailed,
    /// Something that should not happen; the log has more.
    Internal,
}

impl FailureCode {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::UnsupportedFormat,
        Self::EmptyDocument,
        Self::DocumentTooLarge,
        Self::TooManyPages,
        Self::TooManyPixels,
        Self::EncryptedDocument,
        Self::UnreadableDocument,
        Self::UnreadablePage,
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

    /// The code as it is written in answers.
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

    /// Whether sending the same again may end better: false where the document itself is at fault.
    pub const fn retryable(self) -> bool {
        matches!(
            self,
            Self::FetchFailed
                | Self::UploadMissing
                | Self::ModelFailed
                | Self::TimedOut
                | Self::AttemptsExhausted
                | Self::RedactionFailed
                | Self::Internal
        )
    }
}

/// A code for programs and a sentence for people. The sentence holds no text of the document and no URL's query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct Failure {
    /// What went wrong.
    pub code: FailureCode,
    /// The same, for a reader.
    pub message: String,
}

impl Failure {
    /// A failure with its sentence.
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_written_the_same_in_json_and_in_text() {
        for code in FailureCode::ALL {
            assert_eq!(serde_json::to_value(code).ok(), Some(code.as_str().into()));
        }
    }

    #[test]
    fn all_codes_are_all_that_there_are() {
        // What is no code is told which codes there are.
        let error = serde_json::from_str::<FailureCode>("\"?\"").expect_err("no code").to_string();
        let known: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
        assert_eq!(known, FailureCode::ALL.map(FailureCode::as_str), "{error}");
    }
}
