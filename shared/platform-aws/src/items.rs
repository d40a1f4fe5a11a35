//! How tasks, documents and pages lie in the table.
//!
//! ```text
//! pk        sk                  holds
//! task_…    task                the task: record, version, settled, round, chunks; `undispatched` until it is; its
//!                               places in the lists by tenant and by expiry
//! task_…    documents#00001     documents, where they are too many to lie within the task
//! task_…    page#0…1#0…1        a page
//! shelf#…   a key               a record: see `shelves`
//! ```
//!
//! Every change of a task, its documents or its pages writes the task's item on the condition that its version is the
//! one that was read before the others, so that no other condition is needed; but a page that is completed without being
//! read is written on the condition that it is open. A page counts only where the task knows it: pages are
//! written before the task that has them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use quire_platform::{Error, Result};
use quire_tasks::{Document, DocumentState, Page, PageRef, PageStatus, Task, TaskId, UnixMillis};
use serde::de::DeserializeOwned;

use crate::reopen_markers::{Opened, Token};

pub(crate) const WHAT: &str = "task table";
/// The key's attributes.
pub(crate) const PARTITION: &str = "pk";
pub(crate) const SORT: &str = "sk";
/// The index of the tasks whose messages were perhaps not sent, and its key's attributes. It holds these tasks only.
pub(crate) const UNDISPATCHED: &str = "undispatched";
pub(crate) const CREATED_AT: &str = "created_at";
/// The one partition of that index: tasks stay there for a moment.
pub(crate) const NOT_YET: &str = "yes";
/// When an item may be forgotten: the attribute that the table's time to live goes by, in seconds since 1970.
pub(crate) const EXPIRES_AT: &str = "expires_at";
/// The index of each tenant's tasks by time, and its key's attributes. No change of a task changes these.
pub(crate) const BY_TENANT: &str = "by_tenant";
pub(crate) const TENANT: &str = "tenant";
pub(crate) const LISTED: &str = "listed";
/// The index of the tasks by when they expire, in so many partitions that no single one takes all tasks, and its key's
/// attributes.
pub(crate) const BY_EXPIRY: &str = "by_expiry";
pub(crate) const SHARD: &str = "expiry_shard";
pub(crate) const SHARDS: u32 = 16;
/// When a task or a record expires, in milliseconds: the table's time to live counts seconds, and may take days to notice.
pub(crate) const EXPIRES_AT_MILLIS: &str = "expires_at_ms";
/// What the table's time to live leaves for an orderly end of a task.
const SECONDS_LATER: i64 = 2 * 24 * 3600;
pub(crate) const VERSION: &str = "version";
pub(crate) const ROUND: &str = "round";
/// Of a page that is queued: the round it waits in.
pub(crate) const OPEN: &str = "open";
/// Counts the documents that were settled, in the task and in each chunk: where they disagree, a change was seen half.
pub(crate) const SETTLED: &str = "settled";
const CHUNKS: &str = "chunks";
/// Of a task: its [`Opened`]. Of a page: the two numbers of its [`Token`].
const OPENED: &str = "opened";
const TOKEN: &str = "token";
const TOKEN_ROUND: &str = "token_round";
pub(crate) const RECORD: &str = "record";
const TASK: &str = "task";
pub(crate) const PAGES: &str = "page#";

/// Documents of up to so many bytes lie within their task's item, which every completed page writes anew, and which is
/// paid for by the kilobyte.
const WITHIN: usize = 2 * 1024;
/// The bytes of documents in one item, far from the 400 kB that DynamoDB takes: a hundred of them fit a transaction's
/// 4 MB.
const CHUNK: usize = 32 * 1024;

/// An item, or its key.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// A task as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) task: Task,
    pub(crate) settled: u64,
    pub(crate) opened: Opened,
    chunks: Vec<Chunk>,
}

#[derive(Debug, Clone)]
struct Chunk {
    documents: usize,
    settled: u64,
}

/// A task's item on its own.
pub(crate) struct Head {
    task: Task,
    settled: u64,
    opened: Opened,
    pub(crate) chunks: usize,
}

impl Stored {
    /// A new one.
    pub(crate) fn new(task: Task) -> Result<Self> {
        let mut sizes = Vec::with_capacity(task.documents.len());
        for document in &task.documents {
            sizes.push(json(document)?.len());
        }
        let mut chunks: Vec<Chunk> = Vec::new();
        if sizes.iter().sum::<usize>() > WITHIN {
            let mut room = 0;
            for size in sizes {
                match chunks.last_mut().filter(|_| size <= room) {
                    Some(chunk) => chunk.documents += 1,
                    None => chunks.push(Chunk { documents: 1, settled: 0 }),
                }
                room = if size <= room { room - size } else { CHUNK.saturating_sub(size) };
            }
        }
        Ok(Self { task, settled: 0, opened: Opened::default(), chunks })
    }

    /// What was read, or `None` where a change was seen half.
    pub(crate) fn join(head: Head, chunks: &[Item]) -> Result<Option<Self>> {
        let Head { mut task, settled, opened, chunks: expected } = head;
        let mut known = Vec::new();
        for item in chunks {
            let documents: Vec<Document> = record(item)?;
            known.push(Chunk { documents: documents.len(), settled: number(item, SETTLED)? });
            task.documents.extend(documents);
        }
        let whole = expected == 0 || known.iter().map(|chunk| chunk.settled).sum::<u64>() == settled;
        Ok((known.len() == expected && whole).then_some(Self { task, settled, opened, chunks: known }))
    }

    /// The task's item.
    pub(crate) fn head(&self) -> Result<Item> {
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
        let place = listed(task.created_at, task.id);
        let texts = [(TENANT, task.tenant.to_string()), (LISTED, place), (SHARD, shard(task.id).to_string())];
        let opened = (!self.opened.is_nothing()).then(|| json(&self.opened)).transpose()?.map(|text| (OPENED, text));
        let undispatched = (!task.dispatched).then(|| (UNDISPATCHED, NOT_YET.to_owned()));
        for (name, text) in texts.into_iter().chain(opened).chain(undispatched) {
            item.insert(name.to_owned(), AttributeValue::S(text));
        }
        Ok(item)
    }

    /// The items of all its documents that lie outside of its own.
    pub(crate) fn documents(&self) -> Result<Vec<Item>> {
        let mut first = 0;
        let item = |(index, chunk): (usize, &Chunk)| {
            let documents = &self.task.documents[first..first + chunk.documents];
            first += chunk.documents;
            chunk_item(self.task.id, index, documents, chunk.settled)
        };
        self.chunks.iter().enumerate().map(item).collect()
    }

    /// Notes that a document was settled; its item, where it lies outside of the task's.
    pub(crate) fn settle(&mut self, document: u32) -> Result<Option<Item>> {
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

    /// Notes that documents are pending again; their items, where they lie outside of the task's.
    pub(crate) fn unsettle(&mut self, documents: &[u32]) -> Result<Vec<Item>> {
        let (mut first, mut items) = (0, Vec::new());
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

    /// A page of the task, by its item.
    pub(crate) fn page(&self, item: &Item) -> Result<Page> {
        let token = item.get(TOKEN).map(|_| {
            let round = number(item, TOKEN_ROUND)? as u32;
            Ok(Token { token: number(item, TOKEN)?, round })
        });
        Ok(self.opened.see(record(item)?, token.transpose()?))
    }

    /// When the table may forget what belongs to the task, if nobody did before.
    pub(crate) fn forgotten_at(&self) -> AttributeValue {
        AttributeValue::N((self.task.expires_at.0.div_euclid(1000) + SECONDS_LATER).to_string())
    }

    /// Whether the page is one of the task's.
    pub(crate) fn has(&self, page: PageRef) -> bool {
        let document = self.task.document(page.document).map(|document| &document.state);
        matches!(document, Some(DocumentState::Split(split)) if (1..=split.pages).contains(&page.page))
    }
}

impl Head {
    pub(crate) fn read(item: &Item) -> Result<Self> {
        let opened = item.get(OPENED).map(|_| json_of(item, OPENED)).transpose()?.unwrap_or_default();
        let (settled, chunks) = (number(item, SETTLED)?, number(item, CHUNKS)? as usize);
        Ok(Self { task: record(item)?, settled, opened, chunks })
    }
}

/// A page's item.
pub(crate) fn page_item(page: &Page) -> Result<Item> {
    let mut item = page_key(page.page);
    item.insert(RECORD.to_owned(), AttributeValue::S(json(page)?));
    if page.status == PageStatus::Queued {
        item.insert(OPEN.to_owned(), AttributeValue::N(page.round.to_string()));
    }
    Ok(item)
}

/// The item of a page that stays as it is until its task knows the token.
pub(crate) fn tokened(page: &Page, Token { token, round }: Token) -> Result<Item> {
    let mut item = page_item(page)?;
    item.insert(TOKEN.to_owned(), AttributeValue::N(token.to_string()));
    item.insert(TOKEN_ROUND.to_owned(), AttributeValue::N(round.to_string()));
    Ok(item)
}

/// A task's place in its tenant's list, as a text that sorts by time and then by name.
pub(crate) fn listed(created_at: UnixMillis, id: TaskId) -> String {
    format!("{}#{id}", listed_since(Some(created_at)))
}

/// What lies before all places of that time.
pub(crate) fn listed_since(since: Option<UnixMillis>) -> String {
    format!("{:014}", since.map_or(0, |since| since.0.max(0)))
}

/// By the last digit of its name, which is random or a hash's.
fn shard(id: TaskId) -> u32 {
    id.to_string().chars().next_back().and_then(|digit| digit.to_digit(SHARDS)).unwrap_or(0)
}

pub(crate) fn task_key(id: TaskId) -> Item {
    key(id, TASK.to_owned())
}

pub(crate) fn chunk_key(id: TaskId, index: usize) -> Item {
    key(id, format!("documents#{:05}", index + 1))
}

/// Sorts as its numbers do.
pub(crate) fn page_key(page: PageRef) -> Item {
    key(page.task_id, format!("{PAGES}{:010}#{:010}", page.document, page.page))
}

/// What an item holds.
pub(crate) fn record<T: DeserializeOwned>(item: &Item) -> Result<T> {
    json_of(item, RECORD)
}

fn json_of<T: DeserializeOwned>(item: &Item, name: &str) -> Result<T> {
    serde_json::from_str(text(item, name)?).map_err(|error| unreadable(&error.to_string()))
}

/// An attribute that is a text.
pub(crate) fn text<'a>(item: &'a Item, name: &str) -> Result<&'a str> {
    let value = item.get(name).and_then(|value| value.as_s().ok());
    value.map(String::as_str).ok_or_else(|| unreadable(&format!("no {name}")))
}

fn key(id: TaskId, sort: String) -> Item {
    let pair = |name: &str, value| (name.to_owned(), AttributeValue::S(value));
    HashMap::from([pair(PARTITION, id.to_string()), pair(SORT, sort)])
}

fn chunk_item(id: TaskId, index: usize, documents: &[Document], settled: u64) -> Result<Item> {
    let mut item = chunk_key(id, index);
    item.insert(RECORD.to_owned(), AttributeValue::S(json(&documents)?));
    item.insert(SETTLED.to_owned(), AttributeValue::N(settled.to_string()));
    Ok(item)
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| unreadable(&error.to_string()))
}

/// An attribute that is a number.
pub(crate) fn number(item: &Item, name: &str) -> Result<u64> {
    let value = item.get(name).and_then(|value| value.as_n().ok()?.parse().ok());
    value.ok_or_else(|| unreadable(&format!("no {name}")))
}

fn unreadable(why: &str) -> Error {
    Error::Failed { what: WHAT, why: format!("an item cannot be read: {why}") }
}
