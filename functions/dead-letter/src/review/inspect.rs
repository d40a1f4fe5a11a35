//! What an operator does with pages that need review: list, show and accept them.

use quire_platform::{Backend, Collection, Result, retry_with_backoff};
use quire_tasks::PageStatus;
use tracing::info;

use super::entry::{
    FiledReview, ReviewCase, ReviewDetail, ReviewOutcome, ReviewStatus, claimed_by, current_page, read_page_text,
    refuse, review_status,
};
use crate::record::now;

/// How many entries are fetched at a time.
const PAGE_SIZE: usize = 100;

/// The entries of pages that still need somebody, oldest task first. Those that are settled are cleared away.
///
/// # Errors
/// Of the backend.
pub async fn list_reviews(backend: &Backend) -> Result<Vec<ReviewCase>> {
    let (mut cases, mut after) = (Vec::new(), None::<String>);
    loop {
        let records =
            retry_with_backoff(|| backend.records.list(Collection::Review, after.as_deref(), PAGE_SIZE)).await?;
        let Some(last) = records.last() else { return Ok(cases) };
        after = Some(last.key.clone());
        for record in records {
            let (name, filed) = (record.key.clone(), FiledReview::parse(&record)?);
            let present = current_page(backend, &filed.entry).await?;
            match review_status(&filed.entry, present.as_ref()) {
                ReviewStatus::Settled => filed.close(backend, present.as_ref()).await?,
                review_status => cases.push(ReviewCase { name, review_status, entry: filed.entry }),
            }
        }
    }
}

/// One entry, with what its page says at present. That text is the customer's: for the one who looks at it only.
///
/// # Errors
/// [`Error::NotFound`] where there is none with this name, or another of the backend's.
pub async fn show_review(backend: &Backend, name: &str) -> Result<ReviewDetail> {
    let FiledReview { entry, .. } = FiledReview::find(backend, name).await?;
    let present = current_page(backend, &entry).await?;
    let review_status = review_status(&entry, present.as_ref());
    let page = present.map(|(_, page)| page).filter(|page| page.status != PageStatus::Queued);
    let text = match &page {
        Some(page) => read_page_text(backend, page).await?,
        None => None,
    };
    let (status, failure) = (page.as_ref().map(|page| page.status), page.and_then(|page| page.failure));
    Ok(ReviewDetail { case: ReviewCase { name: name.to_owned(), review_status, entry }, status, failure, text })
}

/// Closes an entry: somebody has looked at the page, and it stays as it is. That its engine was not sure of it stays said
/// of the page, for that does not change.
///
/// # Errors
/// [`Error::NotFound`] where there is none with this name, or another of the backend's.
pub async fn accept_review(backend: &Backend, name: &str, by: &str) -> Result<ReviewOutcome> {
    let filed = FiledReview::find(backend, name).await?;
    let present = current_page(backend, &filed.entry).await?;
    match review_status(&filed.entry, present.as_ref()) {
        ReviewStatus::Settled => {
            filed.close(backend, present.as_ref()).await?;
            return Ok(ReviewOutcome::NotNeeded);
        }
        ReviewStatus::BeingRead => return Ok(refuse("its page is being read: look at it when that has ended")),
        ReviewStatus::Waiting => {}
    }
    if let Some(claim) = filed.active_claim(now()) {
        return Ok(claimed_by(claim));
    }
    if !filed.delete(backend).await? {
        return Ok(refuse("somebody else was faster: look at it again"));
    }
    let page = filed.entry.page;
    info!(task.id = %page.task_id, document.no = page.document, page.no = page.page, by, "a page was accepted as it is");
    Ok(ReviewOutcome::Done)
}
