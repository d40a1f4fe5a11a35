//! The review room: pages that no engine could read, or that its engine was not sure of, for somebody to look at.

use quire_platform::{Backend, Collection, Error, Record, Result, enqueue_callback, retry_with_backoff};
use quire_tasks::{Claim, Failure, Key, Page, PageStatus, PageText, ReviewEntry, Task, UnixMillis};
use serde::Serialize;
use tracing::info;

use crate::letter::{is_name, now};

/// How many entries are fetched at a time.
const LISTED_AT_A_TIME: usize = 100;
/// Whoever has had an entry in hand for longer than this has died over it. All that is done with one takes less.
pub(crate) const CLAIM_MILLIS: i64 = 60_000;

/// How the page of an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
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
    pub standing: Standing,
    /// What was filed.
    #[serde(flatten)]
    pub entry: ReviewEntry,
}

/// An entry, and all that is known of its page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReviewSheet {
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
pub(crate) struct Filed {
    pub(crate) entry: ReviewEntry,
    pub(crate) version: u64,
}

/// The entries of pages that still need somebody, oldest task first. Those that are settled are cleared away.
///
/// # Errors
/// Of the backend.
pub async fn list_reviews(backend: &Backend) -> Result<Vec<ReviewCase>> {
    let (mut cases, mut after) = (Vec::new(), None::<String>);
    loop {
        let records =
            retry_with_backoff(|| backend.records.list(Collection::Review, after.as_deref(), LISTED_AT_A_TIME)).await?;
        let Some(last) = records.last() else { return Ok(cases) };
        after = Some(last.key.clone());
        for record in records {
            let (name, filed) = (record.key.clone(), Filed::parse(&record)?);
            let present = present(backend, &filed.entry).await?;
            match standing(&filed.entry, present.as_ref()) {
                Standing::Settled => filed.settle(backend, present.as_ref()).await?,
                standing => cases.push(ReviewCase { name, standing, entry: filed.entry }),
            }
        }
    }
}

/// One entry, with what its page says at present. That text is the customer's: for the one who looks at it only.
///
/// # Errors
/// [`Error::NotFound`] where there is none with this name, or another of the backend's.
pub async fn show_review(backend: &Backend, name: &str) -> Result<ReviewSheet> {
    let Filed { entry, .. } = Filed::find(backend, name).await?;
    let present = present(backend, &entry).await?;
    let standing = standing(&entry, present.as_ref());
    let page = present.map(|(_, page)| page).filter(|page| page.status != PageStatus::Queued);
    let text = match &page {
        Some(page) => text_of(backend, page).await?,
        None => None,
    };
    let (status, failure) = (page.as_ref().map(|page| page.status), page.and_then(|page| page.failure));
    Ok(ReviewSheet { case: ReviewCase { name: name.to_owned(), standing, entry }, status, failure, text })
}

/// Closes an entry: somebody has looked at the page, and it stays as it is. That its engine was not sure of it stays said
/// of the page, for that does not change.
///
/// # Errors
/// [`Error::NotFound`] where there is none with this name, or another of the backend's.
pub async fn accept_review(backend: &Backend, name: &str, by: &str) -> Result<ReviewOutcome> {
    let filed = Filed::find(backend, name).await?;
    let present = present(backend, &filed.entry).await?;
    match standing(&filed.entry, present.as_ref()) {
        Standing::Settled => {
            filed.settle(backend, present.as_ref()).await?;
            return Ok(ReviewOutcome::NotNeeded);
        }
        Standing::BeingRead => return Ok(kept("its page is being read: look at it when that has ended")),
        Standing::Waiting => {}
    }
    if let Some(claim) = filed.claimed(now()) {
        return Ok(in_hand(claim));
    }
    if !filed.delete(backend).await? {
        return Ok(kept("somebody else was faster: look at it again"));
    }
    let page = filed.entry.page;
    info!(task.id = %page.task_id, document.no = page.document, page.no = page.page, by, "a page was accepted as it is");
    Ok(ReviewOutcome::Done)
}

impl Filed {
    fn parse(record: &Record) -> Result<Self> {
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
    pub(crate) fn claimed(&self, now: UnixMillis) -> Option<&Claim> {
        self.entry.claim.as_ref().filter(|claim| now.0 - claim.at.0 < CLAIM_MILLIS)
    }

    /// Takes it out; whether it was as it was seen.
    pub(crate) async fn delete(&self, backend: &Backend) -> Result<bool> {
        let key = self.entry.key();
        retry_with_backoff(|| backend.records.delete(Collection::Review, &key, Some(self.version))).await
    }

    /// Takes it out once its page is settled. Where somebody who corrected it died in the midst, the customer is told first.
    pub(crate) async fn settle(&self, backend: &Backend, present: Option<&(Task, Page)>) -> Result<()> {
        if let (Some(_), Some((task, _))) = (&self.entry.claim, present) {
            enqueue_callback(backend, task).await?;
        }
        // An entry that has been changed is looked at again with the next list.
        self.delete(backend).await.map(drop)
    }
}

/// The task and the page of an entry as they are now; none where they are gone.
pub(crate) async fn present(backend: &Backend, entry: &ReviewEntry) -> Result<Option<(Task, Page)>> {
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
pub(crate) fn standing(entry: &ReviewEntry, present: Option<&(Task, Page)>) -> Standing {
    let Some((_, page)) = present else { return Standing::Settled };
    match page.status {
        PageStatus::Queued => Standing::BeingRead,
        PageStatus::Failed => Standing::Waiting,
        PageStatus::Succeeded if page.needs_review && page.round <= entry.round => Standing::Waiting,
        PageStatus::Succeeded | PageStatus::Canceled => Standing::Settled,
    }
}

/// What a page says, where it was read.
pub(crate) async fn text_of(backend: &Backend, page: &Page) -> Result<Option<PageText>> {
    if page.status != PageStatus::Succeeded {
        return Ok(None);
    }
    let key = Key::PageText { page: page.page, round: page.round }.to_string();
    let json = retry_with_backoff(|| backend.objects.read(&key)).await?;
    let malformed = |_| Error::Failed { what: "a stored result", why: format!("{key} is malformed") };
    serde_json::from_slice(&json).map(Some).map_err(malformed)
}

pub(crate) fn kept(why: impl Into<String>) -> ReviewOutcome {
    ReviewOutcome::Kept { why: why.into() }
}

pub(crate) fn in_hand(claim: &Claim) -> ReviewOutcome {
    kept(format!("{} has it in hand: try again in a minute", claim.by))
}
