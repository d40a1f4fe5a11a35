//! What an operator does with pages that need review: list, show and accept them.

use quire_platform::{Backend, Collection, Result, retry_with_backoff};
use quire_tasks::{PageStatus, PageText};
use tracing::info;

use super::entry::{
    BEING_READ, CONFLICT, FiledReview, ReviewCase, ReviewDetail, ReviewOutcome, ReviewStatus, claimed_by, current_page,
    read_page_text, refuse, review_status,
};
use crate::record::now;

/// Page size when listing entries.
const PAGE_SIZE: usize = 100;

/// Returns the entries of pages that need review, oldest task first. Deletes entries that need none any more.
///
/// # Errors
/// An error of the backend.
pub async fn list_reviews(backend: &Backend) -> Result<Vec<ReviewCase>> {
    let mut cases = Vec::new();
    let mut after = None::<String>;
    loop {
        let records =
            retry_with_backoff(|| backend.records.list(Collection::Review, after.as_deref(), PAGE_SIZE)).await?;
        let Some(last) = records.last() else { return Ok(cases) };
        after = Some(last.key.clone());
        for record in records {
            let filed = FiledReview::parse(&record)?;
            let present = current_page(backend, &filed.entry).await?;
            match review_status(&filed.entry, present.as_ref()) {
                ReviewStatus::Settled => filed.close(backend, present.as_ref()).await?,
                review_status => cases.push(ReviewCase { name: record.key, review_status, entry: filed.entry }),
            }
        }
    }
}

/// Returns an entry with the current text of its page. Note: the text is confidential and must not be logged.
///
/// # Errors
/// [`Error::NotFound`](quire_platform::Error::NotFound) if no entry has this name, or another error of the backend.
pub async fn show_review(backend: &Backend, name: &str) -> Result<ReviewDetail> {
    let FiledReview { entry, .. } = FiledReview::find(backend, name).await?;
    let present = current_page(backend, &entry).await?;
    let review_status = review_status(&entry, present.as_ref());
    let page = present.map(|(_, page)| page).filter(|page| page.status != PageStatus::Queued);
    let mut text = match &page {
        Some(page) => read_page_text(backend, page).await?,
        None => None,
    };
    // A reviewer needs the lines only.
    text.iter_mut().for_each(PageText::clear_words);
    let case = ReviewCase { name: name.to_owned(), review_status, entry };
    let status = page.as_ref().map(|page| page.status);
    Ok(ReviewDetail { case, status, failure: page.and_then(|page| page.failure), text })
}

/// Accepts a page as it is and deletes its entry. The page keeps its `needs_review` flag, since its confidence is
/// unchanged.
///
/// # Errors
/// [`Error::NotFound`](quire_platform::Error::NotFound) if no entry has this name, or another error of the backend.
pub async fn accept_review(backend: &Backend, name: &str, by: &str) -> Result<ReviewOutcome> {
    let filed = FiledReview::find(backend, name).await?;
    let present = current_page(backend, &filed.entry).await?;
    match review_status(&filed.entry, present.as_ref()) {
        ReviewStatus::Settled => {
            filed.close(backend, present.as_ref()).await?;
            return Ok(ReviewOutcome::NotNeeded);
        }
        ReviewStatus::BeingRead => return Ok(refuse(BEING_READ)),
        ReviewStatus::Waiting => {}
    }
    if let Some(claim) = filed.active_claim(now()) {
        return Ok(claimed_by(claim));
    }
    if !filed.delete(backend).await? {
        return Ok(refuse(CONFLICT));
    }
    let page = filed.entry.page;
    info!(task.id = %page.task_id, document.no = page.document, page.no = page.page, by, "page accepted");
    Ok(ReviewOutcome::Done)
}
