//! A task's documents and their states.

use serde::{Deserialize, Serialize};

use crate::{Failure, PageStatus};

/// What the customer sent: one PDF or one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Its number in the task, from 1.
    pub number: u32,
    /// The file name that the customer gave it.
    pub name: Option<String>,
    /// Its state.
    pub state: DocumentState,
    /// Its source, if its bytes did not come with the request. A retry fetches it from there again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<DocumentSource>,
}

impl Document {
    /// Returns a document in its first state.
    pub fn new(number: u32, name: Option<String>, state: DocumentState) -> Self {
        let source = match &state {
            DocumentState::Pending { source } => Some(source.clone()),
            DocumentState::Split(_) | DocumentState::Failed(_) => None,
        };
        Self { number, name, state, source }
    }
}

/// The state of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum DocumentState {
    /// Waits in the documents queue to be fetched, validated and split into pages.
    Pending {
        /// Where to fetch it from.
        #[serde(flatten)]
        source: DocumentSource,
    },
    /// Stored in the object store, with its pages counted.
    Split(SplitDocument),
    /// It could not be fetched or validated and has no pages.
    Failed(Failure),
}

impl DocumentState {
    /// Returns the number of pages, and their status, that the document adds to its task's [`Counts`](crate::Counts)
    /// in this state. A document without a known page count counts as one page.
    pub const fn weight(&self) -> (u32, PageStatus) {
        match self {
            Self::Pending { .. } => (1, PageStatus::Queued),
            Self::Split(split) => (split.pages, PageStatus::Queued),
            Self::Failed(_) => (1, PageStatus::Failed),
        }
    }
}

/// Where a document is fetched from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DocumentSource {
    /// An HTTP URL.
    Url {
        /// The URL.
        url: String,
    },
    /// The object store: the customer uploads it there.
    Inbox {
        /// The object's key.
        key: String,
        /// The object's version, if the bucket is versioned; otherwise the current object is read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
    },
}

/// A validated document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitDocument {
    /// Its format, detected from its bytes.
    pub format: DocumentFormat,
    /// Its number of pages, at least 1.
    pub pages: u32,
}

/// The supported document formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentFormat {
    /// PDF.
    Pdf,
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// TIFF, of one or more pages.
    Tiff,
    /// WebP.
    Webp,
    /// Windows bitmap.
    Bmp,
    /// GIF, of which the first image is read.
    Gif,
    /// JPEG 2000.
    Jpeg2000,
    /// JPEG XL.
    JpegXl,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pending_document_reads_back_from_each_source() {
        let url = DocumentSource::Url { url: "https://example.com/a.pdf".to_owned() };
        let fixed = DocumentSource::Inbox { key: "inbox/a.pdf".to_owned(), version: Some("3".to_owned()) };
        let newest = DocumentSource::Inbox { key: "inbox/a.pdf".to_owned(), version: None };
        let written = [
            r#"{"state":"pending","url":"https://example.com/a.pdf"}"#,
            r#"{"state":"pending","key":"inbox/a.pdf","version":"3"}"#,
            r#"{"state":"pending","key":"inbox/a.pdf"}"#,
        ];
        for (source, written) in [url, fixed, newest].into_iter().zip(written) {
            let state = DocumentState::Pending { source };
            assert_eq!(serde_json::to_string(&state).expect("JSON"), written);
            assert_eq!(serde_json::from_str::<DocumentState>(written).expect("a state"), state);
        }
    }
}
