//! What somebody wrote for a page becomes its text, and the customer is told.
//!
//! claimed → text stored under the task's next round → that round begun → callback owed → entry taken out. Whoever dies
//! between two of these holds the entry for a minute; then the same call again finishes it.

use std::time::Duration;

use jiff::Timestamp;
use quire_platform::{Backend, Collection, Error, Result, enqueue_callback, retry_with_backoff};
use quire_redact::Redactor;
use quire_tasks::{
    Correction, EngineName, FallbackReason, Line, Mode, ObjectKey, Page, PageStatus, PageText, RedactPolicy, Redaction,
    ReviewClaim, Task, TriedEngine, UnixMillis,
};
use serde_json::{Map, Value};
use tokio::time::timeout;
use tracing::info;

use super::entry::{
    CLAIM_TIMEOUT_MILLIS, FiledReview, ReviewOutcome, ReviewStatus, claimed_by, current_page, read_page_text, refuse,
    review_status,
};
use crate::record::now;

/// After this whoever writes gives up: well before others may take the entry over, so that no two write the same object.
const WRITE_TIMEOUT: Duration = Duration::from_secs(45);
const _: () = assert!(WRITE_TIMEOUT.as_millis() < CLAIM_TIMEOUT_MILLIS as u128);
/// How often it is tried while other rounds of the task begin: those of its other pages' corrections.
const TRIES: usize = 10;

/// Makes `text` the text of an entry's page, in a round of its own whose callback is a `task.updated`, and takes the entry
/// out. The page has succeeded then and has no confidence: a person's word is no probability.
///
/// # Errors
/// [`Error::NotFound`] where there is no entry with this name, or another of the backend's: then the same call again, a minute
/// later, finishes what was begun.
pub async fn correct_review(backend: &Backend, name: &str, text: &str, by: &str) -> Result<ReviewOutcome> {
    let filed = FiledReview::find(backend, name).await?;
    let present = current_page(backend, &filed.entry).await?;
    let (task, page) = match (review_status(&filed.entry, present.as_ref()), &present) {
        (ReviewStatus::Waiting, Some(present)) => present,
        (ReviewStatus::BeingRead, _) => return Ok(refuse("its page is being read: look at it when that has ended")),
        _ => return conclude_earlier(backend, &filed, present.as_ref(), text).await,
    };
    if !task.status().ended() {
        return Ok(refuse("its task is still open: try again when it has ended"));
    }
    let Ok(fields) = fields(&task.read_as.mode, text) else {
        return Ok(refuse("the page was read for fields: write a JSON object with their values"));
    };
    let correction = Correction { by: by.to_owned(), at: Timestamp::now().to_string() };
    let before = read_page_text(backend, page).await?.unwrap_or_else(|| unread(task, page, &filed));
    let written = PageText { fields: fields.or_else(|| before.fields.clone()), ..corrected(before, text, correction) };
    let written = match redacted(task.redact.as_ref(), written) {
        Ok(written) => written,
        Err(why) => return Ok(refuse(format!("what is to be taken out of it could not be looked for: {why}"))),
    };
    let filed = match filed.claim(backend, by, now()).await? {
        Ok(filed) => filed,
        Err(outcome) => return Ok(outcome),
    };
    let slow = |_| Error::Busy { what: "the backend", why: "a correction took too long to be written".to_owned() };
    let Some(task) = timeout(WRITE_TIMEOUT, write(backend, &filed, &written)).await.map_err(slow)?? else {
        return Ok(refuse("its task was opened again meanwhile: try again when it has ended"));
    };
    enqueue_callback(backend, &task).await?;
    filed.delete(backend).await?;
    let page = filed.entry.page;
    info!(task.id = %page.task_id, document.no = page.document, page.no = page.page, by, "a page was corrected");
    Ok(ReviewOutcome::Done)
}

impl FiledReview {
    /// Takes it in hand, so that nobody else writes for the same page; or says who has it.
    async fn claim(
        self,
        backend: &Backend,
        by: &str,
        now: UnixMillis,
    ) -> Result<std::result::Result<Self, ReviewOutcome>> {
        if let Some(claim) = self.active_claim(now) {
            return Ok(Err(claimed_by(claim)));
        }
        let (mut entry, seen) = (self.entry, self.version);
        entry.claim = Some(ReviewClaim { by: by.to_owned(), at: now });
        let name = entry.key();
        let body = serde_json::to_string(&entry)
            .map_err(|error| Error::Failed { what: "a review entry", why: error.to_string() })?;
        let faster = || Ok(Err(refuse("somebody else was faster: look at it again")));
        if !retry_with_backoff(|| backend.records.put(Collection::Review, &name, body.clone(), Some(seen), None))
            .await?
        {
            return faster();
        }
        let claimed = Self::find(backend, &name).await?;
        if claimed.entry == entry { Ok(Ok(claimed)) } else { faster() }
    }
}

/// The page is settled: by this very correction, of which only the end lacks, or by something else.
async fn conclude_earlier(
    backend: &Backend,
    filed: &FiledReview,
    present: Option<&(Task, Page)>,
    text: &str,
) -> Result<ReviewOutcome> {
    let mut by_us = false;
    if let (Some(_), Some((_, page))) = (&filed.entry.claim, present) {
        let read = read_page_text(backend, page).await?;
        let redact = present.and_then(|(task, _)| task.redact.as_ref());
        by_us = read.is_some_and(|read| read.corrected.is_some() && is_of(&read, text, redact));
    }
    filed.close(backend, present).await?;
    Ok(if by_us { ReviewOutcome::Done } else { ReviewOutcome::NotNeeded })
}

/// Stores the text and begins the round in which it counts; `None` where the task has been opened again.
async fn write(backend: &Backend, filed: &FiledReview, text: &PageText) -> Result<Option<Task>> {
    let json = serde_json::to_vec(text)
        .map_err(|error| Error::Failed { what: "the page's result", why: error.to_string() })?;
    for _ in 0..TRIES {
        let Some((task, page)) = current_page(backend, &filed.entry).await? else { return Ok(None) };
        let ended = matches!(page.status, PageStatus::Succeeded | PageStatus::Failed);
        if !task.status().ended() || !ended {
            return Ok(None);
        }
        let (page, round) = (page.page, task.round + 1);
        let key = ObjectKey::PageText { page, round }.to_string();
        // In place of what somebody left there who died before the round began.
        retry_with_backoff(|| backend.objects.put(&key, json.clone().into())).await?;
        let completion = retry_with_backoff(|| backend.tasks.correct_page(page, round, text.confidence())).await?;
        // It may have been taken by a try whose answer was lost.
        if completion.changed() || is_corrected_in(backend, filed, round).await? {
            return Ok(Some(completion.task().clone()));
        }
    }
    Err(Error::Busy { what: "the task", why: "others keep changing it".to_owned() })
}

async fn is_corrected_in(backend: &Backend, filed: &FiledReview, round: u32) -> Result<bool> {
    let page = retry_with_backoff(|| backend.tasks.page(filed.entry.page)).await?;
    Ok(page.status == PageStatus::Succeeded && page.round == round)
}

fn lines(text: &str) -> Vec<Line> {
    text.lines().map(|line| Line { text: line.to_owned(), confidence: None, polygon: None }).collect()
}

/// Whether a text that is kept is what somebody wrote, as far as that may be kept.
fn is_of(kept: &PageText, text: &str, redact: Option<&RedactPolicy>) -> bool {
    let written = PageText { lines: lines(text), ..kept.clone() };
    redacted(redact, written).is_ok_and(|written| written.lines == kept.lines)
}

/// What may be kept of what somebody wrote. What was taken out when the page was read is still on the page: its places stay
/// reported, though in no line any more.
fn redacted(policy: Option<&RedactPolicy>, mut written: PageText) -> std::result::Result<PageText, String> {
    let Some(policy) = policy else { return Ok(written) };
    let before = written.redactions.take().unwrap_or_default();
    let redactor = Redactor::new(policy).map_err(|error| error.to_string())?;
    redactor.redact(&mut written).map_err(|error| error.to_string())?;
    let places = before.into_iter().filter(|redaction| redaction.polygon.is_some());
    let places = places.map(|place| Redaction { line: None, field: None, start: 0, end: 0, ..place });
    written.redactions.get_or_insert_default().extend(places);
    Ok(written)
}

/// Nothing is left of what was to be known before the text was trusted: a person answers for it.
fn corrected(before: PageText, text: &str, correction: Correction) -> PageText {
    PageText { lines: lines(text), warnings: Vec::new(), corrected: Some(correction), ..before }
}

/// A page of which nothing is known, not even its size: it is signed by nobody's engine, and names the one that failed.
fn unread(task: &Task, page: &Page, filed: &FiledReview) -> PageText {
    let engine = EngineName { name: "reviewer".to_owned(), version: "1".to_owned() };
    let code = page.failure.as_ref().map(|failure| failure.code);
    let asked = filed.entry.engine.clone().or_else(|| task.read_as.engine.clone());
    let tried = asked.map(|engine| TriedEngine { engine, why: FallbackReason::Failed, code, confidence: None });
    let text = PageText::from_lines(engine, 0, 0, 0, Vec::new());
    PageText { mode: task.read_as.mode.name(), tried: tried.into_iter().collect(), ..text }
}

/// The values of the fields that the task asks for, out of a correction in JSON; none in the other modes.
fn fields(mode: &Mode, text: &str) -> std::result::Result<Option<Map<String, Value>>, serde_json::Error> {
    let Mode::Fields { keys } = mode else { return Ok(None) };
    let mut written: Map<String, Value> = serde_json::from_str(text)?;
    let value = |key: &String| (key.clone(), written.remove(key).unwrap_or_default());
    Ok(Some(keys.iter().map(value).collect()))
}
