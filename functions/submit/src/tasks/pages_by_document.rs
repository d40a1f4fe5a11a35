//! The pages of a task, document by document, in bounded memory.

use std::collections::VecDeque;

use quire_platform::{Backend, PageBatches, Result};
use quire_tasks::{Page, TaskId};

/// A reader of all pages of a task in their order.
#[derive(Debug)]
pub(crate) struct PagesByDocument<'a> {
    batches: PageBatches<'a>,
    waiting: VecDeque<Page>,
}

impl<'a> PagesByDocument<'a> {
    pub(crate) fn new(backend: &'a Backend, task_id: TaskId) -> Self {
        Self { batches: PageBatches::of_task(backend, task_id), waiting: VecDeque::new() }
    }

    /// Returns the next pages of this document, at most `limit`; none after its last one. The documents must be asked
    /// for in their order.
    pub(crate) async fn next_of(&mut self, document: u32, limit: usize) -> Result<Vec<Page>> {
        if self.waiting.is_empty() {
            self.waiting.extend(self.batches.next().await?.unwrap_or_default());
        }
        let own = self.waiting.iter().take(limit).take_while(|page| page.page.document <= document).count();
        Ok(self.waiting.drain(..own).collect())
    }
}
