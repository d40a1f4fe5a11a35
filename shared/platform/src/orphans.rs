//! Cleans up orphans: objects and records stored for a page that ended without them.

use std::time::Duration;

use quire_tasks::{ObjectKey, Page, PageRef, PageStatus, PageText, ReviewEntry, Task};

use crate::{Backend, Collection, Error, Result, now, retry_with_backoff};

/// A task that expires within this time counts as expired, since clocks of machines differ.
const CLOCK_SKEW: Duration = Duration::from_mins(1);

/// Deletes the text stored for a page in a round, and its review entry, unless the page ended with them: e.g. its task
/// was canceled, has expired or was deleted before the page could be completed.
///
/// Must be called after a worker stored a result but could not complete the page, and when the message of such a page
/// is received again. Must not be called while the page may still be completed in this round.
///
/// # Errors
/// Any [`Error`], after retries with backoff.
pub async fn delete_orphaned_page(backend: &Backend, page: PageRef, round: u32) -> Result<()> {
    let status = match find_page(backend, page).await? {
        Some(page) if page.round == round => Some(page.status),
        _ => None,
    };
    if status == Some(PageStatus::Succeeded) {
        return Ok(());
    }
    let key = ObjectKey::PageText { page, round }.to_string();
    retry_with_backoff(|| backend.objects.erase_version(&key, None)).await?;
    if status == Some(PageStatus::Failed) {
        return Ok(());
    }
    delete_orphaned_review(backend, page, round).await
}

/// Deletes corrections of pages of a task that has just been reopened: their writer stopped before they took effect,
/// and a worker would take them for texts that were read in this round. Must be called before the page messages are
/// sent.
///
/// # Errors
/// Any [`Error`].
pub async fn delete_orphaned_corrections(backend: &Backend, task: &Task) -> Result<()> {
    let (prefix, ending) = ObjectKey::page_text_affixes(task.id, task.round);
    // Document by document: a task may have any number of pages.
    for document in &task.documents {
        let prefix = format!("{prefix}{}/", document.number);
        let mut keys = retry_with_backoff(|| backend.objects.list(&prefix)).await?;
        keys.retain(|key| key.ends_with(&ending));
        delete_corrections(backend, &keys).await?;
    }
    Ok(())
}

async fn delete_corrections(backend: &Backend, keys: &[String]) -> Result<()> {
    for key in keys {
        let json = match retry_with_backoff(|| backend.objects.read(key)).await {
            Err(Error::NotFound { .. }) => continue,
            json => json?,
        };
        // Texts read by a worker stay: the same reopening may have been interrupted and repeated.
        if serde_json::from_slice::<PageText>(&json).is_ok_and(|text| text.corrected.is_some()) {
            retry_with_backoff(|| backend.objects.delete(key)).await?;
        }
    }
    Ok(())
}

/// Returns the page, or `None` if it does not exist or its task has expired.
async fn find_page(backend: &Backend, page: PageRef) -> Result<Option<Page>> {
    let is_expired = match retry_with_backoff(|| backend.tasks.task(page.task_id)).await {
        Err(Error::NotFound { .. }) => true,
        task => task?.expired(now().plus(CLOCK_SKEW)),
    };
    match retry_with_backoff(|| backend.tasks.page(page)).await {
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
        Ok(_) if is_expired => Ok(None),
        Ok(page) => Ok(Some(page)),
    }
}

async fn delete_orphaned_review(backend: &Backend, page: PageRef, round: u32) -> Result<()> {
    let key = ReviewEntry::key_for(page);
    let Some(record) = retry_with_backoff(|| backend.records.read(Collection::Review, &key)).await? else {
        return Ok(());
    };
    if serde_json::from_str::<ReviewEntry>(&record.body).is_ok_and(|entry| entry.round == round) {
        retry_with_backoff(|| backend.records.delete(Collection::Review, &key, Some(record.version))).await?;
    }
    Ok(())
}
