//! Builds the bodies of callbacks.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use quire_callback::{MAX_PAGES, MAX_TEXT_BYTES, PageContent};
use quire_fair_share::{WeightedPermit, WeightedShare};
use quire_platform::{Backend, PageBatches, Result, StoredPageText, read_page_text, retry_with_backoff};
use quire_tasks::{CallbackPayload, Page, PageRef, PageStatus, Task, UnixMillis, average_confidence};
use tracing::warn;

use crate::schedule::CallbackRequest;

/// Maximum concurrent reads of texts: enough to hide the object store's latency, few enough to fit in memory.
const MAX_CONCURRENT_READS: usize = 8;
/// Maximum memory of all bodies of one tenant; all together have half as much again. Many small bodies or few large
/// ones can be in flight.
const MAX_MEMORY_KIB: u32 = 128 * 1024;
/// Memory reserved while a body is built: its texts, and the JSON, in which escapes may double them.
const MAX_BODY_KIB: u32 = (3 * MAX_TEXT_BYTES / 1024) as u32;

/// Builds payloads within a memory limit per tenant.
#[derive(Debug)]
pub(crate) struct PayloadBuilder(WeightedShare);

/// A payload, with the permit for its memory.
#[derive(Debug)]
pub(crate) struct BuiltPayload {
    pub(crate) body: Bytes,
    _permit: Option<WeightedPermit>,
}

impl Default for PayloadBuilder {
    fn default() -> Self {
        Self(WeightedShare::new(MAX_MEMORY_KIB))
    }
}

impl PayloadBuilder {
    /// Builds the payload of a callback. Waits until its memory is available.
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
            let confidence = mean_confidence(backend, task).await?;
            return Ok(BuiltPayload::small(quire_callback::thin_payload(task, confidence)));
        }
        if task.counts.total() > MAX_PAGES {
            let confidence = mean_confidence(backend, task).await?;
            return Ok(BuiltPayload::small(quire_callback::full_payload_without_pages(task, confidence)));
        }
        let mut permit = self.0.acquire(task.tenant.as_str(), MAX_BODY_KIB).await;
        let body = build_full_body(backend, task).await?;
        permit.shrink_to(body.len().div_ceil(1024));
        Ok(BuiltPayload { body, _permit: Some(permit) })
    }
}

impl BuiltPayload {
    fn small(body: String) -> Self {
        Self { body: body.into(), _permit: None }
    }
}

async fn mean_confidence(backend: &Backend, task: &Task) -> Result<Option<f32>> {
    let mut confidences = Vec::new();
    let mut pages = PageBatches::of_task(backend, task.id);
    while let Some(pages) = pages.next().await? {
        confidences.extend(pages.iter().map(|page| page.confidence));
    }
    Ok(average_confidence(confidences))
}

async fn build_full_body(backend: &Backend, task: &Task) -> Result<Bytes> {
    let pages = retry_with_backoff(|| backend.tasks.pages(task.id)).await?;
    let read = read_pages(backend, &pages).await?;
    Ok(quire_callback::full_payload(task, &pages, &read).into())
}

/// Reads the texts of all pages that were read. If one is missing, or all together exceed the limit of a callback,
/// the texts are dropped, so that they take no memory.
async fn read_pages(backend: &Backend, pages: &[Page]) -> Result<BTreeMap<PageRef, PageContent>> {
    let succeeded = pages.iter().filter(|page| page.status == PageStatus::Succeeded);
    let succeeded: Vec<(PageRef, u32)> = succeeded.map(|page| (page.page, page.round)).collect();
    let reads = succeeded.into_iter().map(|(page, round)| read_page(backend.clone(), page, round));
    let mut results = stream::iter(reads).buffered(MAX_CONCURRENT_READS);
    let mut contents = BTreeMap::new();
    let mut total_bytes = Some(0);
    while let Some(result) = results.next().await {
        let Some((page, mut content)) = result? else {
            total_bytes = None;
            continue;
        };
        let bytes = content.text.as_ref().map_or(0, String::len);
        total_bytes = total_bytes.map(|total| total + bytes).filter(|total| *total <= MAX_TEXT_BYTES);
        if total_bytes.is_none() {
            content.text = None;
        }
        contents.insert(page, content);
    }
    Ok(contents)
}

async fn read_page(backend: Backend, page: PageRef, round: u32) -> Result<Option<(PageRef, PageContent)>> {
    match read_page_text(&backend, page, round).await? {
        StoredPageText::Text(text) => Ok(Some((page, (*text).into()))),
        StoredPageText::Missing => Ok(None),
        StoredPageText::Malformed => {
            warn!(%page, "sending the callback without text, because a stored result is malformed");
            Ok(None)
        }
    }
}
