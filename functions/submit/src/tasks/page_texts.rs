//! Reads the text of pages from the object store.

use futures_util::{StreamExt, TryStreamExt, stream};
use quire_platform::{Backend, Error, Result, StoredPageText, now, read_page_text};
use quire_tasks::{Failure, FailureCode, Page, PageStatus, PageText, Task};

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
    let text = match read_page_text(&backend, page.page, page.round).await? {
        StoredPageText::Missing => StoredText::Missing,
        stored => StoredText::Read(Box::new(stored.require(page.page)?)),
    };
    Ok((page, text))
}
