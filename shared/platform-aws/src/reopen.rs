//! How pages of ended tasks are opened again: see `opened` for how very many are.

use std::collections::BTreeSet;

use quire_platform::{Completion, Result, now, records::new_version};
use quire_tasks::{Page, PageRef, PageStatus, TaskId, transitions};

use crate::{
    dynamo::TOGETHER,
    items::{Stored, page_item, page_key, tokened},
    reopen_markers::Token,
    table::{DynamoTable, always, not_found},
};

impl DynamoTable {
    /// Opens those of these pages that have failed.
    pub(crate) async fn reopen_these(&self, id: TaskId, pages: Vec<PageRef>) -> Result<Completion> {
        let wanted: BTreeSet<PageRef> = pages.into_iter().filter(|page| page.task_id == id).collect();
        let wanted = &wanted;
        let reopen = |mut stored: Stored| async move {
            if let Some(&unknown) = wanted.iter().find(|&&page| !stored.has(page)) {
                return Err(not_found(&unknown));
            }
            let items = self.dynamo.read(wanted.iter().copied().map(page_key).collect()).await?;
            let mut failed = items.iter().map(|item| stored.page(item)).collect::<Result<Vec<Page>>>()?;
            failed.retain(|page| page.status == PageStatus::Failed);
            if !transitions::reopen_failed(&mut stored.task, failed.len() as u32, now()) {
                return Ok((stored, None));
            }
            let round = stored.task.round;
            let items = if failed.len() < TOGETHER {
                failed
                    .iter()
                    .map(|page| page_item(&transitions::queued_page(page.page, round)))
                    .collect::<Result<_>>()?
            } else {
                let token = Token { token: new_version(), round };
                stored.opened.those(token.token);
                failed.iter().map(|page| tokened(page, token)).collect::<Result<_>>()?
            };
            Ok((stored, Some(always(items))))
        };
        self.change(id, reopen).await
    }

    /// Opens all that was not read, or all there is.
    pub(crate) async fn reopen_all(&self, id: TaskId, with_read: bool) -> Result<Completion> {
        let reopen = |mut stored: Stored| async move {
            let Some(again) = transitions::reopen_all(&mut stored.task, with_read, now()) else {
                return Ok((stored, None));
            };
            stored.opened.all(stored.task.round, with_read);
            let items = stored.unsettle(&again)?;
            Ok((stored, Some(always(items))))
        };
        self.change(id, reopen).await
    }
}
