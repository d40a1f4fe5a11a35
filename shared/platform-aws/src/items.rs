//! The schema of the table: tasks, documents and pages as items.
//!
//! ```text
//! pk        sk                  item
//! task_…    task                the task: record, version, settled, round, chunks; `undispatched` while it is;
//!                               the keys of the indexes by tenant and by expiry
//! task_…    documents#00001     a chunk of documents, if they are too large for the task's item
//! task_…    page#0…1#0…1        a page
//! shelf#…   a key               a record: see `records`
//! ```
//!
//! Optimistic concurrency: every change of a task, its documents or its pages writes the task's item on the condition
//! that its version has not changed, so no other condition is needed. Exception: a page that is completed without
//! reading its item is written on the condition that it is queued. Invariant: a page exists only if its task refers to
//! it, since pages are written before the task that has them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use quire_platform::{Error, Result};
use quire_tasks::{Document, DocumentState, Page, PageRef, PageStatus, Task, TaskId, UnixMillis};
use serde::de::DeserializeOwned;

use crate::reopen_markers::{ReopenMarkers, ReopenToken};

pub(crate) const WHAT: &str = "task table";
/// The attributes of the primary key.
pub(crate) const PARTITION: &str = "pk";
pub(crate) const SORT: &str = "sk";
/// The index of the tasks whose messages may not have been sent, and its key attributes. It contains these tasks only.
pub(crate) const UNDISPATCHED: &str = "undispatched";
pub(crate) const CREATED_AT: &str = "created_at";
/// The only partition of that index: tasks stay in it for a moment.
pub(crate) const NOT_YET: &str = "yes";
/// The time-to-live attribute of the table, in Unix seconds.
pub(crate) const EXPIRES_AT: &str = "expires_at";
/// The index of each tenant's tasks by creation time, and its key attributes, which never change.
pub(crate) const BY_TENANT: &str = "by_tenant";
pub(crate) const TENANT: &str = "tenant";
pub(crate) const LISTED: &str = "listed";
/// The index of the tasks by expiry, and its key attributes. It is sharded, so that no single partition takes all
/// writes.
pub(crate) const BY_EXPIRY: &str = "by_expiry";
pub(crate) const SHARD: &str = "expiry_shard";
pub(crate) const SHARDS: u32 = 16;
/// The exact expiry of a task or record, in Unix milliseconds: the table's time to live counts seconds and may be late
/// by days.
pub(crate) const EXPIRES_AT_MILLIS: &str = "expires_at_ms";
/// How long the time to live waits after a task's expiry, for its regular deletion.
const TIME_TO_LIVE_GRACE_SECS: i64 = 2 * 24 * 3600;
pub(crate) const VERSION: &str = "version";
pub(crate) const ROUND: &str = "round";
/// The round in which a page is queued; absent if it is not.
pub(crate) const OPEN: &str = "open";
/// Counts document changes, in the task and in each chunk: if the sums differ, the read saw half of a change.
pub(crate) const SETTLED: &str = "settled";
const CHUNKS: &str = "chunks";
/// In a task: its [`ReopenMarkers`] as JSON. In a page: the two numbers of its [`ReopenToken`].
const OPENED: &str = "opened";
const TOKEN: &str = "token";
const TOKEN_ROUND: &str = "token_round";
pub(crate) const RECORD: &str = "record";
const TASK: &str = "task";
pub(crate) const PAGES: &str = "page#";

/// The maximum size of documents in the task's item, in bytes: every completed page writes that item, and writes are
/// billed by the kilobyte.
const MAX_INLINE_BYTES: usize = 2 * 1024;
/// The maximum size of a chunk of documents, in bytes, far below the 400 KB of an item: a hundred chunks fit a
/// transaction's 4 MB.
const MAX_CHUNK_BYTES: usize = 32 * 1024;

/// An item, or its key.
pub(crate) type TableItem = HashMap<String, AttributeValue>;

/// A task, and the attributes stored beside it.
#[derive(Debug, Clone)]
pub(crate) struct StoredTask {
    pub(crate) task: Task,
    pub(crate) settled: u64,
    pub(crate) opened: ReopenMarkers,
    chunks: Vec<DocumentChunk>,
}

#[derive(Debug, Clone)]
struct DocumentChunk {
    documents: usize,
    settled: u64,
}

/// The task's item without the chunks of its documents.
pub(crate) struct TaskHead {
    task: Task,
    settled: u64,
    opened: ReopenMarkers,
    pub(crate) chunks: usize,
}

impl StoredTask {
    /// Creates the stored form of a new task.
    pub(crate) fn new(task: Task) -> Result<Self> {
        let mut sizes = Vec::with_capacity(task.documents.len());
        for document in &task.documents {
            sizes.push(json(document)?.len());
        }
        let mut chunks: Vec<DocumentChunk> = Vec::new();
        if sizes.iter().sum::<usize>() > MAX_INLINE_BYTES {
            let mut free_bytes = 0;
            for size in sizes {
                match chunks.last_mut().filter(|_| size <= free_bytes) {
                    Some(chunk) => chunk.documents += 1,
                    None => chunks.push(DocumentChunk { documents: 1, settled: 0 }),
                }
                free_bytes = if size <= free_bytes { free_bytes - size } else { MAX_CHUNK_BYTES.saturating_sub(size) };
            }
        }
        Ok(Self { task, settled: 0, opened: ReopenMarkers::default(), chunks })
    }

    /// Joins a task with its chunks. Returns `None` if the read saw half of a change.
    pub(crate) fn join(head: TaskHead, chunks: &[TableItem]) -> Result<Option<Self>> {
        let TaskHead { mut task, settled, opened, chunks: expected } = head;
        let mut known = Vec::new();
        for item in chunks {
            let documents: Vec<Document> = record(item)?;
            known.push(DocumentChunk { documents: documents.len(), settled: number(item, SETTLED)? });
            task.documents.extend(documents);
        }
        let whole = expected == 0 || known.iter().map(|chunk| chunk.settled).sum::<u64>() == settled;
        Ok((known.len() == expected && whole).then_some(Self { task, settled, opened, chunks: known }))
    }

    /// Returns the task's item.
    pub(crate) fn head(&self) -> Result<TableItem> {
        let mut task = self.task.clone();
        if !self.chunks.is_empty() {
            task.documents.clear();
        }
        let mut item = task_key(task.id);
        item.insert(RECORD.to_owned(), AttributeValue::S(json(&task)?));
        for (name, value) in [
            (VERSION, task.version),
            (ROUND, task.round.into()),
            (SETTLED, self.settled),
            (CHUNKS, self.chunks.len() as u64),
            (CREATED_AT, task.created_at.0.unsigned_abs()),
            (EXPIRES_AT_MILLIS, task.expires_at.0.unsigned_abs()),
        ] {
            item.insert(name.to_owned(), AttributeValue::N(value.to_string()));
        }
        let place = list_key(task.created_at, task.id);
        let texts = [(TENANT, task.tenant.to_string()), (LISTED, place), (SHARD, shard(task.id).to_string())];
        let opened = (!self.opened.is_empty()).then(|| json(&self.opened)).transpose()?.map(|text| (OPENED, text));
        let undispatched = (!task.dispatched).then(|| (UNDISPATCHED, NOT_YET.to_owned()));
        for (name, text) in texts.into_iter().chain(opened).chain(undispatched) {
            item.insert(name.to_owned(), AttributeValue::S(text));
        }
        Ok(item)
    }

    /// Returns the items of all chunks of documents.
    pub(crate) fn documents(&self) -> Result<Vec<TableItem>> {
        let mut first = 0;
        let item = |(index, chunk): (usize, &DocumentChunk)| {
            let documents = &self.task.documents[first..first + chunk.documents];
            first += chunk.documents;
            chunk_item(self.task.id, index, documents, chunk.settled)
        };
        self.chunks.iter().enumerate().map(item).collect()
    }

    /// Counts a change of a document. Returns its chunk's item, unless it is part of the task's item.
    pub(crate) fn count_finished(&mut self, document: u32) -> Result<Option<TableItem>> {
        self.settled += 1;
        let mut first = 0;
        for (index, chunk) in self.chunks.iter_mut().enumerate() {
            let documents = &self.task.documents[first..first + chunk.documents];
            if documents.iter().any(|one| one.number == document) {
                chunk.settled += 1;
                return chunk_item(self.task.id, index, documents, chunk.settled).map(Some);
            }
            first += chunk.documents;
        }
        Ok(None)
    }

    /// Counts documents that are pending again. Returns their chunks' items.
    pub(crate) fn count_reopened(&mut self, documents: &[u32]) -> Result<Vec<TableItem>> {
        let mut first = 0;
        let mut items = Vec::new();
        for (index, chunk) in self.chunks.iter_mut().enumerate() {
            let within = &self.task.documents[first..first + chunk.documents];
            first += chunk.documents;
            if within.iter().any(|one| documents.contains(&one.number)) {
                chunk.settled += 1;
                self.settled += 1;
                items.push(chunk_item(self.task.id, index, within, chunk.settled)?);
            }
        }
        Ok(items)
    }

    /// Parses a page of the task from its item.
    pub(crate) fn page(&self, item: &TableItem) -> Result<Page> {
        let token = item.get(TOKEN).map(|_| {
            let round = number(item, TOKEN_ROUND)? as u32;
            Ok(ReopenToken { token: number(item, TOKEN)?, round })
        });
        Ok(self.opened.apply(record(item)?, token.transpose()?))
    }

    /// Returns the time to live of the task's items: the fallback if they are not deleted before.
    pub(crate) fn time_to_live(&self) -> AttributeValue {
        AttributeValue::N((self.task.expires_at.0.div_euclid(1000) + TIME_TO_LIVE_GRACE_SECS).to_string())
    }

    /// Returns whether the task has the page.
    pub(crate) fn has(&self, page: PageRef) -> bool {
        let document = self.task.document(page.document).map(|document| &document.state);
        matches!(document, Some(DocumentState::Split(split)) if (1..=split.pages).contains(&page.page))
    }
}

impl TaskHead {
    pub(crate) fn read(item: &TableItem) -> Result<Self> {
        let opened = item.get(OPENED).map(|_| json_of(item, OPENED)).transpose()?.unwrap_or_default();
        let settled = number(item, SETTLED)?;
        let chunks = number(item, CHUNKS)? as usize;
        Ok(Self { task: record(item)?, settled, opened, chunks })
    }
}

/// Returns a page's item.
pub(crate) fn page_item(page: &Page) -> Result<TableItem> {
    let mut item = page_key(page.page);
    item.insert(RECORD.to_owned(), AttributeValue::S(json(page)?));
    if page.status == PageStatus::Queued {
        item.insert(OPEN.to_owned(), AttributeValue::N(page.round.to_string()));
    }
    Ok(item)
}

/// Returns the item of a page with a reopen marker, which takes effect when its task lists the token.
pub(crate) fn marked_page_item(page: &Page, ReopenToken { token, round }: ReopenToken) -> Result<TableItem> {
    let mut item = page_item(page)?;
    item.insert(TOKEN.to_owned(), AttributeValue::N(token.to_string()));
    item.insert(TOKEN_ROUND.to_owned(), AttributeValue::N(round.to_string()));
    Ok(item)
}

/// Returns a task's sort key in its tenant's list, which sorts by time and then by id.
pub(crate) fn list_key(created_at: UnixMillis, id: TaskId) -> String {
    format!("{}#{id}", list_key_since(Some(created_at)))
}

/// Returns the lower bound of the sort keys with that time.
pub(crate) fn list_key_since(since: Option<UnixMillis>) -> String {
    format!("{:014}", since.map_or(0, |since| since.0.max(0)))
}

/// Returns the shard by the id's last digit, which is random or part of a hash.
fn shard(id: TaskId) -> u32 {
    id.to_string().chars().next_back().and_then(|digit| digit.to_digit(SHARDS)).unwrap_or(0)
}

pub(crate) fn task_key(id: TaskId) -> TableItem {
    key(id, TASK.to_owned())
}

pub(crate) fn chunk_key(id: TaskId, index: usize) -> TableItem {
    key(id, format!("documents#{:05}", index + 1))
}

/// Returns a page's key, which sorts numerically.
pub(crate) fn page_key(page: PageRef) -> TableItem {
    key(page.task_id, format!("{PAGES}{:010}#{:010}", page.document, page.page))
}

/// Parses an item's record.
pub(crate) fn record<T: DeserializeOwned>(item: &TableItem) -> Result<T> {
    json_of(item, RECORD)
}

fn json_of<T: DeserializeOwned>(item: &TableItem, name: &str) -> Result<T> {
    serde_json::from_str(text(item, name)?).map_err(|error| malformed(&error.to_string()))
}

/// Returns a string attribute.
pub(crate) fn text<'a>(item: &'a TableItem, name: &str) -> Result<&'a str> {
    let value = item.get(name).and_then(|value| value.as_s().ok());
    value.map(String::as_str).ok_or_else(|| malformed(&format!("no {name}")))
}

fn key(id: TaskId, sort: String) -> TableItem {
    let pair = |name: &str, value| (name.to_owned(), AttributeValue::S(value));
    HashMap::from([pair(PARTITION, id.to_string()), pair(SORT, sort)])
}

fn chunk_item(id: TaskId, index: usize, documents: &[Document], settled: u64) -> Result<TableItem> {
    let mut item = chunk_key(id, index);
    item.insert(RECORD.to_owned(), AttributeValue::S(json(&documents)?));
    item.insert(SETTLED.to_owned(), AttributeValue::N(settled.to_string()));
    Ok(item)
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| malformed(&error.to_string()))
}

/// Returns a number attribute.
pub(crate) fn number(item: &TableItem, name: &str) -> Result<u64> {
    let value = item.get(name).and_then(|value| value.as_n().ok()?.parse().ok());
    value.ok_or_else(|| malformed(&format!("no {name}")))
}

fn malformed(why: &str) -> Error {
    Error::Failed { what: WHAT, why: format!("an item is malformed: {why}") }
}
