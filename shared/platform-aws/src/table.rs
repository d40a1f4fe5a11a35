//! The task table on DynamoDB.

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
    dynamo::{Condition, Dynamo, Write, collisions},
    items::{
        CREATED_AT, EXPIRES_AT, EXPIRES_AT_MILLIS, Head, Item, NOT_YET, PAGES, PARTITION, SHARDS, SORT, Stored,
        UNDISPATCHED, WHAT, chunk_key, listed, listed_since, number, page_item, page_key, task_key, text,
    },
};

/// Whoever waits for a change looks after this time, and then less and less often: nothing rings a bell here.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const LONGEST_UNSEEN: Duration = Duration::from_secs(1);
/// Turns in which the changes of this process to one task are made, so that a worker's pages do not collide with each
/// other. Tasks share them by chance.
const TURNS: usize = 64;

/// Tasks and pages.
#[derive(Debug)]
pub(crate) struct DynamoTable {
    pub(crate) dynamo: Dynamo,
    turns: [Mutex<()>; TURNS],
}

/// What a change is to write beside the task.
pub(crate) type Change = Option<Vec<Write>>;

impl DynamoTable {
    pub(crate) fn new(dynamo: Dynamo) -> Self {
        Self { dynamo, turns: std::array::from_fn(|_| Mutex::default()) }
    }

    /// A task as it is now.
    async fn find(&self, id: TaskId) -> Result<Option<Stored>> {
        let mut waits = collisions().build();
        loop {
            let items = self.dynamo.read(vec![task_key(id)]).await?;
            let Some(head) = items.first().map(Head::read).transpose()? else { return Ok(None) };
            if let Some(stored) = self.join(id, head).await? {
                return Ok(Some(stored));
            }
            let busy = || Error::Busy { what: WHAT, why: format!("{id} changes all the time") };
            tokio::time::sleep(waits.next().ok_or_else(busy)?).await;
        }
    }

    /// A page of a task that was read before: what the task knows is there by then.
    async fn found(&self, stored: &Stored, page: PageRef) -> Result<Page> {
        let items = if stored.has(page) { self.dynamo.read(vec![page_key(page)]).await? } else { Vec::new() };
        stored.page(items.first().ok_or_else(|| not_found(&page))?)
    }

    async fn join(&self, id: TaskId, head: Head) -> Result<Option<Stored>> {
        let keys = (0..head.chunks).map(|index| chunk_key(id, index)).collect();
        let mut chunks = self.dynamo.read(keys).await?;
        chunks.sort_by_cached_key(|item| item.get(SORT).and_then(|value| value.as_s().ok()).cloned());
        Stored::join(head, &chunks)
    }

    async fn stored(&self, id: TaskId) -> Result<Stored> {
        self.find(id).await?.ok_or_else(|| not_found(&id))
    }

    /// Tasks by their keys in an index, in that order, as they are now.
    async fn many(&self, found: Vec<Item>) -> Result<Vec<Task>> {
        let ids: Vec<TaskId> = found.iter().filter_map(|key| text(key, PARTITION).ok()?.parse().ok()).collect();
        let heads = self.dynamo.read(ids.iter().copied().map(task_key).collect()).await?;
        let mut heads: HashMap<&str, &Item> =
            heads.iter().map(|item| Ok((text(item, PARTITION)?, item))).collect::<Result<_>>()?;
        let mut tasks = Vec::new();
        for id in ids {
            // The index lags behind: one that is gone may still be in it.
            let Some(head) = heads.remove(id.to_string().as_str()).map(Head::read).transpose()? else { continue };
            let stored = match self.join(id, head).await? {
                None => self.find(id).await?,
                stored => stored,
            };
            tasks.extend(stored.map(|stored| stored.task));
        }
        Ok(tasks)
    }

    /// Writes a task and what belongs to it, which expires with it; whether the condition held.
    async fn write(
        &self,
        stored: &Stored,
        mut items: Vec<Write>,
        condition: Condition,
        meanwhile: Condition,
    ) -> Result<bool> {
        let mut head = stored.head()?;
        for item in items.iter_mut().map(|(item, _)| item).chain([&mut head]) {
            item.insert(EXPIRES_AT.to_owned(), stored.forgotten_at());
        }
        self.dynamo.write(items, head, condition, meanwhile).await
    }

    /// Changes a task as `change` says, which is asked anew whenever somebody else was faster.
    pub(crate) async fn change<F>(&self, id: TaskId, change: impl Fn(Stored) -> F + Send + Sync) -> Result<Completion>
    where
        F: Future<Output = Result<(Stored, Change)>> + Send,
    {
        let _turn = self.turns[id.to_string().bytes().map(usize::from).sum::<usize>() % TURNS].lock().await;
        let mut waits = collisions().build();
        loop {
            let stored = self.stored(id).await?;
            let (version, settled, round) = (stored.task.version, stored.settled, stored.task.round);
            let (mut stored, items) = change(stored).await?;
            let Some(items) = items else { return Ok(Completion::Unchanged(stored.task)) };
            transitions::record_change(&mut stored.task, now());
            let meanwhile = Condition::Unsettled { settled, round };
            if self.write(&stored, items, Condition::Version(version), meanwhile).await? {
                return Ok(Completion::Applied(stored.task));
            }
            let busy = || Error::Busy { what: WHAT, why: format!("others keep changing {id}") };
            tokio::time::sleep(waits.next().ok_or_else(busy)?).await;
        }
    }
}

#[async_trait]
impl TaskTable for DynamoTable {
    async fn create(&self, mut task: Task) -> Result<Completion> {
        let (id, round) = (task.id, task.round);
        transitions::accept(&mut task, now());
        let stored = Stored::new(task)?;
        let mut items = stored.documents()?;
        for page in stored.task.pages() {
            items.push(page_item(&transitions::queued_page(page, round))?);
        }
        if self.write(&stored, always(items), Condition::Absent, Condition::Absent).await? {
            return Ok(Completion::Applied(stored.task));
        }
        self.task(id).await.map(Completion::Unchanged)
    }

    async fn mark_dispatched(&self, id: TaskId) -> Result<()> {
        let mark = |mut stored: Stored| async move {
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
            // The index lags behind: the task itself decides.
            let stored = self.find(id).await?;
            tasks.extend(stored.map(|stored| stored.task).filter(|task| !task.dispatched));
        }
        Ok(tasks)
    }

    async fn task(&self, id: TaskId) -> Result<Task> {
        self.stored(id).await.map(|stored| stored.task)
    }

    async fn pages(&self, id: TaskId) -> Result<Vec<Page>> {
        // The task first: the pages that it knows are there by then.
        let Some(stored) = self.find(id).await? else { return Ok(Vec::new()) };
        let items = self.dynamo.range(id.to_string(), PAGES).await?;
        let mut pages = items.iter().map(|item| stored.page(item)).collect::<Result<Vec<Page>>>()?;
        pages.retain(|page| stored.has(page.page));
        Ok(pages)
    }

    async fn page(&self, page: PageRef) -> Result<Page> {
        let stored = self.find(page.task_id).await?.ok_or_else(|| not_found(&page))?;
        self.found(&stored, page).await
    }

    async fn finish_document(&self, id: TaskId, document: u32, state: DocumentState) -> Result<Completion> {
        let state = &state;
        let settle = |mut stored: Stored| async move {
            let pages = match transitions::finish_document(&mut stored.task, document, state.clone()) {
                DocumentFinish::NotFound => return Err(not_found(&format!("{id}/{document}"))),
                DocumentFinish::Unchanged => return Ok((stored, None)),
                DocumentFinish::Finished(pages) => pages,
            };
            let round = stored.task.round;
            let pages = pages.into_iter().map(|page| page_item(&transitions::queued_page(page, round)));
            let mut items = pages.collect::<Result<Vec<Item>>>()?;
            // Last, and so together with the task.
            items.extend(stored.settle(document)?);
            Ok((stored, Some(always(items))))
        };
        self.change(id, settle).await
    }

    async fn complete_page(&self, page: PageRef, round: u32, outcome: Outcome) -> Result<Completion> {
        let outcome = &outcome;
        let unread = &AtomicBool::new(true);
        let complete = |mut stored: Stored| async move {
            // A page that is completed is open, as a rule, and its item says so: the first try does without reading it.
            let likely = stored.has(page) && stored.task.counts.open > 0 && stored.opened.is_nothing();
            let unread = unread.swap(false, Ordering::Relaxed) && likely;
            let mut found =
                if unread { transitions::queued_page(page, round) } else { self.found(&stored, page).await? };
            let ended = transitions::complete_page(&mut stored.task, &mut found, round, outcome.clone(), now());
            let condition = unread.then_some(Condition::Open(round));
            let items = ended.then(|| page_item(&found).map(|item| vec![(item, condition)])).transpose()?;
            Ok((stored, items))
        };
        self.change(page.task_id, complete).await
    }

    async fn update_callback(&self, id: TaskId, round: u32, update: CallbackUpdate) -> Result<Completion> {
        let update = &update;
        let tell = |mut stored: Stored| async move {
            let told = transitions::update_callback(&mut stored.task, round, update);
            Ok((stored, told.then(Vec::new)))
        };
        self.change(id, tell).await
    }

    async fn cancel(&self, id: TaskId) -> Result<Completion> {
        let cancel = |mut stored: Stored| async move {
            let canceled = transitions::cancel(&mut stored.task);
            Ok((stored, canceled.then(Vec::new)))
        };
        self.change(id, cancel).await
    }

    async fn expire(&self, id: TaskId, at: UnixMillis) -> Result<Completion> {
        let expire = |mut stored: Stored| async move {
            let expired = transitions::expire(&mut stored.task, at);
            Ok((stored, expired.then(Vec::new)))
        };
        self.change(id, expire).await
    }

    async fn remove(&self, id: TaskId) -> Result<()> {
        // The task last, and with it what it cannot be read without: so one that is removed by halves is found again.
        let keys = self.dynamo.keys(id.to_string()).await?;
        let is_page = |key: &Item| text(key, SORT).is_ok_and(|sort| sort.starts_with(PAGES));
        let (pages, task): (Vec<Item>, Vec<Item>) = keys.into_iter().partition(is_page);
        self.dynamo.delete(pages).await?;
        self.dynamo.delete_together(task).await
    }

    async fn list(
        &self,
        tenant: &Tenant,
        since: Option<UnixMillis>,
        after: Option<TaskCursor>,
        limit: usize,
    ) -> Result<Vec<Task>> {
        let since = listed_since(since);
        let after = after.map(|after| listed(after.created_at, after.id));
        let found = self.dynamo.newest(tenant.as_str(), &since, after.as_deref(), limit).await?;
        let tasks = self.many(found).await?;
        Ok(tasks.into_iter().filter(|task| task.tenant == *tenant).collect())
    }

    async fn list_expired(&self, now: UnixMillis, limit: usize) -> Result<Vec<Task>> {
        let shards = (0..SHARDS).map(|shard| self.dynamo.expired(shard, now.0, limit));
        let found = futures_util::future::try_join_all(shards).await?;
        let mut found: Vec<(u64, Item)> = found
            .into_iter()
            .flatten()
            .map(|key| Ok((number(&key, EXPIRES_AT_MILLIS)?, key)))
            .collect::<Result<_>>()?;
        found.sort_by_key(|(at, _)| *at);
        found.truncate(limit);
        let mut tasks = self.many(found.into_iter().map(|(_, key)| key).collect()).await?;
        tasks.retain(|task| task.expired(now));
        Ok(tasks)
    }

    async fn reopen(&self, id: TaskId, scope: Reopen) -> Result<Completion> {
        match scope {
            Reopen::Pages(pages) => self.reopen_these(id, pages).await,
            Reopen::Unread => self.reopen_all(id, false).await,
            Reopen::All => self.reopen_all(id, true).await,
        }
    }

    async fn correct_page(&self, page: PageRef, round: u32, confidence: Option<f32>) -> Result<Completion> {
        let correct = |mut stored: Stored| async move {
            let mut found = self.found(&stored, page).await?;
            let corrected = transitions::correct_page(&mut stored.task, &mut found, round, confidence, now());
            let items = corrected.then(|| page_item(&found).map(|item| always(vec![item]))).transpose()?;
            Ok((stored, items))
        };
        self.change(page.task_id, correct).await
    }

    async fn wait_for_change(&self, id: TaskId, seen: u64, within: Duration) -> Result<Task> {
        let deadline = Instant::now() + within;
        let mut pause = FIRST_LOOK;
        loop {
            let task = self.task(id).await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if task.version != seen || left.is_zero() {
                return Ok(task);
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 3 / 2).min(LONGEST_UNSEEN);
        }
    }
}

/// Without a condition of their own.
pub(crate) fn always(items: Vec<Item>) -> Vec<Write> {
    items.into_iter().map(|item| (item, None)).collect()
}

pub(crate) fn not_found(what: &impl ToString) -> Error {
    Error::NotFound { what: what.to_string() }
}
