//! What is there to tell, if anything.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use quire_callback::{MAX_TEXT_BYTES, ReadPage};
use quire_platform::{Error, Home, Result, patiently};
use quire_tasks::{CallbackMessage, CallbackState, Key, Page, PageRef, PageStatus, PageText, Task, TaskId, WebhookId};
use tracing::warn;

/// Texts that are read at once: enough to hide the store's latency, few enough to hold in memory.
const READS_AT_ONCE: usize = 8;

/// What a message asks for, now that the task has been looked at.
#[derive(Debug)]
pub(crate) enum Due {
    /// This is to be told.
    Letter(Letter),
    /// The task is gone or goes on, or its receiver was told already.
    Nothing,
    /// The receiver was told in vain for the last time.
    GivenUp {
        /// What it said.
        reason: String,
    },
}

/// What is to be told, and to whom.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) task_id: TaskId,
    pub(crate) trace_id: Option<String>,
    /// The same on every attempt.
    pub(crate) webhook_id: String,
    pub(crate) url: String,
    pub(crate) body: Bytes,
}

pub(crate) async fn load(home: &Home, message: &CallbackMessage) -> Result<Due> {
    let task = match patiently(|| home.tasks.task(message.task_id)).await {
        Ok(task) => task,
        Err(Error::NotFound { .. }) => return Ok(Due::Nothing),
        Err(error) => return Err(error),
    };
    let Some(callback) = task.callback.as_ref().filter(|_| task.round == message.round) else {
        return Ok(Due::Nothing);
    };
    if callback.state == CallbackState::Exhausted {
        return Ok(Due::GivenUp { reason: callback.last_error.clone().unwrap_or_default() });
    }
    if !task.owes_callback() {
        return Ok(Due::Nothing);
    }
    let url = callback.url.clone();
    let body = body(home, &task).await?;
    let (task_id, trace_id) = (task.id, task.trace.map(|trace| trace.trace_id()));
    Ok(Due::Letter(Letter {
        task_id,
        trace_id,
        webhook_id: WebhookId::end_of(task_id, task.round).to_string(),
        url,
        body,
    }))
}

async fn body(home: &Home, task: &Task) -> Result<Bytes> {
    let pages = patiently(|| home.tasks.pages(task.id)).await?;
    let read = read_pages(home, &pages).await?;
    Ok(quire_callback::payload(task, &pages, &read).into())
}

/// The pages that were read. When one is gone, or when there is more text than a callback carries, it goes without any:
/// what is not to be told is not held in memory either.
async fn read_pages(home: &Home, pages: &[Page]) -> Result<BTreeMap<PageRef, ReadPage>> {
    let succeeded = pages.iter().filter(|page| page.status == PageStatus::Succeeded);
    let succeeded: Vec<(PageRef, u32)> = succeeded.map(|page| (page.page, page.round)).collect();
    let reads = succeeded.into_iter().map(|(page, round)| read_page(home.clone(), page, round));
    let mut arriving = stream::iter(reads).buffered(READS_AT_ONCE);
    let mut read = BTreeMap::new();
    let mut bytes = Some(0);
    while let Some(arrived) = arriving.next().await {
        let Some((page, mut arrived)) = arrived? else {
            bytes = None;
            continue;
        };
        let more = arrived.text.as_ref().map_or(0, String::len);
        bytes = bytes.map(|bytes| bytes + more).filter(|bytes| *bytes <= MAX_TEXT_BYTES);
        if bytes.is_none() {
            arrived.text = None;
        }
        read.insert(page, arrived);
    }
    Ok(read)
}

async fn read_page(home: Home, page: PageRef, round: u32) -> Result<Option<(PageRef, ReadPage)>> {
    let key = Key::PageText { page, round }.to_string();
    let object = match patiently(|| home.objects.read(&key)).await {
        Ok(object) => object,
        Err(Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Ok(text) = serde_json::from_slice::<PageText>(&object) else {
        // What was found is not said: it may be text of the document.
        warn!(%page, "a stored result cannot be read; the callback goes without text");
        return Ok(None);
    };
    Ok(Some((page, text.into())))
}
