//! Reads the pages of a task batch by batch, in bounded memory.

use quire_tasks::{Page, PageRef, TaskId};

use crate::{Backend, Result, retry_with_backoff};

/// Pages in memory at a time.
const BATCH: usize = 500;

/// The pages of a task, ordered by document and page, in batches.
#[derive(Debug)]
pub struct PageBatches<'a> {
    backend: &'a Backend,
    task_id: TaskId,
    after: Option<PageRef>,
    /// Only this document's pages.
    document: Option<u32>,
    ended: bool,
}

impl<'a> PageBatches<'a> {
    /// Returns all pages of a task.
    pub const fn of_task(backend: &'a Backend, task_id: TaskId) -> Self {
        Self { backend, task_id, after: None, document: None, ended: false }
    }

    /// Returns the pages of one document.
    pub const fn of_document(backend: &'a Backend, task_id: TaskId, document: u32) -> Self {
        let after = Some(PageRef { task_id, document, page: 0 });
        Self { backend, task_id, after, document: Some(document), ended: false }
    }

    /// Returns the next batch, which is not empty, or `None` after the last one.
    ///
    /// # Errors
    /// Any [`crate::Error`], after retries with backoff.
    pub async fn next(&mut self) -> Result<Option<Vec<Page>>> {
        if self.ended {
            return Ok(None);
        }
        let read = || self.backend.tasks.pages_after(self.task_id, self.after, BATCH);
        let mut pages = retry_with_backoff(read).await?;
        self.ended = pages.len() < BATCH;
        self.after = pages.last().map(|page| page.page);
        if let Some(document) = self.document {
            pages.retain(|page| page.page.document == document);
        }
        if pages.is_empty() {
            self.ended = true;
            return Ok(None);
        }
        Ok(Some(pages))
    }

    /// Returns all that are left. For one document: a task may have any number of pages.
    ///
    /// # Errors
    /// As [`PageBatches::next`].
    pub async fn collect(mut self) -> Result<Vec<Page>> {
        let mut pages = Vec::new();
        while let Some(batch) = self.next().await? {
            pages.extend(batch);
        }
        Ok(pages)
    }
}
