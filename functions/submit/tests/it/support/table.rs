//! A task table that fails on demand.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use quire_platform::{Completion, Error, Reopen, Result, TaskCursor, TaskTable};
use quire_tasks::{CallbackUpdate, DocumentState, Outcome, Page, PageRef, Task, TaskId, Tenant, UnixMillis};

/// The faults of creating a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TableFault {
    /// The task is not created.
    Refuses,
    /// The task is created, and the response is lost.
    LosesAnswers,
    /// As `Lost`, and the task then cannot be read.
    GoesAway,
}

/// The fault that a test has switched on.
pub(crate) type Switch = Arc<Mutex<Option<TableFault>>>;

#[derive(Debug)]
pub(super) struct FaultyTable {
    table: Arc<dyn TaskTable>,
    fault: Switch,
}

impl FaultyTable {
    pub(super) fn new(table: Arc<dyn TaskTable>, fault: Switch) -> Self {
        Self { table, fault }
    }

    fn fault(&self) -> Option<TableFault> {
        *self.fault.lock().expect("no test panics while it holds this")
    }
}

fn failed() -> Error {
    Error::Failed { what: "the task table", why: "secret detail".to_owned() }
}

#[async_trait]
impl TaskTable for FaultyTable {
    async fn create(&self, task: Task) -> Result<Completion> {
        match self.fault() {
            None => self.table.create(task).await,
            Some(TableFault::Refuses) => Err(failed()),
            Some(_) => self.table.create(task).await.and(Err(failed())),
        }
    }

    async fn task(&self, id: TaskId) -> Result<Task> {
        if self.fault() == Some(TableFault::GoesAway) { Err(failed()) } else { self.table.task(id).await }
    }

    async fn mark_dispatched(&self, id: TaskId) -> Result<()> {
        self.table.mark_dispatched(id).await
    }

    async fn list_undispatched(&self, before: UnixMillis, limit: usize) -> Result<Vec<Task>> {
        self.table.list_undispatched(before, limit).await
    }

    async fn pages(&self, id: TaskId) -> Result<Vec<Page>> {
        self.table.pages(id).await
    }

    async fn pages_after(&self, id: TaskId, after: Option<PageRef>, limit: usize) -> Result<Vec<Page>> {
        self.table.pages_after(id, after, limit).await
    }

    async fn page(&self, page: PageRef) -> Result<Page> {
        self.table.page(page).await
    }

    async fn finish_document(&self, id: TaskId, document: u32, state: DocumentState) -> Result<Completion> {
        self.table.finish_document(id, document, state).await
    }

    async fn complete_page(&self, page: PageRef, round: u32, outcome: Outcome) -> Result<Completion> {
        self.table.complete_page(page, round, outcome).await
    }

    async fn update_callback(&self, id: TaskId, round: u32, update: CallbackUpdate) -> Result<Completion> {
        self.table.update_callback(id, round, update).await
    }

    async fn reopen(&self, id: TaskId, scope: Reopen) -> Result<Completion> {
        self.table.reopen(id, scope).await
    }

    async fn cancel(&self, id: TaskId) -> Result<Completion> {
        self.table.cancel(id).await
    }

    async fn expire(&self, id: TaskId, at: UnixMillis) -> Result<Completion> {
        self.table.expire(id, at).await
    }

    async fn remove(&self, id: TaskId) -> Result<()> {
        self.table.remove(id).await
    }

    async fn list(
        &self,
        tenant: &Tenant,
        since: Option<UnixMillis>,
        after: Option<TaskCursor>,
        limit: usize,
    ) -> Result<Vec<Task>> {
        self.table.list(tenant, since, after, limit).await
    }

    async fn list_expired(&self, now: UnixMillis, limit: usize) -> Result<Vec<Task>> {
        self.table.list_expired(now, limit).await
    }

    async fn correct_page(&self, page: PageRef, round: u32, confidence: Option<f32>) -> Result<Completion> {
        self.table.correct_page(page, round, confidence).await
    }

    async fn wait_for_change(&self, id: TaskId, seen: u64, within: Duration) -> Result<Task> {
        self.table.wait_for_change(id, seen, within).await
    }
}
