//! The state machine of a task and its pages.
//!
//! ```text
//! document  pending ──► split (its pages are queued) │ failed
//! page      queued ──► succeeded │ failed │ canceled
//! task      queued ──► processing ──► succeeded │ partially_succeeded │ failed │ canceled
//! ```
//!
//! States are final within a round. Reopening ([`reopen_failed`], [`reopen_all`]) or correcting ([`correct_page`]) an
//! ended task starts the next round. Pure functions: each returns whether it changed the task, and the task tables of
//! all backends wrap them in a transaction. A table that has applied a change must call [`record_change`] before it
//! stores the task.

use crate::{
    Callback, CallbackUpdate, Counts, Document, DocumentState, Outcome, Page, PageRef, PageStatus, Task, UnixMillis,
};

/// Prepares a new task to be stored: a task whose documents have all failed has ended at once.
pub fn accept(task: &mut Task, now: UnixMillis) {
    if task.status().ended() {
        task.ended_at = Some(now);
    }
}

/// Records a change: increments the version, and sets the end time if the task has just ended. It is set here and only
/// here, so that no transition can miss it.
pub fn record_change(task: &mut Task, now: UnixMillis) {
    task.version += 1;
    if task.status().ended() && task.ended_at.is_none() {
        task.ended_at = Some(now);
    }
}

/// Returns a queued page.
pub const fn queued_page(page: PageRef, round: u32) -> Page {
    Page {
        page,
        status: PageStatus::Queued,
        round,
        failure: None,
        confidence: None,
        ended_at: None,
        needs_review: false,
    }
}

/// The result of [`finish_document`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentFinish {
    /// The task has no such document.
    NotFound,
    /// Nothing changed: the document is not pending or was canceled, or the new state is pending.
    Unchanged,
    /// The document is split, and these pages must be queued, or it has failed, and there are none.
    Finished(Vec<PageRef>),
}

/// Ends a pending document: it is split or has failed.
pub fn finish_document(task: &mut Task, number: u32, state: DocumentState) -> DocumentFinish {
    let task_id = task.id;
    // A document that is pending in an ended task was canceled.
    let is_canceled = task.status().ended();
    let Some(document) = task.documents.iter_mut().find(|document| document.number == number) else {
        return DocumentFinish::NotFound;
    };
    if is_canceled || !matches!(document.state, DocumentState::Pending { .. }) {
        return DocumentFinish::Unchanged;
    }
    let pages = match &state {
        DocumentState::Split(split) => split.pages,
        DocumentState::Failed(_) => 0,
        DocumentState::Pending { .. } => return DocumentFinish::Unchanged,
    };
    let (weight, status) = state.weight();
    document.state = state;
    // A pending document counts as one open page.
    task.counts.open -= 1;
    task.counts = task.counts.add(weight, status);
    DocumentFinish::Finished((1..=pages).map(|page| PageRef { task_id, document: number, page }).collect())
}

/// Ends a queued page with its outcome. Changes nothing if the page is not queued, its task has ended or expired, or
/// `round` is not the task's current round.
pub fn complete_page(task: &mut Task, page: &mut Page, round: u32, outcome: Outcome, now: UnixMillis) -> bool {
    // A page that is still queued since an earlier round was canceled in it.
    let is_open = page.status == PageStatus::Queued && page.round == task.round && !task.status().ended();
    if !is_open || task.round != round || task.expired(now) {
        return false;
    }
    page.status = outcome.status();
    page.round = round;
    page.ended_at = Some(now);
    match outcome {
        Outcome::Succeeded { confidence, needs_review } => {
            page.confidence = confidence;
            page.needs_review = needs_review;
        }
        Outcome::Failed(failure) => page.failure = Some(failure),
    }
    task.counts = task.counts.close(1, page.status);
    schedule_progress(task, now);
    true
}

/// Marks a progress webhook as due, if progress webhooks are wanted and the last one was long enough ago. The end of a
/// task has a webhook of its own.
fn schedule_progress(task: &mut Task, now: UnixMillis) {
    if task.status().ended() {
        return;
    }
    let next_version = task.version + 1;
    let Some(progress) = task.callback.as_mut().and_then(|callback| callback.progress.as_mut()) else { return };
    if let Some(next) = progress.next(next_version, now) {
        *progress = next;
    }
}

/// Cancels all open pages and documents. Changes nothing if none is open. Note: the pages' own records stay queued;
/// [`Task::status_of`] returns their real status.
pub fn cancel(task: &mut Task) -> bool {
    let open = task.counts.open;
    task.counts = task.counts.close(open, PageStatus::Canceled);
    // Messages that are not sent yet are no longer needed.
    task.dispatched |= open > 0;
    open > 0
}

/// Moves the expiry forward to `at`, if that is earlier, cancels all open pages and drops the callback: no page is
/// completed and no webhook is delivered any more.
pub fn expire(task: &mut Task, at: UnixMillis) -> bool {
    let is_sooner = at < task.expires_at;
    task.expires_at = task.expires_at.min(at);
    let was_dispatched = std::mem::replace(&mut task.dispatched, true);
    let had_callback = task.callback.take().is_some();
    let was_open = cancel(task);
    was_open || is_sooner || !was_dispatched || had_callback
}

/// Applies an update to the callback, in its round only. Changes nothing if the task has no callback, `round` is not
/// its current round, or the update does not apply.
pub fn update_callback(task: &mut Task, round: u32, update: &CallbackUpdate) -> bool {
    if task.round != round {
        return false;
    }
    let Some(next) = task.callback.as_ref().and_then(|callback| update.apply(callback)) else { return false };
    task.callback = Some(next);
    true
}

/// Reopens failed pages of an ended task in a new round. Changes nothing if the task is open or expired, or if `failed`
/// is 0. The caller must queue these pages.
pub fn reopen_failed(task: &mut Task, failed: u32, now: UnixMillis) -> bool {
    if !task.status().ended() || task.expired(now) || failed == 0 {
        return false;
    }
    task.counts = task.counts.reopen(failed, PageStatus::Failed);
    start_reopened_round(task);
    true
}

/// Reopens everything in an ended task that was not read, or `with_read` everything, in a new round. Returns the
/// numbers of the failed documents that are pending again, i.e. those with a known source. Returns `None` and changes
/// nothing if the task is open or expired, or if nothing can be reopened. The caller must queue the pages.
pub fn reopen_all(task: &mut Task, with_read: bool, now: UnixMillis) -> Option<Vec<u32>> {
    if !task.status().ended() || task.expired(now) {
        return None;
    }
    let mut reopened = Vec::new();
    let mut lost = 0;
    for document in &mut task.documents {
        match reopen_document(document) {
            DocumentReopening::Pending => reopened.push(document.number),
            DocumentReopening::Lost => lost += 1,
            DocumentReopening::Unchanged => {}
        }
    }
    let Counts { failed, canceled, succeeded, .. } = task.counts;
    // A failed document counts as one failed page.
    task.counts = task.counts.reopen(failed - lost, PageStatus::Failed).reopen(canceled, PageStatus::Canceled);
    if with_read {
        task.counts = task.counts.reopen(succeeded, PageStatus::Succeeded);
    }
    if task.counts.open == 0 {
        return None;
    }
    start_reopened_round(task);
    Some(reopened)
}

/// What reopening a task does to one of its documents.
enum DocumentReopening {
    /// It had failed, and is pending again.
    Pending,
    /// It had failed, and its source is unknown.
    Lost,
    /// It is split or still pending.
    Unchanged,
}

fn reopen_document(document: &mut Document) -> DocumentReopening {
    match (&document.state, &document.source) {
        (DocumentState::Failed(_), Some(source)) => {
            document.state = DocumentState::Pending { source: source.clone() };
            DocumentReopening::Pending
        }
        (DocumentState::Failed(_), None) => DocumentReopening::Lost,
        (DocumentState::Pending { .. } | DocumentState::Split(_), _) => DocumentReopening::Unchanged,
    }
}

fn start_reopened_round(task: &mut Task) {
    start_round(task, false);
    // The caller sends the messages; until then the task is undispatched, as after its creation.
    task.dispatched = false;
}

/// Applies a person's correction of an ended page, as a round of its own in which the page has succeeded. Changes
/// nothing if the task is open or expired, `round` is not the next round, or the page was canceled.
pub fn correct_page(task: &mut Task, page: &mut Page, round: u32, confidence: Option<f32>, now: UnixMillis) -> bool {
    if !task.status().ended() || task.expired(now) || round != task.round + 1 {
        return false;
    }
    match page.status {
        PageStatus::Succeeded => {}
        PageStatus::Failed => task.counts = task.counts.reopen(1, PageStatus::Failed).close(1, PageStatus::Succeeded),
        PageStatus::Queued | PageStatus::Canceled => return false,
    }
    start_round(task, true);
    *page = Page { status: PageStatus::Succeeded, confidence, ended_at: Some(now), ..queued_page(page.page, round) };
    true
}

/// Starts the next round. The webhook of the last round is followed by one for this round.
fn start_round(task: &mut Task, updated: bool) {
    task.round += 1;
    task.ended_at = None;
    task.updated = updated;
    task.callback = task.callback.take().map(Callback::reset);
}

#[cfg(test)]
mod tests;
