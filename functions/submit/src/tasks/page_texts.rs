//! What was read on pages, from the store.

use futures_util::{StreamExt, TryStreamExt, stream};
use quire_platform::{Backend, Error, Result};
use quire_tasks::{Failure, FailureCode, Key, Page, PageStatus, PageText, Task};
use tracing::error;

use crate::time::now;

/// How many results of a task are read from the store at a time: enough to hide its latency, and few enough that a
/// long document does not take all its connections.
const READ_AT_A_TIME: usize = 16;

/// What is there of a page to be shown.
#[derive(Debug, PartialEq)]
pub(crate) enum StoredText {
    /// Nothing yet, or nothing at all.
    None,
    /// What was read.
    Read(Box<PageText>),
    /// It was read, and what was read is no longer in the store.
    Lost,
}

/// What is said of a page whose text is lost.
pub(crate) fn lost() -> Failure {
    Failure::new(FailureCode::Internal, "What was read on this page is no longer there.")
}

/// These pages with what was read on them, once their task has ended.
///
/// # Errors
/// [`Error::NotFound`] where the task is deleted meanwhile; otherwise any.
pub(crate) async fn page_texts(backend: &Backend, task: &Task, pages: Vec<Page>) -> Result<Vec<(Page, StoredText)>> {
    let ended = task.status().ended();
    let reads = pages.into_iter().map(|page| with_text(backend.clone(), page, ended));
    let texts: Vec<_> = stream::iter(reads).buffered(READ_AT_A_TIME).try_collect().await?;
    if texts.iter().any(|(_, text)| *text == StoredText::Lost) && backend.tasks.task(task.id).await?.expired(now()) {
        return Err(Error::NotFound { what: task.id.to_string() });
    }
    Ok(texts)
}

async fn with_text(backend: Backend, page: Page, ended: bool) -> Result<(Page, StoredText)> {
    if !ended || page.status != PageStatus::Succeeded {
        return Ok((page, StoredText::None));
    }
    let key = Key::PageText { page: page.page, round: page.round }.to_string();
    let text = match backend.objects.read(&key).await {
        Ok(json) => StoredText::Read(Box::new(parse(&key, &json)?)),
        Err(Error::NotFound { .. }) => StoredText::Lost,
        Err(error) => return Err(error),
    };
    Ok((page, text))
}

fn parse(key: &str, json: &[u8]) -> Result<PageText> {
    serde_json::from_slice(json).map_err(|error| {
        // The position says enough; the object itself is the customer's text.
        error!(object.key = key, line = error.line(), column = error.column(), "a stored result is malformed");
        Error::Failed { what: "a stored result", why: "malformed".to_owned() }
    })
}
