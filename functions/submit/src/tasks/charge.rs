//! Charges tenants for the pages of their tasks.

use quire_tasks::{Document, DocumentState, Task};
use tracing::warn;

use crate::{state::AppState, time::now};

/// Charges a new task's tenant for the pages that are known already.
pub(crate) async fn charge(app: &AppState, task: &Task) {
    charge_for(app, task, task.documents.iter()).await;
}

/// Charges a task's tenant for the pages of a document that has just been split.
pub(crate) async fn charge_document(app: &AppState, task: &Task, number: u32) {
    charge_for(app, task, task.document(number).into_iter()).await;
}

/// Charges a task's tenant for the pages that are read again. A document that is fetched again is charged when it is split.
pub(crate) async fn charge_again(app: &AppState, task: &Task) {
    let pending = task.documents.iter().filter(|document| matches!(document.state, DocumentState::Pending { .. }));
    let pages = u64::from(task.counts.open).saturating_sub(pending.count() as u64);
    charge_pages(app, task, pages).await;
}

async fn charge_for(app: &AppState, task: &Task, documents: impl Iterator<Item = &Document>) {
    let pages = |document: &Document| match &document.state {
        DocumentState::Split(split) => u64::from(split.pages),
        _ => 0,
    };
    charge_pages(app, task, documents.map(pages).sum()).await;
}

/// A charge that cannot be written is nobody's debt: the pages are read all the same.
async fn charge_pages(app: &AppState, task: &Task, pages: u64) {
    if let Err(error) = app.allowance.charge_pages(&task.tenant, pages, now()).await {
        let tenant = task.tenant.as_str();
        warn!(task.id = %task.id, tenant, task.pages = pages, %error, "pages could not be charged");
    }
}
