//! The table of tasks and pages. Every write is conditional (optimistic concurrency) and idempotent.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use quire_tasks::{CallbackUpdate, DocumentState, Outcome, Page, PageRef, Task, TaskId, Tenant, UnixMillis};

use crate::Result;

/// The result of a conditional write, with the current task.
#[derive(Debug, Clone, PartialEq)]
pub enum Completion {
    /// This call made the change.
    Applied(Task),
    /// Nothing changed: the change was made before, or is not allowed any more.
    Unchanged(Task),
}

impl Completion {
    /// Returns the current task.
    pub fn task(&self) -> &Task {
        let (Self::Applied(task) | Self::Unchanged(task)) = self;
        task
    }

    /// Returns whether this call made the change.
    pub const fn changed(&self) -> bool {
        matches!(self, Self::Applied(_))
    }
}

/// A position in the list of a tenant's tasks, for pagination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskCursor {
    /// The time when the task was accepted.
    pub created_at: UnixMillis,
    /// The task's id.
    pub id: TaskId,
}

impl TaskCursor {
    /// Returns the position of a task.
    pub const fn at(task: &Task) -> Self {
        Self { created_at: task.created_at, id: task.id }
    }
}

/// What to reopen of an ended task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reopen {
    /// The failed ones of these pages.
    Pages(Vec<PageRef>),
    /// Every failed or canceled page, every canceled document, and every failed document whose source is known.
    Unread,
    /// As [`Reopen::Unread`], and the pages that were read.
    All,
}

/// Tasks and their pages, with consistent reads. Times are of the table's own clock.
#[async_trait]
pub trait TaskTable: Debug + Send + Sync {
    /// Creates a task and the queued pages of its split documents. Idempotent: an existing task with this id stays as
    /// it is.
    ///
    /// # Errors
    /// Any [`crate::Error`]; the task then exists as a whole or not at all.
    async fn create(&self, task: Task) -> Result<Completion>;

    /// Marks the task's messages as sent.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if the task does not exist.
    async fn mark_dispatched(&self, id: TaskId) -> Result<()>;

    /// Returns up to `limit` tasks created before `before` whose messages may not have been sent, oldest first.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn list_undispatched(&self, before: UnixMillis, limit: usize) -> Result<Vec<Task>>;

    /// Returns a task.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if the task does not exist.
    async fn task(&self, id: TaskId) -> Result<Task>;

    /// Returns all pages of a task, ordered by document and page. A task may have any number of pages: code that serves
    /// tasks reads them with [`crate::PageBatches`].
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn pages(&self, id: TaskId) -> Result<Vec<Page>>;

    /// Returns up to `limit` of a task's pages, ordered by document and page, starting after the page `after`, which
    /// need not exist. Fewer than `limit` are the last ones.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn pages_after(&self, id: TaskId, after: Option<PageRef>, limit: usize) -> Result<Vec<Page>>;

    /// Returns a page.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if the page does not exist.
    async fn page(&self, page: PageRef) -> Result<Page>;

    /// Ends a pending document: it is split and its pages are queued, or it has failed. Atomic with the task's counts.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if the document does not exist.
    async fn finish_document(&self, id: TaskId, document: u32, state: DocumentState) -> Result<Completion>;

    /// Completes a queued page with its outcome, atomically with the task's counts. Changes nothing if the page has
    /// ended or `round` is not the current round.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if the page does not exist.
    async fn complete_page(&self, page: PageRef, round: u32, outcome: Outcome) -> Result<Completion>;

    /// Applies an update to the callback ([`CallbackUpdate::apply`]). Changes nothing if `round` is not the current
    /// round.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if the task does not exist.
    async fn update_callback(&self, id: TaskId, round: u32, update: CallbackUpdate) -> Result<Completion>;

    /// Reopens pages and documents of an ended task, in a new round with a webhook of its own. Changes nothing if the
    /// task is open or expired, or if nothing can be reopened. The calling code must send the messages of the pages
    /// that are queued and the documents that are pending; until [`TaskTable::mark_dispatched`], the task is among the
    /// undispatched ones.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if the task does not exist.
    async fn reopen(&self, id: TaskId, scope: Reopen) -> Result<Completion>;

    /// Cancels everything that is open in a task, by one write. Changes nothing if the task has ended. Note: the rows
    /// of canceled pages stay queued; [`Task::status_of`] returns their real status.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if the task does not exist.
    async fn cancel(&self, id: TaskId) -> Result<Completion>;

    /// Moves the task's expiry forward to `at`, if that is earlier, cancels everything that is open and drops the
    /// callback: no page is completed and no webhook is delivered any more. Idempotent.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if the task does not exist.
    async fn expire(&self, id: TaskId, at: UnixMillis) -> Result<Completion>;

    /// Deletes a task and its pages: the last step of [`crate::purge`]. Idempotent.
    ///
    /// # Errors
    /// Any [`crate::Error`]; an expired task is then still found by [`TaskTable::list_expired`].
    async fn remove(&self, id: TaskId) -> Result<()>;

    /// Returns up to `limit` tasks of a tenant, newest first, starting after the position `after`, which need not
    /// exist, and ending with the last task not older than `since`. The tasks are current, including expired ones that
    /// are not deleted yet. Note: a task accepted a moment ago may be missing (eventual consistency of the index).
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn list(
        &self,
        tenant: &Tenant,
        since: Option<UnixMillis>,
        after: Option<TaskCursor>,
        limit: usize,
    ) -> Result<Vec<Task>>;

    /// Returns up to `limit` tasks that have expired by `now`, in the order of their expiry. Note: a task expired a
    /// moment ago may be missing.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn list_expired(&self, now: UnixMillis, limit: usize) -> Result<Vec<Task>>;

    /// Applies a person's correction of an ended page: in `round`, which must be the task's next round, the page has
    /// succeeded and needs no review, and a webhook is due. Changes nothing if the task is open, the page is open or
    /// canceled, or another round has started (a lost race).
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if the page does not exist.
    async fn correct_page(&self, page: PageRef, round: u32, confidence: Option<f32>) -> Result<Completion>;

    /// Long-polls: waits up to `within` until the task's version differs from `seen`, and returns the current task.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if the task does not exist.
    async fn wait_for_change(&self, id: TaskId, seen: u64, within: Duration) -> Result<Task>;
}
