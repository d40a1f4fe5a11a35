//! What was stored for a page that ended without it is taken out again.

use std::time::Duration;

use quire_tasks::{ObjectKey, Page, PageRef, PageStatus, PageText, ReviewEntry, Task};

use crate::{Backend, Collection, Error, Result, clock::now, retry_with_backoff};

/// Clocks differ: what is over so soon is taken to be over.
const SOON: Duration = Duration::from_mins(1);

/// Removes the text that somebody stored for a page in a round, and its entry for review, unless the page ended with it: its
/// task was canceled, expired or deleted meanwhile. To be called by whoever stored it and could not complete the page, and
/// by whoever meets the message of such a page again; for a page that may still be completed in this round, by nobody.
///
/// # Errors
/// Any [`Error`], after waiting them out in vain.
pub async fn forget_page(backend: &Backend, page: PageRef, round: u32) -> Result<()> {
    let present = present(backend, page).await?;
    let ended = present.filter(|page| page.round == round).map(|page| page.status);
    if ended == Some(PageStatus::Succeeded) {
        return Ok(());
    }
    let key = ObjectKey::PageText { page, round }.to_string();
    retry_with_backoff(|| backend.objects.erase_version(&key, None)).await?;
    if ended == Some(PageStatus::Failed) { Ok(()) } else { forget_review(backend, page, round).await }
}

/// Removes what somebody wrote for pages of a task that has just been opened again, and died before it counted: a worker
/// leaves what it finds, and would take it for what was read in this round. To be called before the pages are sent.
///
/// # Errors
/// Any [`Error`].
pub async fn forget_corrections(backend: &Backend, task: &Task) -> Result<()> {
    let (prefix, ending) = ObjectKey::page_text_affixes(task.id, task.round);
    let keys = retry_with_backoff(|| backend.objects.list(&prefix)).await?;
    for key in keys.iter().filter(|key| key.ends_with(&ending)) {
        let json = match retry_with_backoff(|| backend.objects.read(key)).await {
            Err(Error::NotFound { .. }) => continue,
            json => json?,
        };
        // What a worker has read already stays: whoever opened the task may have been interrupted, and come again.
        if serde_json::from_slice::<PageText>(&json).is_ok_and(|text| text.corrected.is_some()) {
            retry_with_backoff(|| backend.objects.delete(key)).await?;
        }
    }
    Ok(())
}

/// The page, while its task is kept.
async fn present(backend: &Backend, page: PageRef) -> Result<Option<Page>> {
    let kept = match retry_with_backoff(|| backend.tasks.task(page.task_id)).await {
        Err(Error::NotFound { .. }) => false,
        task => !task?.expired(now().plus(SOON)),
    };
    match retry_with_backoff(|| backend.tasks.page(page)).await {
        Err(Error::NotFound { .. }) => Ok(None),
        present => Ok(Some(present?).filter(|_| kept)),
    }
}

async fn forget_review(backend: &Backend, page: PageRef, round: u32) -> Result<()> {
    let key = ReviewEntry::key_for(page);
    let Some(filed) = retry_with_backoff(|| backend.records.read(Collection::Review, &key)).await? else {
        return Ok(());
    };
    if serde_json::from_str::<ReviewEntry>(&filed.body).is_ok_and(|entry| entry.round == round) {
        retry_with_backoff(|| backend.records.delete(Collection::Review, &key, Some(filed.version))).await?;
    }
    Ok(())
}
