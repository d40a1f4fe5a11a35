//! The table of tasks and pages. Every write is conditional on the state before it.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use quire_tasks::{CallbackUpdate, DocumentState, Outcome, Page, PageRef, Task, TaskId, Tenant, UnixMillis};

use crate::Result;

/// What became of a conditional write: the task as it is now, either way.
#[derive(Debug, Clone, PartialEq)]
pub enum Completion {
    /// This call made the change.
    Applied(Task),
    /// It had been made before, or was no longer allowed: nothing was changed.
    Unchanged(Task),
}

impl Completion {
    /// The task as it is now.
    pub fn task(&self) -> &Task {
        let (Self::Applied(task) | Self::Unchanged(task)) = self;
        task
    }

    /// Whether this call made the change.
    pub const fn changed(&self) -> bool {
        matches!(self, Self::Applied(_))
    }
}

/// A task's place in the list of its tenant's tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskCursor {
    /// When it was accepted.
    pub created_at: UnixMillis,
    /// Its name.
    pub id: TaskId,
}

impl TaskCursor {
    /// The place of a task.
    pub const fn at(task: &Task) -> Self {
        Self { created_at: task.created_at, id: task.id }
    }
}

/// What of an ended task is opened again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reopen {
    /// Those of these pages that have failed.
    Pages(Vec<PageRef>),
    /// Every page that has failed or was canceled, and every document that was canceled, or that failed and can be
    /// fetched once more.
    Unread,
    /// The same, and the pages that were read too.
    All,
}

/// Tasks and their pages, read consistently. Times are the table's own clock's.
#[async_trait]
pub trait TaskTable: Debug + Send + Sync {
    /// Adds a task with the pages of its split documents, all queued. A task with this id that is there already stays
    /// as it is.
    ///
    /// # Errors
    /// Any [`crate::Error`]; then there is no such task, or all of it.
    async fn create(&self, task: Task) -> Result<Completion>;

    /// Notes that the task's messages have been sent.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] where there is no such task.
    async fn mark_dispatched(&self, id: TaskId) -> Result<()>;

    /// Up to `limit` tasks created before `before` whose messages were perhaps never sent, oldest first.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn list_undispatched(&self, before: UnixMillis, limit: usize) -> Result<Vec<Task>>;

    /// A task.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] where there is no such task.
    async fn task(&self, id: TaskId) -> Result<Task>;

    /// A task's pages, in order of document and page.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn pages(&self, id: TaskId) -> Result<Vec<Page>>;

    /// A page.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] where there is no such page.
    async fn page(&self, page: PageRef) -> Result<Page>;

    /// Ends the waiting of a document that is pending: it is split now, and its pages are queued, or it has failed.
    /// In one transaction with the task's counts.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] where there is no such document.
    async fn finish_document(&self, id: TaskId, document: u32, state: DocumentState) -> Result<Completion>;

    /// Ends a page that is queued, in one transaction with the task's counts. Of an ended page, or in another round
    /// than `round`, nothing is changed.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] where there is no such page.
    async fn complete_page(&self, page: PageRef, round: u32, outcome: Outcome) -> Result<Completion>;

    /// Notes how an attempt at the callback ended, by [`CallbackUpdate::apply`]. In another round than `round`, nothing
    /// is changed.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] where there is no such task.
    async fn update_callback(&self, id: TaskId, round: u32, update: CallbackUpdate) -> Result<Completion>;

    /// Opens pages and documents of an ended task again, in a new round whose callback is owed anew. Where the task is
    /// still open or has expired, or there is nothing to open, nothing is changed. The messages are the caller's to send,
    /// for the pages that are queued now and the documents that are pending: until [`TaskTable::mark_dispatched`], the task
    /// is among the undispatched.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] where there is no such task.
    async fn reopen(&self, id: TaskId, scope: Reopen) -> Result<Completion>;

    /// Ends an open task: all that is open is canceled, by one write of the task. Its pages' records still say that they
    /// wait: [`Task::status_of`] knows better. Of an ended task, nothing is changed.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] where there is no such task.
    async fn cancel(&self, id: TaskId) -> Result<Completion>;

    /// Brings the task's expiry forward to `at`, if that is earlier, cancels all that is open and forgets its callback: from
    /// then on nobody completes a page of it, and nobody is told. Where that changes nothing, it was so before.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] where there is no such task.
    async fn expire(&self, id: TaskId, at: UnixMillis) -> Result<Completion>;

    /// Removes a task and its pages: the last step of [`crate::purge`]. That there is none is no error.
    ///
    /// # Errors
    /// Any [`crate::Error`]; then [`TaskTable::list_expired`] still finds a task that has expired.
    async fn remove(&self, id: TaskId) -> Result<()>;

    /// Up to `limit` tasks of a tenant, those accepted last first: from the first behind `after`, which need not be there
    /// itself, to the last that is not older than `since`. One that was accepted a moment ago may be missing; what is there
    /// is as it is now. Those that have expired are among them until they are removed.
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

    /// Up to `limit` tasks that have expired by `now`, those that expired first first. One that expired a moment ago may be
    /// missing.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn list_expired(&self, now: UnixMillis, limit: usize) -> Result<Vec<Task>>;

    /// Takes what somebody wrote for a page in place of what an engine read, or could not read: in `round`, which must be
    /// the one after the task's, the page has succeeded and no longer needs a review, and the callback is owed anew. Of
    /// an open task, an open or canceled page, or for another round, nothing is changed: then somebody else was faster.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] where there is no such page.
    async fn correct_page(&self, page: PageRef, round: u32, confidence: Option<f32>) -> Result<Completion>;

    /// Waits up to `within` for the task to have another version than `seen`; the task as it is then.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] where there is no such task.
    async fn wait_for_change(&self, id: TaskId, seen: u64, within: Duration) -> Result<Task>;
}
