//! The task table on `DynamoDB`.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use backon::BackoffBuilder;
use quire_platform::{Completion, Error, Reopen, Result, TaskCursor, TaskTable, now};
use quire_tasks::{
    CallbackUpdate, DocumentState, Outcome, Page, PageRef, Task, TaskId, Tenant, UnixMillis,
    transitions::{self, DocumentFinish},
};
use tokio::sync::Mutex;

use crate::{
    dynamo::{DynamoClient, ItemWrite, WriteCondition, back_off, conflict_backoff},
    items::{
        CREATED_AT, EXPIRES_AT, EXPIRES_AT_MILLIS, NOT_YET, PAGES, PARTITION, SHARDS, SORT, StoredTask, TableItem,
        TaskHead, UNDISPATCHED, chunk_key, list_key, list_key_since, number, page_item, page_key, task_key, text,
    },
};

/// The first and the longest poll interval of code that waits for a change: `DynamoDB` has no notifications.
const FIRST_POLL_INTERVAL: Duration = Duration::from_millis(100);
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Striped locks that serialize this process's changes of one task, so that a worker's pages do not conflict with each
/// other. Unrelated tasks may share a lock.
const LOCK_STRIPES: usize = 64;

/// The task table.
#[derive(Debug)]
pub(crate) struct DynamoTable {
    pub(crate) dynamo: DynamoClient,
    locks: [Mutex<()>; LOCK_STRIPES],
}

/// The items that a change writes beside the task, or `None` for no change.
pub(crate) type ItemChanges = Option<Vec<ItemWrite>>;

impl DynamoTable {
    pub(crate) fn new(dynamo: DynamoClient) -> Self {
        Self { dynamo, locks: std::array::from_fn(|_| Mutex::default()) }
    }

    /// Returns a task, or `None` if it does not exist.
    async fn find(&self, id: TaskId) -> Result<Option<StoredTask>> {
        let mut waits = conflict_backoff().build();
        loop {
            let items = self.dynamo.read(vec![task_key(id)]).await?;
            let Some(head) = items.first().map(TaskHead::read).transpose()? else { return Ok(None) };
            if let Some(stored) = self.join(id, head).await? {
                return Ok(Some(stored));
            }
            back_off(&mut waits, || format!("{id} is changed too often to be read")).await?;
        }
    }

    /// Returns a page of a task that was read before, so that the page exists if the task refers to it.
    async fn read_page(&self, stored: &StoredTask, page: PageRef) -> Result<Page> {
        let items = if stored.has(page) { self.dynamo.read(vec![page_key(page)]).await? } else { Vec::new() };
        stored.page(items.first().ok_or_else(|| not_found_error(&page))?)
    }

    async fn join(&self, id: TaskId, head: TaskHead) -> Result<Option<StoredTask>> {
        let keys = (0..head.chunks).map(|index| chunk_key(id, index)).collect();
        let mut chunks = self.dynamo.read(keys).await?;
        chunks.sort_by_cached_key(|item| item.get(SORT).and_then(|value| value.as_s().ok()).cloned());
        StoredTask::join(head, &chunks)
    }

    async fn read_task(&self, id: TaskId) -> Result<StoredTask> {
        self.find(id).await?.ok_or_else(|| not_found_error(&id))
    }

    /// Returns the current tasks for keys from an index, in the same order.
    async fn current_tasks(&self, found: Vec<TableItem>) -> Result<Vec<Task>> {
        let ids: Vec<TaskId> = found.iter().filter_map(|key| text(key, PARTITION).ok()?.parse().ok()).collect();
        let heads = self.dynamo.read(ids.iter().copied().map(task_key).collect()).await?;
        let mut heads: HashMap<&str, &TableItem> =
            heads.iter().map(|item| Ok((text(item, PARTITION)?, item))).collect::<Result<_>>()?;
        let mut tasks = Vec::new();
        for id in ids {
            // The index is eventually consistent: a deleted task may still be listed.
            let Some(head) = heads.remove(id.to_string().as_str()).map(TaskHead::read).transpose()? else { continue };
            let stored = match self.join(id, head).await? {
                None => self.find(id).await?,
                stored => stored,
            };
            tasks.extend(stored.map(|stored| stored.task));
        }
        Ok(tasks)
    }

    /// Writes a task and its items with their time to live. Returns whether the condition held.
    async fn write(
        &self,
        stored: &StoredTask,
        mut items: Vec<ItemWrite>,
        condition: WriteCondition,
        early_condition: WriteCondition,
    ) -> Result<bool> {
        let mut head = stored.head()?;
        for item in items.iter_mut().map(|(item, _)| item).chain([&mut head]) {
            item.insert(EXPIRES_AT.to_owned(), stored.time_to_live());
        }
        self.dynamo.write(items, head, condition, early_condition).await
    }

    /// Updates a task with optimistic concurrency: calls `change` again after every conflict.
    pub(crate) async fn change<F>(
        &self,
        id: TaskId,
        change: impl Fn(StoredTask) -> F + Send + Sync,
    ) -> Result<Completion>
    where
        F: Future<Output = Result<(StoredTask, ItemChanges)>> + Send,
    {
        let _lock = self.locks[id.to_string().bytes().map(usize::from).sum::<usize>() % LOCK_STRIPES].lock().await;
        let mut waits = conflict_backoff().build();
        loop {
            let stored = self.read_task(id).await?;
            let version = stored.task.version;
            let settled = stored.settled;
            let round = stored.task.round;
            let (mut stored, items) = change(stored).await?;
            let Some(items) = items else { return Ok(Completion::Unchanged(stored.task)) };
            transitions::record_change(&mut stored.task, now());
            let early_condition = WriteCondition::DocumentsUnchanged { settled, round };
            if self.write(&stored, items, WriteCondition::Version(version), early_condition).await? {
                return Ok(Completion::Applied(stored.task));
            }
            back_off(&mut waits, || format!("too many conflicting updates of {id}")).await?;
        }
    }
}

#[async_trait]
impl TaskTable for DynamoTable {
    async fn create(&self, mut task: Task) -> Result<Completion> {
        let id = task.id;
        let round = task.round;
        transitions::accept(&mut task, now());
        let stored = StoredTask::new(task)?;
        let mut items = stored.documents()?;
        for page in stored.task.pages() {
            items.push(page_item(&transitions::queued_page(page, round))?);
        }
        if self.write(&stored, unconditional(items), WriteCondition::Absent, WriteCondition::Absent).await? {
            return Ok(Completion::Applied(stored.task));
        }
        self.task(id).await.map(Completion::Unchanged)
    }

    async fn mark_dispatched(&self, id: TaskId) -> Result<()> {
        let mark = |mut stored: StoredTask| async move {
            let new = !std::mem::replace(&mut stored.task.dispatched, true);
            Ok((stored, new.then(Vec::new)))
        };
        self.change(id, mark).await.map(drop)
    }

    async fn list_undispatched(&self, before: UnixMillis, limit: usize) -> Result<Vec<Task>> {
        let found = self.dynamo.index((UNDISPATCHED, NOT_YET), CREATED_AT, before.0, limit).await?;
        let mut tasks = Vec::new();
        for item in found {
            let id = item.get(PARTITION).and_then(|id| id.as_s().ok()?.parse().ok());
            let Some(id) = id else { continue };
            // The index is eventually consistent: the task's own item decides.
            let stored = self.find(id).await?;
            tasks.extend(stored.map(|stored| stored.task).filter(|task| !task.dispatched));
        }
        Ok(tasks)
    }

    async fn task(&self, id: TaskId) -> Result<Task> {
        self.read_task(id).await.map(|stored| stored.task)
    }

    async fn pages(&self, id: TaskId) -> Result<Vec<Page>> {
        // Read the task first: the pages it refers to exist by then.
        let Some(stored) = self.find(id).await? else { return Ok(Vec::new()) };
        let items = self.dynamo.range(id.to_string(), PAGES).await?;
        let mut pages = items.iter().map(|item| stored.page(item)).collect::<Result<Vec<Page>>>()?;
        pages.retain(|page| stored.has(page.page));
        Ok(pages)
    }

    async fn pages_after(&self, id: TaskId, after: Option<PageRef>, limit: usize) -> Result<Vec<Page>> {
        let Some(stored) = self.find(id).await? else { return Ok(Vec::new()) };
        let mut after = after;
        let mut pages = Vec::new();
        while pages.len() < limit {
            let items = self.dynamo.pages_after(id, after, limit - pages.len()).await?;
            let Some(last) = items.last() else { break };
            after = Some(stored.page(last)?.page);
            for item in &items {
                let page = stored.page(item)?;
                // Pages of an interrupted change exist, but the task does not refer to them.
                pages.extend(stored.has(page.page).then_some(page));
            }
        }
        Ok(pages)
    }

    async fn page(&self, page: PageRef) -> Result<Page> {
        let stored = self.find(page.task_id).await?.ok_or_else(|| not_found_error(&page))?;
        self.read_page(&stored, page).await
    }

    async fn finish_document(&self, id: TaskId, document: u32, state: DocumentState) -> Result<Completion> {
        let state = &state;
        let finish = |mut stored: StoredTask| async move {
            let pages = match transitions::finish_document(&mut stored.task, document, state.clone()) {
                DocumentFinish::NotFound => return Err(not_found_error(&format!("{id}/{document}"))),
                DocumentFinish::Unchanged => return Ok((stored, None)),
                DocumentFinish::Finished(pages) => pages,
            };
            let round = stored.task.round;
            let pages = pages.into_iter().map(|page| page_item(&transitions::queued_page(page, round)));
            let mut items = pages.collect::<Result<Vec<TableItem>>>()?;
            // Last, so that it is in the same transaction as the task.
            items.extend(stored.count_finished(document)?);
            Ok((stored, Some(unconditional(items))))
        };
        self.change(id, finish).await
    }

    async fn complete_page(&self, page: PageRef, round: u32, outcome: Outcome) -> Result<Completion> {
        let outcome = &outcome;
        let unread = &AtomicBool::new(true);
        let complete = |mut stored: StoredTask| async move {
            // A page that is completed is usually queued according to its item: the first attempt writes without
            // reading it.
            let likely = stored.has(page) && stored.task.counts.open > 0 && stored.opened.is_empty();
            let unread = unread.swap(false, Ordering::Relaxed) && likely;
            let mut found =
                if unread { transitions::queued_page(page, round) } else { self.read_page(&stored, page).await? };
            let ended = transitions::complete_page(&mut stored.task, &mut found, round, outcome.clone(), now());
            let condition = unread.then_some(WriteCondition::Open(round));
            let items = ended.then(|| page_item(&found).map(|item| vec![(item, condition)])).transpose()?;
            Ok((stored, items))
        };
        self.change(page.task_id, complete).await
    }

    async fn update_callback(&self, id: TaskId, round: u32, update: CallbackUpdate) -> Result<Completion> {
        let update = &update;
        let update_callback = |mut stored: StoredTask| async move {
            let changed = transitions::update_callback(&mut stored.task, round, update);
            Ok((stored, changed.then(Vec::new)))
        };
        self.change(id, update_callback).await
    }

    async fn cancel(&self, id: TaskId) -> Result<Completion> {
        let cancel = |mut stored: StoredTask| async move {
            let canceled = transitions::cancel(&mut stored.task);
            Ok((stored, canceled.then(Vec::new)))
        };
        self.change(id, cancel).await
    }

    async fn expire(&self, id: TaskId, at: UnixMillis) -> Result<Completion> {
        let expire = |mut stored: StoredTask| async move {
            let expired = transitions::expire(&mut stored.task, at);
            Ok((stored, expired.then(Vec::new)))
        };
        self.change(id, expire).await
    }

    async fn remove(&self, id: TaskId) -> Result<()> {
        // Delete the task last, together with the chunks it needs: an interrupted deletion is then found again.
        let is_page = |key: &TableItem| text(key, SORT).is_ok_and(|sort| sort.starts_with(PAGES));
        let mut task = Vec::new();
        let mut after = None;
        loop {
            let keys = self.dynamo.keys(id.to_string(), after.as_deref()).await?;
            let Some(last) = keys.last() else { break };
            after = Some(text(last, SORT)?.to_owned());
            let (pages, others): (Vec<TableItem>, Vec<TableItem>) = keys.into_iter().partition(is_page);
            self.dynamo.delete(pages).await?;
            task.extend(others);
        }
        self.dynamo.delete_together(task).await
    }

    async fn list(
        &self,
        tenant: &Tenant,
        since: Option<UnixMillis>,
        after: Option<TaskCursor>,
        limit: usize,
    ) -> Result<Vec<Task>> {
        let since = list_key_since(since);
        let after = after.map(|after| list_key(after.created_at, after.id));
        let found = self.dynamo.newest(tenant.as_str(), &since, after.as_deref(), limit).await?;
        let tasks = self.current_tasks(found).await?;
        Ok(tasks.into_iter().filter(|task| task.tenant == *tenant).collect())
    }

    async fn list_expired(&self, now: UnixMillis, limit: usize) -> Result<Vec<Task>> {
        let shards = (0..SHARDS).map(|shard| self.dynamo.expired(shard, now.0, limit));
        let found = futures_util::future::try_join_all(shards).await?;
        let mut found: Vec<(u64, TableItem)> = found
            .into_iter()
            .flatten()
            .map(|key| Ok((number(&key, EXPIRES_AT_MILLIS)?, key)))
            .collect::<Result<_>>()?;
        found.sort_by_key(|(at, _)| *at);
        found.truncate(limit);
        let mut tasks = self.current_tasks(found.into_iter().map(|(_, key)| key).collect()).await?;
        tasks.retain(|task| task.expired(now));
        Ok(tasks)
    }

    async fn reopen(&self, id: TaskId, scope: Reopen) -> Result<Completion> {
        match scope {
            Reopen::Pages(pages) => self.reopen_pages(id, pages).await,
            Reopen::Unread => self.reopen_all(id, false).await,
            Reopen::All => self.reopen_all(id, true).await,
        }
    }

    async fn correct_page(&self, page: PageRef, round: u32, confidence: Option<f32>) -> Result<Completion> {
        let correct = |mut stored: StoredTask| async move {
            let mut found = self.read_page(&stored, page).await?;
            let corrected = transitions::correct_page(&mut stored.task, &mut found, round, confidence, now());
            let items = corrected.then(|| page_item(&found).map(|item| unconditional(vec![item]))).transpose()?;
            Ok((stored, items))
        };
        self.change(page.task_id, correct).await
    }

    async fn wait_for_change(&self, id: TaskId, seen: u64, within: Duration) -> Result<Task> {
        let deadline = Instant::now() + within;
        let mut pause = FIRST_POLL_INTERVAL;
        loop {
            let task = self.task(id).await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if task.version != seen || left.is_zero() {
                return Ok(task);
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 3 / 2).min(MAX_POLL_INTERVAL);
        }
    }
}

/// Returns writes without a condition.
pub(crate) fn unconditional(items: Vec<TableItem>) -> Vec<ItemWrite> {
    items.into_iter().map(|item| (item, None)).collect()
}

pub(crate) fn not_found_error(what: &impl ToString) -> Error {
    Error::NotFound { what: what.to_string() }
}
