//! The review room: pages that no engine could read, or that its engine was not sure of, for somebody to look at.

use quire_platform::{Backend, Collection, Error, Record, Result, enqueue_callback, retry_with_backoff};
use quire_tasks::{Failure, ObjectKey, Page, PageStatus, PageText, ReviewClaim, ReviewEntry, Task, UnixMillis};
use serde::Serialize;

use crate::record::is_name;

/// Whoever has had an entry in hand for longer than this has died over it. All that is done with one takes less.
pub(crate) const CLAIM_TIMEOUT_MILLIS: i64 = 60_000;

/// How the page of an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewStatus {
    /// Somebody is to look at it.
    Waiting,
    /// It is being read, most often again after a redrive.
    BeingRead,
    /// It was read or corrected since, or is gone: nobody needs to look at it any more.
    Settled,
}

/// An entry with its name and how its page stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReviewCase {
    /// The entry's name: the page's task, document and number.
    pub name: String,
    /// How its page stands.
    #[serde(rename = "standing")]
    pub review_status: ReviewStatus,
    /// What was filed.
    #[serde(flatten)]
    pub entry: ReviewEntry,
}

/// An entry, and all that is known of its page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReviewDetail {
    /// The entry.
    #[serde(flatten)]
    pub case: ReviewCase,
    /// How the page ended; not there while it is being read, or where it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<PageStatus>,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What it says at present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<PageText>,
}

/// What became of an entry that was to be accepted or corrected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReviewOutcome {
    /// It is done, and the entry is gone.
    Done,
    /// The page was read or corrected since, or its task is gone: so is the entry, and nothing was changed.
    NotNeeded,
    /// It cannot be done now; the entry stays.
    Kept {
        /// Why.
        why: String,
    },
}

/// An entry as it lies on the shelf.
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

    /// Who has it in hand.
    pub(crate) fn active_claim(&self, now: UnixMillis) -> Option<&ReviewClaim> {
        self.entry.claim.as_ref().filter(|claim| now.0 - claim.at.0 < CLAIM_TIMEOUT_MILLIS)
    }

    /// Takes it out; whether it was as it was seen.
    pub(crate) async fn delete(&self, backend: &Backend) -> Result<bool> {
        let key = self.entry.key();
        retry_with_backoff(|| backend.records.delete(Collection::Review, &key, Some(self.version))).await
    }

    /// Takes it out once its page is settled. Where somebody who corrected it died in the midst, the customer is told first.
    pub(crate) async fn close(&self, backend: &Backend, present: Option<&(Task, Page)>) -> Result<()> {
        if let (Some(_), Some((task, _))) = (&self.entry.claim, present) {
            enqueue_callback(backend, task).await?;
        }
        // An entry that has been changed is looked at again with the next list.
        self.delete(backend).await.map(drop)
    }
}

/// The task and the page of an entry as they are now; none where they are gone.
pub(crate) async fn current_page(backend: &Backend, entry: &ReviewEntry) -> Result<Option<(Task, Page)>> {
    // The page first: whatever it is then, the task's round is not older.
    let page = match retry_with_backoff(|| backend.tasks.page(entry.page)).await {
        Err(Error::NotFound { .. }) => return Ok(None),
        page => page?,
    };
    match retry_with_backoff(|| backend.tasks.task(entry.page.task_id)).await {
        Err(Error::NotFound { .. }) => Ok(None),
        task => Ok(Some((task?, page))),
    }
}

/// An entry is filed before its page is completed, so that it may be there for a page that ended otherwise in the end.
pub(crate) fn review_status(entry: &ReviewEntry, present: Option<&(Task, Page)>) -> ReviewStatus {
    let Some((_, page)) = present else { return ReviewStatus::Settled };
    match page.status {
        PageStatus::Queued => ReviewStatus::BeingRead,
        PageStatus::Failed => ReviewStatus::Waiting,
        PageStatus::Succeeded if page.needs_review && page.round <= entry.round => ReviewStatus::Waiting,
        PageStatus::Succeeded | PageStatus::Canceled => ReviewStatus::Settled,
    }
}

/// What a page says, where it was read.
pub(crate) async fn read_page_text(backend: &Backend, page: &Page) -> Result<Option<PageText>> {
    if page.status != PageStatus::Succeeded {
        return Ok(None);
    }
    let key = ObjectKey::PageText { page: page.page, round: page.round }.to_string();
    let json = retry_with_backoff(|| backend.objects.read(&key)).await?;
    let malformed = |_| Error::Failed { what: "a stored result", why: format!("{key} is malformed") };
    serde_json::from_slice(&json).map(Some).map_err(malformed)
}

pub(crate) fn refuse(why: impl Into<String>) -> ReviewOutcome {
    ReviewOutcome::Kept { why: why.into() }
}

pub(crate) fn claimed_by(claim: &ReviewClaim) -> ReviewOutcome {
    refuse(format!("{} has it in hand: try again in a minute", claim.by))
}
