//! Charges pages to the daily quota of their tenant.

use quire_platform::now;
use quire_tasks::{Document, DocumentState, Task};
use tracing::warn;

use crate::state::AppState;

/// Charges a new task for the pages of its documents that are split already.
pub(crate) async fn charge(app: &AppState, task: &Task) {
    let pages = task.documents.iter().map(split_pages).sum();
    charge_pages(app, task, pages).await;
}

/// Charges a task for the pages of a document that has just been split.
pub(crate) async fn charge_document(app: &AppState, task: &Task, number: u32) {
    let pages = task.document(number).map_or(0, split_pages);
    charge_pages(app, task, pages).await;
}

/// Charges a retried task for its reopened pages. A document that is fetched again is charged when it is split.
pub(crate) async fn charge_again(app: &AppState, task: &Task) {
    let pending = task.documents.iter().filter(|document| matches!(document.state, DocumentState::Pending { .. }));
    let pages = u64::from(task.counts.open).saturating_sub(pending.count() as u64);
    charge_pages(app, task, pages).await;
}

fn split_pages(document: &Document) -> u64 {
    match &document.state {
        DocumentState::Split(split) => u64::from(split.pages),
        _ => 0,
    }
}

/// A failed charge is logged only: the pages are read anyway.
async fn charge_pages(app: &AppState, task: &Task, pages: u64) {
    if let Err(error) = app.allowance.charge_pages(&task.tenant, pages, now()).await {
        let tenant = task.tenant.as_str();
        warn!(task.id = %task.id, tenant, task.pages = pages, %error, "cannot charge pages");
    }
}
