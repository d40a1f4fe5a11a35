//! A task's documents, and how far each is.

use serde::{Deserialize, Serialize};

use crate::{Failure, PageStatus};

/// What the customer sent: one PDF or one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Its place in the task, from 1.
    pub number: u32,
    /// The file name that came with it.
    pub name: Option<String>,
    /// How far it is.
    pub state: DocumentState,
    /// Where it was to be had, where it was not sent along: whoever tries it again has it fetched from there once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<DocumentSource>,
}

impl Document {
    /// A document in its first state.
    pub fn new(number: u32, name: Option<String>, state: DocumentState) -> Self {
        let source = match &state {
            DocumentState::Pending { source } => Some(source.clone()),
            DocumentState::Split(_) | DocumentState::Failed(_) => None,
        };
        Self { number, name, state, source }
    }
}

/// How far a document is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum DocumentState {
    /// To be fetched, checked and split behind the documents queue.
    Pending {
        /// Where it is to be had.
        #[serde(flatten)]
        source: DocumentSource,
    },
    /// In the object store, its pages counted.
    Split(SplitDocument),
    /// It will never have pages.
    Failed(Failure),
}

impl DocumentState {
    /// What the document adds to its task's [`Counts`](crate::Counts) when it reaches this state.
    pub const fn weight(&self) -> (u32, PageStatus) {
        match self {
            Self::Pending { .. } => (1, PageStatus::Queued),
            Self::Split(split) => (split.pages, PageStatus::Queued),
            Self::Failed(_) => (1, PageStatus::Failed),
        }
    }
}

/// Where a document is to be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DocumentSource {
    /// At an address.
    Url {
        /// The address.
        url: String,
    },
    /// In the object store, where its customer puts it.
    Inbox {
        /// Its key.
        key: String,
        /// The version that was announced, where the store keeps versions; otherwise what lies there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
    },
}

/// What a check of a document found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitDocument {
    /// Its format, by its bytes.
    pub format: DocumentFormat,
    /// How many pages it has, at least 1.
    pub pages: u32,
}

/// The formats we read.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pending_document_reads_back_from_wherever_it_is_to_be_had() {
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
