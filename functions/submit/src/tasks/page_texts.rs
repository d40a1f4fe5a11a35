//! Reads the text of pages from the object store.

use futures_util::{StreamExt, TryStreamExt, stream};
use quire_platform::{Backend, Error, Result, now};
use quire_tasks::{Failure, FailureCode, ObjectKey, Page, PageStatus, PageText, Task};
use tracing::error;

/// The number of pages that are read concurrently: enough to hide the latency of the store, and few enough that a long
/// document does not take all connections.
const READ_CONCURRENCY: usize = 16;

/// The stored text of a page.
#[derive(Debug, PartialEq)]
pub(crate) enum StoredText {
    /// The task is open, or the page was not read.
    None,
    /// The text.
    Read(Box<PageText>),
    /// The page was read, but its object is missing.
    Missing,
}

/// Returns the failure of a page whose text is missing.
pub(crate) fn missing_text() -> Failure {
    Failure::new(FailureCode::Internal, "The text of this page is missing from the store.")
}

/// Returns these pages with their text if their task has ended.
///
/// # Errors
/// [`Error::NotFound`] if the task was deleted concurrently, or any other error of the backend.
pub(crate) async fn page_texts(backend: &Backend, task: &Task, pages: Vec<Page>) -> Result<Vec<(Page, StoredText)>> {
    let ended = task.status().ended();
    let reads = pages.into_iter().map(|page| read_text(backend.clone(), page, ended));
    let texts: Vec<_> = stream::iter(reads).buffered(READ_CONCURRENCY).try_collect().await?;
    if texts.iter().any(|(_, text)| *text == StoredText::Missing) && backend.tasks.task(task.id).await?.expired(now()) {
        return Err(Error::NotFound { what: task.id.to_string() });
    }
    Ok(texts)
}

async fn read_text(backend: Backend, page: Page, ended: bool) -> Result<(Page, StoredText)> {
    if !ended || page.status != PageStatus::Succeeded {
        return Ok((page, StoredText::None));
    }
    let key = ObjectKey::PageText { page: page.page, round: page.round }.to_string();
    let text = match backend.objects.read(&key).await {
        Ok(json) => StoredText::Read(Box::new(parse(&key, &json)?)),
        Err(Error::NotFound { .. }) => StoredText::Missing,
        Err(error) => return Err(error),
    };
    Ok((page, text))
}

fn parse(key: &str, json: &[u8]) -> Result<PageText> {
    serde_json::from_slice(json).map_err(|error| {
        // Only the position is logged: the object is the customer's text.
        error!(object.key = key, line = error.line(), column = error.column(), "malformed page text");
        Error::Failed { what: "a stored result", why: "malformed".to_owned() }
    })
}
