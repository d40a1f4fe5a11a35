//! Reopening of tasks. See `reopen_markers` for tasks whose pages exceed a transaction.

use std::collections::BTreeSet;

use quire_platform::{Completion, Result, now, records::new_version};
use quire_tasks::{Page, PageRef, PageStatus, TaskId, transitions};

use crate::{
    dynamo::MAX_BATCH_ITEMS,
    items::{StoredTask, marked_page_item, page_item, page_key},
    reopen_markers::ReopenToken,
    table::{DynamoTable, not_found_error, unconditional},
};

impl DynamoTable {
    /// Reopens the failed ones of these pages.
    pub(crate) async fn reopen_pages(&self, id: TaskId, pages: Vec<PageRef>) -> Result<Completion> {
        let wanted: BTreeSet<PageRef> = pages.into_iter().filter(|page| page.task_id == id).collect();
        let wanted = &wanted;
        let reopen = |mut stored: StoredTask| async move {
            if let Some(&unknown) = wanted.iter().find(|&&page| !stored.has(page)) {
                return Err(not_found_error(&unknown));
            }
            let items = self.dynamo.read(wanted.iter().copied().map(page_key).collect()).await?;
            let mut failed = items.iter().map(|item| stored.page(item)).collect::<Result<Vec<Page>>>()?;
            failed.retain(|page| page.status == PageStatus::Failed);
            if !transitions::reopen_failed(&mut stored.task, failed.len() as u32, now()) {
                return Ok((stored, None));
            }
            let round = stored.task.round;
            let items = if failed.len() < MAX_BATCH_ITEMS {
                failed
                    .iter()
                    .map(|page| page_item(&transitions::queued_page(page.page, round)))
                    .collect::<Result<_>>()?
            } else {
                let token = ReopenToken { token: new_version(), round };
                stored.opened.add_token(token.token);
                failed.iter().map(|page| marked_page_item(page, token)).collect::<Result<_>>()?
            };
            Ok((stored, Some(unconditional(items))))
        };
        self.change(id, reopen).await
    }

    /// Reopens all pages that did not succeed, or all pages.
    pub(crate) async fn reopen_all(&self, id: TaskId, with_read: bool) -> Result<Completion> {
        let reopen = |mut stored: StoredTask| async move {
            let Some(again) = transitions::reopen_all(&mut stored.task, with_read, now()) else {
                return Ok((stored, None));
            };
            stored.opened.reopen_all(stored.task.round, with_read);
            let items = stored.count_reopened(&again)?;
            Ok((stored, Some(unconditional(items))))
        };
        self.change(id, reopen).await
    }
}
