//! `DELETE /task/{task_id}`: the task, its documents and what was read of them are gone, now.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use quire_platform::{Error, purge, retry_with_backoff};
use quire_tasks::Task;
use tracing::info;

use crate::{Door, accept::now, caller::Caller, problem::Problem};

/// From its first step on there is no such task to anybody. What fails after that, this same call finishes when it is
/// made again; otherwise the sweep of what has expired does.
pub(crate) async fn delete(
    State(door): State<Arc<Door>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id.map_err(|_| Problem::task_not_found())?;
    let task = door.stored_task_of(&caller, &id).await?;
    let deleted = door.work.spawn(forget(Arc::clone(&door), task));
    deleted.await.map_err(|panic| Problem::internal(&panic))??;
    Ok(StatusCode::NO_CONTENT)
}

async fn forget(door: Arc<Door>, task: Task) -> quire_platform::Result<()> {
    // First, so that whoever has a page of it in hand leaves nothing behind.
    match retry_with_backoff(|| door.backend.tasks.expire(task.id, now())).await {
        Ok(_) => purge(&door.backend, &task).await?,
        // Somebody else was faster, and the task is the last that goes.
        Err(Error::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error),
    }
    let trace = task.trace.map(|trace| trace.trace_id());
    info!(task.id = %task.id, trace.id = trace, "task deleted");
    Ok(())
}
