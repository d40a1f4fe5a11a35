//! Reads the stored text of a page.

use quire_tasks::{ObjectKey, PageRef, PageText};
use tracing::error;

use crate::{Backend, Error, Result, retry_with_backoff};

/// The stored text of a page in a round.
#[derive(Debug, Clone, PartialEq)]
pub enum StoredPageText {
    /// The text.
    Text(Box<PageText>),
    /// The object is missing: the task was deleted, or the page was not read in this round.
    Missing,
    /// The object cannot be parsed. The parser's error is only logged, since it may quote the customer's text.
    Malformed,
}

impl StoredPageText {
    /// Returns the text.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is missing, and [`Error::Failed`] if it is malformed.
    pub fn require(self, page: PageRef) -> Result<PageText> {
        match self {
            Self::Text(text) => Ok(*text),
            Self::Missing => Err(Error::NotFound { what: format!("the text of page {page}") }),
            Self::Malformed => Err(Error::Failed { what: "a stored result", why: format!("{page} is malformed") }),
        }
    }
}

/// Reads the text that was stored for a page in a round.
///
/// # Errors
/// Any [`Error`] but [`Error::NotFound`], after retries with backoff.
pub async fn read_page_text(backend: &Backend, page: PageRef, round: u32) -> Result<StoredPageText> {
    let key = ObjectKey::PageText { page, round }.to_string();
    let json = match retry_with_backoff(|| backend.objects.read(&key)).await {
        Ok(json) => json,
        Err(Error::NotFound { .. }) => return Ok(StoredPageText::Missing),
        Err(error) => return Err(error),
    };
    match serde_json::from_slice(&json) {
        Ok(text) => Ok(StoredPageText::Text(Box::new(text))),
        Err(error) => {
            error!(object.key = key, line = error.line(), column = error.column(), "malformed page text");
            Ok(StoredPageText::Malformed)
        }
    }
}
