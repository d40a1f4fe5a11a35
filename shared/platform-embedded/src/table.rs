//! The task table on SQLite, with long polling.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use quire_platform::{Completion, Reopen, Result, TaskCursor, TaskTable};
use quire_tasks::{CallbackUpdate, DocumentState, Outcome, Page, PageRef, Task, TaskId, Tenant, UnixMillis};

use crate::{
    database::Database,
    reserve::Reserve,
    scrub::Scrubber,
    task_rows,
    wakeup::{CommittedChange, POLL_INTERVAL},
};

/// How many pages one read returns: a few milliseconds of parsing, so that no reader is taken for long.
const PAGES_PER_READ: usize = 500;
/// How often a listing is begun again because a new round has begun; then one transaction lists all pages.
const MAX_LISTINGS: usize = 3;

/// The task table.
#[derive(Debug)]
pub(crate) struct SqliteTable {
    database: Arc<Database>,
    reserve: Arc<Reserve>,
    scrubber: Scrubber,
}

impl SqliteTable {
    pub(crate) const fn new(database: Arc<Database>, reserve: Arc<Reserve>, scrubber: Scrubber) -> Self {
        Self { database, reserve, scrubber }
    }
}

impl SqliteTable {
    /// Lists a task's pages in several short transactions; `None` if a new round began meanwhile, which may change
    /// pages that are listed already. Within a round a page changes once, when it ends, so that each listed state was
    /// its state during this call.
    async fn pages_of_one_round(&self, id: TaskId, per_read: usize) -> Result<Option<Vec<Page>>> {
        let (round, mut all) = self.pages_chunk(id, None, per_read).await?;
        let mut last = all.len();
        while last >= per_read {
            let after = all.last().map(|page| page.page);
            let (current, pages) = self.pages_chunk(id, after, per_read).await?;
            if current != round {
                return Ok(None);
            }
            last = pages.len();
            all.extend(pages);
        }
        Ok(Some(all))
    }

    async fn pages_chunk(&self, id: TaskId, after: Option<PageRef>, limit: usize) -> Result<(u32, Vec<Page>)> {
        self.database.read(move |connection| task_rows::pages_chunk(connection, id, after, limit)).await
    }
}

#[async_trait]
impl TaskTable for SqliteTable {
    async fn create(&self, task: Task) -> Result<Completion> {
        self.database.write(move |connection, changes| task_rows::create(connection, changes, task)).await
    }

    async fn mark_dispatched(&self, id: TaskId) -> Result<()> {
        self.database.write(move |connection, changes| task_rows::mark_dispatched(connection, changes, id)).await
    }

    async fn list_undispatched(&self, before: UnixMillis, limit: usize) -> Result<Vec<Task>> {
        self.database.read(move |connection| task_rows::undispatched(connection, before, limit)).await
    }

    async fn task(&self, id: TaskId) -> Result<Task> {
        self.database.read(move |connection| task_rows::task(connection, id)).await
    }

    async fn pages(&self, id: TaskId) -> Result<Vec<Page>> {
        for _ in 0..MAX_LISTINGS {
            if let Some(pages) = self.pages_of_one_round(id, PAGES_PER_READ).await? {
                return Ok(pages);
            }
        }
        self.database.read(move |connection| task_rows::pages(connection, id)).await
    }

    async fn pages_after(&self, id: TaskId, after: Option<PageRef>, limit: usize) -> Result<Vec<Page>> {
        self.database.read(move |connection| task_rows::pages_after(connection, id, after, limit)).await
    }

    async fn page(&self, page: PageRef) -> Result<Page> {
        self.database.read(move |connection| task_rows::page(connection, page)).await
    }

    async fn finish_document(&self, id: TaskId, document: u32, state: DocumentState) -> Result<Completion> {
        self.database
            .write(move |connection, changes| task_rows::finish_document(connection, changes, id, document, state))
            .await
    }

    async fn complete_page(&self, page: PageRef, round: u32, outcome: Outcome) -> Result<Completion> {
        self.database
            .write(move |connection, changes| task_rows::complete_page(connection, changes, page, round, outcome))
            .await
    }

    async fn update_callback(&self, id: TaskId, round: u32, update: CallbackUpdate) -> Result<Completion> {
        self.database
            .write(move |connection, changes| task_rows::update_callback(connection, changes, id, round, &update))
            .await
    }

    async fn reopen(&self, id: TaskId, scope: Reopen) -> Result<Completion> {
        self.database.write(move |connection, changes| task_rows::reopen(connection, changes, id, scope)).await
    }

    async fn cancel(&self, id: TaskId) -> Result<Completion> {
        self.database.write(move |connection, changes| task_rows::cancel(connection, changes, id)).await
    }

    async fn expire(&self, id: TaskId, at: UnixMillis) -> Result<Completion> {
        let expire = || self.database.write(move |connection, changes| task_rows::expire(connection, changes, id, at));
        self.reserve.delete(expire).await
    }

    async fn remove(&self, id: TaskId) -> Result<()> {
        let remove = || self.database.write(move |connection, changes| task_rows::remove(connection, changes, id));
        self.reserve.delete(remove).await?;
        self.scrubber.scrub().await
    }

    async fn list(
        &self,
        tenant: &Tenant,
        since: Option<UnixMillis>,
        after: Option<TaskCursor>,
        limit: usize,
    ) -> Result<Vec<Task>> {
        let tenant = tenant.clone();
        self.database.read(move |connection| task_rows::list(connection, &tenant, since, after, limit)).await
    }

    async fn list_expired(&self, now: UnixMillis, limit: usize) -> Result<Vec<Task>> {
        self.database.read(move |connection| task_rows::expired(connection, now, limit)).await
    }

    async fn correct_page(&self, page: PageRef, round: u32, confidence: Option<f32>) -> Result<Completion> {
        self.database
            .write(move |connection, changes| task_rows::correct_page(connection, changes, page, round, confidence))
            .await
    }

    async fn wait_for_change(&self, id: TaskId, seen: u64, within: Duration) -> Result<Task> {
        let deadline = Instant::now() + within;
        loop {
            let mut listener = self.database.listen();
            let version = self.database.read(move |connection| task_rows::version(connection, id)).await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if version != seen || left.is_zero() {
                return self.task(id).await;
            }
            listener.wait_for(CommittedChange::Task(id), left.min(POLL_INTERVAL)).await;
        }
    }
}
