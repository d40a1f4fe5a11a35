//! What a change makes of a task and its pages: the same in every backend, which adds the transaction around it.

use quire_tasks::{
    Callback, CallbackUpdate, Counts, Document, DocumentState, Outcome, Page, PageRef, PageStatus, Task, TaskId,
    UnixMillis,
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
    /// It is not pending or was canceled, or `state` ends no waiting.
    Before,
    /// Settled, and these pages are to be queued.
    Now(Vec<PageRef>),
}

/// Ends the waiting of a pending document.
pub(crate) fn settle(task: &mut Task, number: u32, state: DocumentState) -> Settled {
    let (id, ended): (TaskId, bool) = (task.id, task.status().ended());
    let Some(document) = task.documents.iter_mut().find(|document| document.number == number) else {
        return Settled::Missing;
    };
    // A document that is pending while its task has ended was canceled.
    let pending = matches!(document.state, DocumentState::Pending { .. }) && !ended;
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
    // A page that has waited since an earlier round was canceled in it.
    let open = page.status == PageStatus::Queued && page.round == task.round && !task.status().ended();
    if !open || task.round != round || task.expired(now) {
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
    advance(task, now);
    true
}

/// Notes that its customer is to be told how far the task is, if that is wanted and was not told just now. Of its end they
/// are told anyway.
fn advance(task: &mut Task, now: UnixMillis) {
    let (version, ended) = (task.version + 1, task.status().ended());
    let Some(progress) = task.callback.as_mut().and_then(|callback| callback.progress.as_mut()) else { return };
    if let Some(next) = progress.next(version, now).filter(|_| !ended) {
        *progress = next;
    }
}

/// Cancels all that is open; whether anything was.
pub(crate) fn cancel(task: &mut Task) -> bool {
    let open = task.counts.open;
    task.counts = task.counts.close(open, PageStatus::Canceled);
    // What is not sent yet need not be sent any more.
    task.dispatched |= open > 0;
    open > 0
}

/// Ends the task's time at `at` at the latest, and all that may still come of it; whether that changed anything.
pub(crate) fn expire(task: &mut Task, at: UnixMillis) -> bool {
    let sooner = at < task.expires_at;
    task.expires_at = task.expires_at.min(at);
    let sent = std::mem::replace(&mut task.dispatched, true);
    let told = task.callback.take().is_none();
    cancel(task) || sooner || !sent || !told
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
pub(crate) fn reopen_failed(task: &mut Task, failed: u32, now: UnixMillis) -> bool {
    if !task.status().ended() || task.expired(now) || failed == 0 {
        return false;
    }
    task.counts = task.counts.reopen(failed, PageStatus::Failed);
    begin_opened(task);
    true
}

/// Opens all of an ended task that was not read, or `with_read` all of it, in a new round: documents too, whose numbers are
/// returned, if they failed and can be had once more. Nothing where there is nothing to open.
pub(crate) fn reopen_all(task: &mut Task, with_read: bool, now: UnixMillis) -> Option<Vec<u32>> {
    if !task.status().ended() || task.expired(now) {
        return None;
    }
    let (mut again, mut lost) = (Vec::new(), 0);
    for document in &mut task.documents {
        match open_document(document) {
            Opening::Again => again.push(document.number),
            Opening::Lost => lost += 1,
            Opening::None => {}
        }
    }
    let Counts { failed, canceled, succeeded, .. } = task.counts;
    let read = if with_read { succeeded } else { 0 };
    // A failed document counts as one failed page.
    let counts = task.counts.reopen(failed - lost, PageStatus::Failed).reopen(canceled, PageStatus::Canceled);
    task.counts = counts.reopen(read, PageStatus::Succeeded);
    (task.counts.open > 0).then(|| {
        begin_opened(task);
        again
    })
}

/// What becomes of a document when its task is opened again.
enum Opening {
    /// It had failed, and is pending again.
    Again,
    /// It had failed, and nobody has it.
    Lost,
    /// Nothing: it is split, or has been pending all the time.
    None,
}

fn open_document(document: &mut Document) -> Opening {
    match (&document.state, &document.source) {
        (DocumentState::Failed(_), Some(source)) => {
            document.state = DocumentState::Pending { source: source.clone() };
            Opening::Again
        }
        (DocumentState::Failed(_), None) => Opening::Lost,
        (DocumentState::Pending { .. } | DocumentState::Split(_), _) => Opening::None,
    }
}

fn begin_opened(task: &mut Task) {
    begin_round(task, false);
    // Whoever opens it sends its messages, and may die before that as at its creation.
    task.dispatched = false;
}

/// Takes a correction of an ended page of an ended task, as a round of its own; whether it did.
pub(crate) fn correct(task: &mut Task, page: &mut Page, round: u32, confidence: Option<f32>, now: UnixMillis) -> bool {
    if !task.status().ended() || task.expired(now) || round != task.round + 1 {
        return false;
    }
    match page.status {
        PageStatus::Succeeded => {}
        PageStatus::Failed => task.counts = task.counts.reopen(1, PageStatus::Failed).close(1, PageStatus::Succeeded),
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
    task.callback = task.callback.take().map(Callback::reset);
}
