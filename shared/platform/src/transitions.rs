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
    Page { page, status: PageStatus::Queued, round, failure: None, confidence: None, ended_at: None }
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
    if page.status != PageStatus::Queued || task.round != round {
        return false;
    }
    page.status = outcome.status();
    page.round = round;
    page.ended_at = Some(now);
    match outcome {
        Outcome::Succeeded { confidence } => page.confidence = confidence,
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
    task.round += 1;
    task.ended_at = None;
    task.counts = task.counts.reopen(failed);
    task.callback = task.callback.take().map(|callback| Callback::owed(callback.url));
    // Whoever opens it sends its messages, and may die before that as at its creation.
    task.dispatched = false;
    true
}
