//! What a change makes of a task and its pages: the same in every home, which adds the transaction around it.

use quire_tasks::{
    Callback, CallbackUpdate, DocumentState, Outcome, Page, PageRef, PageStatus, Task, TaskId, UnixMillis,
};

/// A task as it is kept at first.
pub(crate) fn accept(task: &mut Task, now: UnixMillis) {
    if task.status().ended() {
        task.ended_at = Some(now);
    }
}

/// A task after a change. Its end is noted here, so that no change can miss it.
pub(crate) fn touch(task: &mut Task, now: UnixMillis) {
    task.version += 1;
    if task.status().ended() && task.ended_at.is_none() {
        task.ended_at = Some(now);
    }
}

/// A page that waits.
pub(crate) const fn queued(page: PageRef, round: u32) -> Page {
    let (status, failure, confidence, ended_at) = (PageStatus::Queued, None, None, None);
    Page { page, status, round, failure, confidence, ended_at, needs_review: false }
}

/// What came of settling a document.
pub(crate) enum Settled {
    /// There is no such document.
    Missing,
    /// It is not pending, or `state` ends no waiting.
    Before,
    /// Settled, and these pages are to be queued.
    Now(Vec<PageRef>),
}

/// Ends the waiting of a pending document.
pub(crate) fn settle(task: &mut Task, number: u32, state: DocumentState) -> Settled {
    let id: TaskId = task.id;
    let Some(document) = task.documents.iter_mut().find(|document| document.number == number) else {
        return Settled::Missing;
    };
    let pending = matches!(document.state, DocumentState::Pending { .. });
    let pages = match &state {
        DocumentState::Split(split) if pending => split.pages,
        DocumentState::Failed(_) if pending => 0,
        _ => return Settled::Before,
    };
    let (weight, status) = state.weight();
    document.state = state;
    // The document itself stood for one open page.
    task.counts.open -= 1;
    task.counts = task.counts.add(weight, status);
    Settled::Now((1..=pages).map(|page| PageRef { task_id: id, document: number, page }).collect())
}

/// Ends a queued page, in this round only; whether it did.
pub(crate) fn complete(task: &mut Task, page: &mut Page, round: u32, outcome: Outcome, now: UnixMillis) -> bool {
    // Where a task has ended, a page that is queued was opened by halves, by somebody who died.
    if page.status != PageStatus::Queued || task.round != round || task.status().ended() {
        return false;
    }
    page.status = outcome.status();
    page.round = round;
    page.ended_at = Some(now);
    match outcome {
        Outcome::Succeeded { confidence, needs_review } => {
            (page.confidence, page.needs_review) = (confidence, needs_review);
        }
        Outcome::Failed(failure) => page.failure = Some(failure),
    }
    task.counts = task.counts.close(1, page.status);
    true
}

/// Notes an attempt at the callback, in this round only; whether it changed anything.
pub(crate) fn tell(task: &mut Task, round: u32, with: &CallbackUpdate) -> bool {
    let next = task.callback.as_ref().filter(|_| task.round == round).and_then(|callback| with.apply(callback));
    let changed = next.is_some();
    if changed {
        task.callback = next;
    }
    changed
}

/// Opens so many failed pages of an ended task in a new round; whether it did.
pub(crate) fn reopen(task: &mut Task, failed: u32) -> bool {
    if !task.status().ended() || failed == 0 {
        return false;
    }
    begin_round(task, false);
    task.counts = task.counts.reopen(failed);
    // Whoever opens it sends its messages, and may die before that as at its creation.
    task.dispatched = false;
    true
}

/// Takes a correction of an ended page of an ended task, as a round of its own; whether it did.
pub(crate) fn correct(task: &mut Task, page: &mut Page, round: u32, confidence: Option<f32>, now: UnixMillis) -> bool {
    if !task.status().ended() || round != task.round + 1 {
        return false;
    }
    match page.status {
        PageStatus::Succeeded => {}
        PageStatus::Failed => task.counts = task.counts.reopen(1).close(1, PageStatus::Succeeded),
        PageStatus::Queued | PageStatus::Canceled => return false,
    }
    begin_round(task, true);
    let (status, failure, ended_at) = (PageStatus::Succeeded, None, Some(now));
    *page = Page { page: page.page, status, round, failure, confidence, ended_at, needs_review: false };
    true
}

/// Whoever was told of the round before is to be told of this one.
fn begin_round(task: &mut Task, updated: bool) {
    task.round += 1;
    task.ended_at = None;
    task.updated = updated;
    task.callback = task.callback.take().map(Callback::again);
}
