//! What was stored for a page that ended without it is taken out again.

use std::time::Duration;

use quire_tasks::{Key, Page, PageRef, PageStatus, PageText, ReviewEntry, Task};

use crate::{Error, Home, Result, Shelf, clock::now, patiently};

/// Clocks differ: what is over so soon is taken to be over.
const SOON: Duration = Duration::from_mins(1);

/// Removes the text that somebody stored for a page in a round, and its entry for review, unless the page ended with it: its
/// task was canceled, expired or deleted meanwhile. To be called by whoever stored it and could not complete the page, and
/// by whoever meets the message of such a page again; for a page that may still be completed in this round, by nobody.
///
/// # Errors
/// Any [`Error`], after waiting them out in vain.
pub async fn forget_page(home: &Home, page: PageRef, round: u32) -> Result<()> {
    let present = present(home, page).await?;
    let ended = present.filter(|page| page.round == round).map(|page| page.status);
    if ended == Some(PageStatus::Succeeded) {
        return Ok(());
    }
    let key = Key::PageText { page, round }.to_string();
    patiently(|| home.objects.erase_version(&key, None)).await?;
    if ended == Some(PageStatus::Failed) { Ok(()) } else { forget_review(home, page, round).await }
}

/// Removes what somebody wrote for pages of a task that has just been opened again, and died before it counted: a worker
/// leaves what it finds, and would take it for what was read in this round. To be called before the pages are sent.
///
/// # Errors
/// Any [`Error`].
pub async fn forget_corrections(home: &Home, task: &Task) -> Result<()> {
    let (prefix, ending) = Key::page_texts_of(task.id, task.round);
    let keys = patiently(|| home.objects.list(&prefix)).await?;
    for key in keys.iter().filter(|key| key.ends_with(&ending)) {
        let json = match patiently(|| home.objects.read(key)).await {
            Err(Error::NotFound { .. }) => continue,
            json => json?,
        };
        // What a worker has read already stays: whoever opened the task may have been interrupted, and come again.
        if serde_json::from_slice::<PageText>(&json).is_ok_and(|text| text.corrected.is_some()) {
            patiently(|| home.objects.delete(key)).await?;
        }
    }
    Ok(())
}

/// The page, while its task is kept.
async fn present(home: &Home, page: PageRef) -> Result<Option<Page>> {
    let kept = match patiently(|| home.tasks.task(page.task_id)).await {
        Err(Error::NotFound { .. }) => false,
        task => !task?.expired(now().plus(SOON)),
    };
    match patiently(|| home.tasks.page(page)).await {
        Err(Error::NotFound { .. }) => Ok(None),
        present => Ok(Some(present?).filter(|_| kept)),
    }
}

async fn forget_review(home: &Home, page: PageRef, round: u32) -> Result<()> {
    let key = ReviewEntry::key_of(page);
    let Some(filed) = patiently(|| home.records.read(Shelf::Review, &key)).await? else { return Ok(()) };
    if serde_json::from_str::<ReviewEntry>(&filed.body).is_ok_and(|entry| entry.round == round) {
        patiently(|| home.records.delete(Shelf::Review, &key, Some(filed.version))).await?;
    }
    Ok(())
}
