//! `DELETE /task/{task_id}`: the task, its documents and what was read of them are gone, now.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use quire_platform::{Error, purge, retry_with_backoff};
use quire_tasks::Task;
use tracing::info;

use crate::{
    http::{principal::Principal, problem::Problem},
    state::AppState,
    time::now,
};

/// From its first step on there is no such task to anybody. What fails after that, this same call finishes when it is
/// made again; otherwise the sweep of what has expired does.
pub(crate) async fn delete(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id.map_err(|_| Problem::task_not_found())?;
    let task = app.stored_task_of(&principal, &id).await?;
    let deleted = app.work.spawn(forget(Arc::clone(&app), task));
    deleted.await.map_err(|panic| Problem::internal(&panic))??;
    Ok(StatusCode::NO_CONTENT)
}

async fn forget(app: Arc<AppState>, task: Task) -> quire_platform::Result<()> {
    // First, so that whoever has a page of it in hand leaves nothing behind.
    match retry_with_backoff(|| app.backend.tasks.expire(task.id, now())).await {
        Ok(_) => purge(&app.backend, &task).await?,
        // Somebody else was faster, and the task is the last that goes.
        Err(Error::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error),
    }
    let trace = task.trace.map(|trace| trace.trace_id());
    info!(task.id = %task.id, trace.id = trace, "task deleted");
    Ok(())
}
