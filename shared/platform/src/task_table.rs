//! The table of tasks and pages. Every write is conditional on the state before it.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use quire_tasks::{CallbackUpdate, DocumentState, Outcome, Page, PageRef, Task, TaskId, UnixMillis};

use crate::Result;

/// What became of a conditional write: the task as it is now, either way.
#[derive(Debug, Clone, PartialEq)]
pub enum Completion {
    /// This call made the change.
    Now(Task),
    /// It had been made before, or was no longer allowed: nothing was changed.
    Before(Task),
}

impl Completion {
    /// The task as it is now.
    pub fn task(&self) -> &Task {
        let (Self::Now(task) | Self::Before(task)) = self;
        task
    }

    /// Whether this call made the change.
    pub const fn changed(&self) -> bool {
        matches!(self, Self::Now(_))
    }
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
    async fn undispatched(&self, before: UnixMillis, limit: usize) -> Result<Vec<Task>>;

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
    async fn settle_document(&self, id: TaskId, document: u32, state: DocumentState) -> Result<Completion>;

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

    /// Opens failed pages of an ended task again, in a new round whose callback is owed anew. Where the task is still
    /// open, or none of these pages has failed, nothing is changed. Their messages are the caller's to send: until
    /// [`TaskTable::mark_dispatched`], the task is among the undispatched.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] where there is no such task.
    async fn reopen(&self, id: TaskId, pages: Vec<PageRef>) -> Result<Completion>;

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
    async fn changed(&self, id: TaskId, seen: u64, within: Duration) -> Result<Task>;
}
