//! Reserves what a task takes of its tenant's quotas, before anything is stored or queued.

use quire_platform::now;
use quire_tasks::{DocumentState, Failure, FailureCode, Task, TaskId, Tenant};
use quire_tenants::{QuotaRefusal, Reservation, ReserveError};
use tracing::warn;

use crate::{
    state::AppState,
    tasks::submission::{TaskContent, ValidatedFile},
};

/// The reservation of a new task: the pages and bytes of its valid files. A pending document is reserved when it is
/// split.
pub(crate) fn of_submission(task: TaskId, content: &TaskContent) -> Reservation {
    let files: &[ValidatedFile] = match content {
        TaskContent::Files(files) => files,
        TaskContent::Pending { .. } => &[],
    };
    let valid = files.iter().filter_map(|file| file.file.as_ref().ok());
    let (pages, bytes) = valid.fold((0, 0), |(pages, bytes), (path, split)| {
        let size = std::fs::metadata(path).map_or(0, |file| file.len());
        (pages + u64::from(split.pages), bytes + size)
    });
    Reservation { task, document: 0, round: 1, pages, bytes, opens: true }
}

/// The reservation of a document that is about to be split.
pub(crate) const fn of_document(task: &Task, document: u32, pages: u32, bytes: u64) -> Reservation {
    Reservation { task: task.id, document, round: task.round, pages: pages as u64, bytes, opens: false }
}

/// The reservation of a retry: the pages that are read again. A document that is fetched again is reserved when it is
/// split.
pub(crate) fn of_retry(task: &Task, with_read: bool) -> Reservation {
    let count = |is: fn(&DocumentState) -> bool| task.documents.iter().filter(|one| is(&one.state)).count() as u32;
    // A document that is not split counts as one page.
    let failed = task.counts.failed.saturating_sub(count(|state| matches!(state, DocumentState::Failed(_))));
    let canceled = task.counts.canceled.saturating_sub(count(|state| matches!(state, DocumentState::Pending { .. })));
    let read = if with_read { task.counts.succeeded } else { 0 };
    let pages = u64::from(failed) + u64::from(canceled) + u64::from(read);
    Reservation { task: task.id, document: 0, round: task.round + 1, pages, bytes: 0, opens: true }
}

/// Takes a reservation. Error: a quota does not suffice, or the backend failed; then nothing is taken.
pub(crate) async fn reserve(app: &AppState, tenant: &Tenant, asks: &Reservation) -> Result<(), ReserveError> {
    app.allowance.reserve(tenant, asks, now()).await
}

/// Ends a reservation: what it is for exists, or it gives back what it took. A failure is logged only: the reservation
/// is then resolved half an hour later.
pub(crate) async fn settle(app: &AppState, tenant: &Tenant, of: &Reservation, exists: bool) {
    let settled = if exists {
        app.allowance.commit(tenant, of, now()).await
    } else {
        app.allowance.release(tenant, of, now()).await
    };
    if let Err(error) = settled {
        warn!(task.id = %of.task, tenant = tenant.as_str(), %error, "cannot settle a reservation");
    }
}

/// Gives back the pages that a cancellation ended before they were read. `before` is the task as it was read before.
pub(crate) async fn give_back_unread(app: &AppState, before: &Task, after: &Task) {
    if before.status().ended() {
        return;
    }
    let pending = after.documents.iter().filter(|document| matches!(document.state, DocumentState::Pending { .. }));
    let canceled = after.counts.canceled.saturating_sub(before.counts.canceled);
    let pages = u64::from(canceled).saturating_sub(pending.count() as u64);
    if let Err(error) = app.allowance.give_back(&after.tenant, pages, now()).await {
        let tenant = after.tenant.as_str();
        warn!(task.id = %after.id, tenant, task.pages = pages, %error, "cannot give back pages");
    }
}

/// Returns why a document is not split.
pub(crate) fn failure_of(refusal: QuotaRefusal) -> Failure {
    let code = match refusal {
        QuotaRefusal::TaskPages { .. } => FailureCode::TooManyPages,
        _ => FailureCode::QuotaExceeded,
    };
    Failure::new(code, format!("The quota does not suffice: {refusal}."))
}
