//! Corrections: the operator's text replaces the page's text, and the customer gets a callback.
//!
//! Steps: claim the entry; store the text under the task's next round; start that round; enqueue the callback; delete
//! the entry. After a crash between two steps the entry stays claimed until the claim timeout; then the same call
//! completes the correction.

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
    BEING_READ, CLAIM_TIMEOUT_MILLIS, CONFLICT, FiledReview, ReviewOutcome, ReviewStatus, claimed_by, current_page,
    read_page_text, refuse, review_status,
};
use crate::record::now;

/// Timeout of a correction: well below the claim timeout, so that two operators never write the same object.
const WRITE_TIMEOUT: Duration = Duration::from_secs(45);
const _: () = assert!(WRITE_TIMEOUT.as_millis() < CLAIM_TIMEOUT_MILLIS as u128);
/// Maximum attempts while other rounds of the task start, e.g. by corrections of its other pages.
const TRIES: usize = 10;

/// Replaces the text of an entry's page, in a new round whose callback is a `task.updated`, and deletes the entry.
/// The page has then succeeded, without a confidence: a manual correction has no probability.
///
/// # Errors
/// [`Error::NotFound`] if no entry has this name, or another error of the backend. The same call then completes the
/// correction after the claim timeout.
pub async fn correct_review(backend: &Backend, name: &str, text: &str, by: &str) -> Result<ReviewOutcome> {
    let filed = FiledReview::find(backend, name).await?;
    let present = current_page(backend, &filed.entry).await?;
    let (task, page) = match (review_status(&filed.entry, present.as_ref()), &present) {
        (ReviewStatus::Waiting, Some(present)) => present,
        (ReviewStatus::BeingRead, _) => return Ok(refuse(BEING_READ)),
        _ => return conclude_settled(backend, &filed, present.as_ref(), text).await,
    };
    if !task.status().ended() {
        return Ok(refuse("its task is still open: retry when it has ended"));
    }
    let Ok(fields) = parse_fields(&task.read_as.mode, text) else {
        return Ok(refuse("the page has fields: the correction must be a JSON object with their values"));
    };
    let correction = Correction { by: by.to_owned(), at: Timestamp::now().to_string() };
    let before = read_page_text(backend, page).await?.unwrap_or_else(|| empty_text(task, page, &filed));
    let written =
        PageText { fields: fields.or_else(|| before.fields.clone()), ..corrected_text(before, text, correction) };
    let written = match apply_redaction(task.redact.as_ref(), written) {
        Ok(written) => written,
        Err(why) => return Ok(refuse(format!("the redaction policy cannot be applied: {why}"))),
    };
    let filed = match filed.claim(backend, by, now()).await? {
        Ok(filed) => filed,
        Err(outcome) => return Ok(outcome),
    };
    let timed_out = |_| Error::Busy { what: "the backend", why: "timeout while writing a correction".to_owned() };
    let Some(task) = timeout(WRITE_TIMEOUT, write(backend, &filed, &written)).await.map_err(timed_out)?? else {
        return Ok(refuse("its task was reopened: retry when it has ended"));
    };
    enqueue_callback(backend, &task).await?;
    filed.delete(backend).await?;
    let page = filed.entry.page;
    info!(task.id = %page.task_id, document.no = page.document, page.no = page.page, by, "page corrected");
    Ok(ReviewOutcome::Done)
}

impl FiledReview {
    /// Claims the entry, so that no other operator corrects the same page. Returns a refusal if it is claimed.
    async fn claim(
        self,
        backend: &Backend,
        by: &str,
        now: UnixMillis,
    ) -> Result<std::result::Result<Self, ReviewOutcome>> {
        if let Some(claim) = self.active_claim(now) {
            return Ok(Err(claimed_by(claim)));
        }
        let mut entry = self.entry;
        let seen = self.version;
        entry.claim = Some(ReviewClaim { by: by.to_owned(), at: now });
        let name = entry.key();
        let body = serde_json::to_string(&entry)
            .map_err(|error| Error::Failed { what: "a review entry", why: error.to_string() })?;
        let conflict = || Ok(Err(refuse(CONFLICT)));
        if !retry_with_backoff(|| backend.records.put(Collection::Review, &name, body.clone(), Some(seen), None))
            .await?
        {
            return conflict();
        }
        let claimed = Self::find(backend, &name).await?;
        if claimed.entry == entry { Ok(Ok(claimed)) } else { conflict() }
    }
}

/// The page needs no review any more: by this very correction, of which only the last steps are missing, or by
/// another change.
async fn conclude_settled(
    backend: &Backend,
    filed: &FiledReview,
    present: Option<&(Task, Page)>,
    text: &str,
) -> Result<ReviewOutcome> {
    let mut corrected_before = false;
    if let (Some(_), Some((_, page))) = (&filed.entry.claim, present) {
        let read = read_page_text(backend, page).await?;
        let redact = present.and_then(|(task, _)| task.redact.as_ref());
        corrected_before = read.is_some_and(|read| read.corrected.is_some() && is_same_correction(&read, text, redact));
    }
    filed.close(backend, present).await?;
    Ok(if corrected_before { ReviewOutcome::Done } else { ReviewOutcome::NotNeeded })
}

/// Stores the text and starts the round in which it is valid. Returns `None` if the task was reopened.
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
        // Overwrites the text of an attempt that crashed before the round started.
        retry_with_backoff(|| backend.objects.put(&key, json.clone().into())).await?;
        let completion = retry_with_backoff(|| backend.tasks.correct_page(page, round, text.confidence())).await?;
        // An earlier attempt may have started the round, and its response was lost.
        if completion.changed() || is_corrected_in(backend, filed, round).await? {
            return Ok(Some(completion.task().clone()));
        }
    }
    Err(Error::Busy { what: "the task", why: "too many concurrent changes to the task".to_owned() })
}

async fn is_corrected_in(backend: &Backend, filed: &FiledReview, round: u32) -> Result<bool> {
    let page = retry_with_backoff(|| backend.tasks.page(filed.entry.page)).await?;
    Ok(page.status == PageStatus::Succeeded && page.round == round)
}

fn text_lines(text: &str) -> Vec<Line> {
    text.lines()
        .map(|line| Line { text: line.to_owned(), confidence: None, polygon: None, ..Line::default() })
        .collect()
}

/// Returns whether a stored text is this correction, after redaction.
fn is_same_correction(stored: &PageText, text: &str, redact: Option<&RedactPolicy>) -> bool {
    let written = PageText { lines: text_lines(text), ..stored.clone() };
    apply_redaction(redact, written).is_ok_and(|written| written.lines == stored.lines)
}

/// Applies the redaction policy to a correction. What was redacted when the page was read is still on the page image:
/// its positions stay in the report, without a line.
fn apply_redaction(policy: Option<&RedactPolicy>, mut written: PageText) -> std::result::Result<PageText, String> {
    let Some(policy) = policy else { return Ok(written) };
    let before = written.redactions.take().unwrap_or_default();
    let redactor = Redactor::new(policy).map_err(|error| error.to_string())?;
    redactor.redact(&mut written).map_err(|error| error.to_string())?;
    let on_image = before.into_iter().filter(|redaction| redaction.polygon.is_some());
    let on_image = on_image.map(|redaction| Redaction { line: None, field: None, start: 0, end: 0, ..redaction });
    written.redactions.get_or_insert_default().extend(on_image);
    Ok(written)
}

/// Returns the corrected text. Warnings are dropped: a person has checked the text. So are blocks, which refer to the
/// lines of the old text.
fn corrected_text(before: PageText, text: &str, correction: Correction) -> PageText {
    let (lines, corrected) = (text_lines(text), Some(correction));
    PageText { lines, blocks: Vec::new(), warnings: Vec::new(), corrected, ..before }
}

/// Returns an empty text for a page that was never read. Its size is unknown; its engine is `reviewer`, and the
/// failed engine is listed as tried.
fn empty_text(task: &Task, page: &Page, filed: &FiledReview) -> PageText {
    let engine = EngineName { name: "reviewer".to_owned(), version: "1".to_owned() };
    let code = page.failure.as_ref().map(|failure| failure.code);
    let failed_engine = filed.entry.engine.clone().or_else(|| task.read_as.engine.clone());
    let tried = failed_engine.map(|engine| TriedEngine { engine, why: FallbackReason::Failed, code, confidence: None });
    let text = PageText::from_lines(engine, 0, 0, 0, Vec::new());
    PageText { mode: task.read_as.mode.name(), tried: tried.into_iter().collect(), ..text }
}

/// Parses the values of the task's fields from a correction in JSON. Returns `None` in other modes.
fn parse_fields(mode: &Mode, text: &str) -> std::result::Result<Option<Map<String, Value>>, serde_json::Error> {
    let Mode::Fields { keys } = mode else { return Ok(None) };
    let mut written: Map<String, Value> = serde_json::from_str(text)?;
    let value = |key: &String| (key.clone(), written.remove(key).unwrap_or_default());
    Ok(Some(keys.iter().map(value).collect()))
}
