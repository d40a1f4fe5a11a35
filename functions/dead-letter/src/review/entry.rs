//! Review entries and the current state of their pages.

use quire_platform::{Backend, Collection, Error, Record, Result, enqueue_callback, retry_with_backoff};
use quire_tasks::{Failure, Page, PageStatus, PageText, ReviewClaim, ReviewEntry, Task, UnixMillis};
use serde::Serialize;

use crate::record::is_name;

/// Claim timeout. Every operation on an entry takes less, so that an older claim belongs to a crashed process.
pub(crate) const CLAIM_TIMEOUT_MILLIS: i64 = 60_000;

/// The status of a review entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewStatus {
    /// An operator must review the page.
    Waiting,
    /// The page is being read, usually after a redrive.
    BeingRead,
    /// No review is needed: the page was read or corrected since, or is deleted.
    Settled,
}

/// A review entry with its name and status.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReviewCase {
    /// The entry's name: task id, document number and page number.
    pub name: String,
    /// The status.
    #[serde(rename = "standing")]
    pub review_status: ReviewStatus,
    /// The stored entry.
    #[serde(flatten)]
    pub entry: ReviewEntry,
}

/// A review entry with the current state of its page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReviewDetail {
    /// The entry.
    #[serde(flatten)]
    pub case: ReviewCase,
    /// The status of the page; `None` while it is being read, or if it is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<PageStatus>,
    /// The failure, if it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The current text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<PageText>,
}

/// The outcome of accepting or correcting a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReviewOutcome {
    /// Done; the entry is deleted.
    Done,
    /// Not needed: the page was read or corrected since, or its task is deleted. The entry is deleted, and nothing
    /// else changes.
    NotNeeded,
    /// Not possible now; the entry is kept.
    Kept {
        /// The reason.
        why: String,
    },
}

/// A stored review entry, with its version for optimistic concurrency.
#[derive(Debug, Clone)]
pub(crate) struct FiledReview {
    pub(crate) entry: ReviewEntry,
    pub(crate) version: u64,
}

impl FiledReview {
    pub(super) fn parse(record: &Record) -> Result<Self> {
        let failed = |error| Error::Failed { what: "a review entry", why: format!("{}: {error}", record.key) };
        let entry = serde_json::from_str(&record.body).map_err(failed)?;
        Ok(Self { entry, version: record.version })
    }

    pub(crate) async fn find(backend: &Backend, name: &str) -> Result<Self> {
        let missing = || Error::NotFound { what: format!("review entry {name:?}") };
        if !is_name(name) || name.len() > 128 {
            return Err(missing());
        }
        let record = retry_with_backoff(|| backend.records.read(Collection::Review, name)).await?;
        Self::parse(&record.ok_or_else(missing)?)
    }

    /// Returns the claim, unless it has timed out.
    pub(crate) fn active_claim(&self, now: UnixMillis) -> Option<&ReviewClaim> {
        self.entry.claim.as_ref().filter(|claim| now.0 - claim.at.0 < CLAIM_TIMEOUT_MILLIS)
    }

    /// Deletes the entry. Returns false if it was changed since it was read.
    pub(crate) async fn delete(&self, backend: &Backend) -> Result<bool> {
        let key = self.entry.key();
        retry_with_backoff(|| backend.records.delete(Collection::Review, &key, Some(self.version))).await
    }

    /// Deletes an entry that needs no review any more. If it is claimed, a correction may have been interrupted
    /// before its callback: the callback is enqueued first.
    pub(crate) async fn close(&self, backend: &Backend, present: Option<&(Task, Page)>) -> Result<()> {
        if let (Some(_), Some((task, _))) = (&self.entry.claim, present) {
            enqueue_callback(backend, task).await?;
        }
        // A changed entry is checked again by the next listing.
        self.delete(backend).await.map(drop)
    }
}

/// Returns the current task and page of an entry, or `None` if they are deleted.
pub(crate) async fn current_page(backend: &Backend, entry: &ReviewEntry) -> Result<Option<(Task, Page)>> {
    // Order matters: the page is read first, so that the task's round is never older than the page's.
    let page = match retry_with_backoff(|| backend.tasks.page(entry.page)).await {
        Err(Error::NotFound { .. }) => return Ok(None),
        page => page?,
    };
    match retry_with_backoff(|| backend.tasks.task(entry.page.task_id)).await {
        Err(Error::NotFound { .. }) => Ok(None),
        task => Ok(Some((task?, page))),
    }
}

/// Returns the status of an entry. An entry is filed before its page is completed, so that the page may have ended
/// otherwise.
pub(crate) fn review_status(entry: &ReviewEntry, present: Option<&(Task, Page)>) -> ReviewStatus {
    let Some((_, page)) = present else { return ReviewStatus::Settled };
    match page.status {
        PageStatus::Queued => ReviewStatus::BeingRead,
        PageStatus::Failed => ReviewStatus::Waiting,
        PageStatus::Succeeded if page.needs_review && page.round <= entry.round => ReviewStatus::Waiting,
        PageStatus::Succeeded | PageStatus::Canceled => ReviewStatus::Settled,
    }
}

/// Returns the stored text of a page, if it was read.
pub(crate) async fn read_page_text(backend: &Backend, page: &Page) -> Result<Option<PageText>> {
    if page.status != PageStatus::Succeeded {
        return Ok(None);
    }
    quire_platform::read_page_text(backend, page.page, page.round).await?.require(page.page).map(Some)
}

/// Refusal: the page is being read.
pub(super) const BEING_READ: &str = "its page is being read: retry when it has ended";
/// Refusal: optimistic concurrency conflict.
pub(super) const CONFLICT: &str = "the entry was changed concurrently: show it again";

pub(super) fn refuse(why: impl Into<String>) -> ReviewOutcome {
    ReviewOutcome::Kept { why: why.into() }
}

pub(crate) fn claimed_by(claim: &ReviewClaim) -> ReviewOutcome {
    refuse(format!("it is claimed by {}: retry in a minute", claim.by))
}
