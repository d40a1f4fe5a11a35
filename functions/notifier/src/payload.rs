//! What is told: the body of a callback.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use quire_callback::{MAX_TEXT_BYTES, PageContent};
use quire_platform::{Backend, Error, Result, retry_with_backoff};
use quire_tasks::{CallbackPayload, ObjectKey, Page, PageRef, PageStatus, PageText, Task, UnixMillis};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

use crate::schedule::CallbackRequest;

/// Texts that are read at once: enough to hide the store's latency, few enough to hold in memory.
const READS_AT_ONCE: usize = 8;
/// What bodies may take up, all together: many more small ones are in hand than large ones.
const MAX_HELD_KIB: usize = 192 * 1024;
/// What a body may take up while it is made: its texts, and the body with them, in which an escape may double them.
const MAX_BODY_KIB: u32 = (3 * MAX_TEXT_BYTES / 1024) as u32;

/// Room for the bodies in hand.
#[derive(Debug)]
pub(crate) struct PayloadBuilder(Arc<Semaphore>);

/// A body, and the room that it takes up.
#[derive(Debug)]
pub(crate) struct BuiltPayload {
    pub(crate) body: Bytes,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Default for PayloadBuilder {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_HELD_KIB)))
    }
}

impl PayloadBuilder {
    /// What this call tells at `now`; waits while there is no room for it.
    pub(crate) async fn build(
        &self,
        backend: &Backend,
        request: &CallbackRequest,
        now: UnixMillis,
    ) -> Result<BuiltPayload> {
        let task = &request.task;
        if request.is_progress() {
            return Ok(BuiltPayload::small(quire_callback::progress_payload(task, now)));
        }
        if task.callback.as_ref().is_some_and(|callback| callback.payload == CallbackPayload::Thin) {
            let pages = retry_with_backoff(|| backend.tasks.pages(task.id)).await?;
            return Ok(BuiltPayload::small(quire_callback::thin_payload(task, &pages)));
        }
        let permit = Arc::clone(&self.0).acquire_many_owned(MAX_BODY_KIB).await;
        let body = build_full_body(backend, task).await?;
        Ok(BuiltPayload { _permit: permit.ok().map(|permit| shrink_permit(permit, body.len())), body })
    }
}

impl BuiltPayload {
    fn small(body: String) -> Self {
        Self { body: body.into(), _permit: None }
    }
}

/// What a body of so many bytes takes up of the room that it was made in.
fn shrink_permit(mut permit: OwnedSemaphorePermit, bytes: usize) -> OwnedSemaphorePermit {
    let needed = bytes.div_ceil(1024).min(permit.num_permits());
    drop(permit.split(permit.num_permits() - needed));
    permit
}

async fn build_full_body(backend: &Backend, task: &Task) -> Result<Bytes> {
    let pages = retry_with_backoff(|| backend.tasks.pages(task.id)).await?;
    let read = read_pages(backend, &pages).await?;
    Ok(quire_callback::full_payload(task, &pages, &read).into())
}

/// The pages that were read. When one is gone, or when there is more text than a callback carries, it goes without any:
/// what is not to be told is not held in memory either.
async fn read_pages(backend: &Backend, pages: &[Page]) -> Result<BTreeMap<PageRef, PageContent>> {
    let succeeded = pages.iter().filter(|page| page.status == PageStatus::Succeeded);
    let succeeded: Vec<(PageRef, u32)> = succeeded.map(|page| (page.page, page.round)).collect();
    let reads = succeeded.into_iter().map(|(page, round)| read_page(backend.clone(), page, round));
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

async fn read_page(backend: Backend, page: PageRef, round: u32) -> Result<Option<(PageRef, PageContent)>> {
    let key = ObjectKey::PageText { page, round }.to_string();
    let object = match retry_with_backoff(|| backend.objects.read(&key)).await {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_takes_up_the_permit_that_it_needs() {
        let capacity = Arc::new(Semaphore::new(MAX_HELD_KIB));
        let whole = Arc::clone(&capacity).try_acquire_many_owned(MAX_BODY_KIB).expect("enough permits");
        let small = shrink_permit(whole, 1025);
        assert_eq!((small.num_permits(), capacity.available_permits()), (2, MAX_HELD_KIB - 2));
        let whole = Arc::clone(&capacity).try_acquire_many_owned(MAX_BODY_KIB).expect("enough permits");
        assert_eq!(shrink_permit(whole, usize::MAX).num_permits(), MAX_BODY_KIB as usize, "no more than it has");
    }
}
