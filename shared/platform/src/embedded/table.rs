//! The task table on the database, and how it waits.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use quire_tasks::{CallbackUpdate, DocumentState, Outcome, Page, PageRef, Task, TaskId, Tenant, UnixMillis};

use super::{
    bell::{Change, LONGEST_DEAFNESS},
    database::Database,
    records,
};
use crate::{Completion, Listed, Reopen, Result, TaskTable};

/// Tasks and pages.
#[derive(Debug)]
pub(super) struct SqliteTable {
    database: Arc<Database>,
}

impl SqliteTable {
    pub(super) const fn new(database: Arc<Database>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl TaskTable for SqliteTable {
    async fn create(&self, task: Task) -> Result<Completion> {
        self.database.write(move |connection, changes| records::create(connection, changes, task)).await
    }

    async fn mark_dispatched(&self, id: TaskId) -> Result<()> {
        self.database.write(move |connection, changes| records::mark_dispatched(connection, changes, id)).await
    }

    async fn undispatched(&self, before: UnixMillis, limit: usize) -> Result<Vec<Task>> {
        self.database.read(move |connection| records::undispatched(connection, before, limit)).await
    }

    async fn task(&self, id: TaskId) -> Result<Task> {
        self.database.read(move |connection| records::task(connection, id)).await
    }

    async fn pages(&self, id: TaskId) -> Result<Vec<Page>> {
        self.database.read(move |connection| records::pages(connection, id)).await
    }

    async fn page(&self, page: PageRef) -> Result<Page> {
        self.database.read(move |connection| records::page(connection, page)).await
    }

    async fn settle_document(&self, id: TaskId, document: u32, state: DocumentState) -> Result<Completion> {
        self.database
            .write(move |connection, changes| records::settle_document(connection, changes, id, document, state))
            .await
    }

    async fn complete_page(&self, page: PageRef, round: u32, outcome: Outcome) -> Result<Completion> {
        self.database
            .write(move |connection, changes| records::complete_page(connection, changes, page, round, outcome))
            .await
    }

    async fn update_callback(&self, id: TaskId, round: u32, update: CallbackUpdate) -> Result<Completion> {
        self.database
            .write(move |connection, changes| records::update_callback(connection, changes, id, round, &update))
            .await
    }

    async fn reopen(&self, id: TaskId, scope: Reopen) -> Result<Completion> {
        self.database.write(move |connection, changes| records::reopen(connection, changes, id, scope)).await
    }

    async fn cancel(&self, id: TaskId) -> Result<Completion> {
        self.database.write(move |connection, changes| records::cancel(connection, changes, id)).await
    }

    async fn expire(&self, id: TaskId, at: UnixMillis) -> Result<Completion> {
        self.database.write(move |connection, changes| records::expire(connection, changes, id, at)).await
    }

    async fn remove(&self, id: TaskId) -> Result<()> {
        self.database.write(move |connection, changes| records::remove(connection, changes, id)).await
    }

    async fn list(
        &self,
        tenant: &Tenant,
        since: Option<UnixMillis>,
        after: Option<Listed>,
        limit: usize,
    ) -> Result<Vec<Task>> {
        let tenant = tenant.clone();
        self.database.read(move |connection| records::list(connection, &tenant, since, after, limit)).await
    }

    async fn expired(&self, now: UnixMillis, limit: usize) -> Result<Vec<Task>> {
        self.database.read(move |connection| records::expired(connection, now, limit)).await
    }

    async fn correct_page(&self, page: PageRef, round: u32, confidence: Option<f32>) -> Result<Completion> {
        self.database
            .write(move |connection, changes| records::correct_page(connection, changes, page, round, confidence))
            .await
    }

    async fn changed(&self, id: TaskId, seen: u64, within: Duration) -> Result<Task> {
        let deadline = Instant::now() + within;
        loop {
            let mut listener = self.database.listen();
            let version = self.database.read(move |connection| records::version(connection, id)).await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if version != seen || left.is_zero() {
                return self.task(id).await;
            }
            listener.heard(Change::Task(id), left.min(LONGEST_DEAFNESS)).await;
        }
    }
}
