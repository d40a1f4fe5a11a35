//! `DELETE /task/{task_id}`: deletes a task with its documents and results, immediately.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use quire_platform::{Error, now, purge, retry_with_backoff};
use quire_tasks::Task;
use tracing::{info, warn};

use crate::{
    http::{principal::Principal, problem::Problem},
    state::AppState,
    tasks::charge::give_back_unread,
};

/// Deletes the task. Its first step makes the task invisible to everyone. If a later step fails, the same call resumes
/// it, or else the retention sweep does.
pub(crate) async fn delete_task(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id.map_err(|_| Problem::task_not_found())?;
    let task = app.stored_task_of(&principal, &id).await?;
    let deleted = app.work.spawn(expire_and_purge(Arc::clone(&app), task));
    deleted.await.map_err(|panic| Problem::internal(&panic))??;
    Ok(StatusCode::NO_CONTENT)
}

async fn expire_and_purge(app: Arc<AppState>, task: Task) -> quire_platform::Result<()> {
    // The task expires first, so that a worker that is reading one of its pages leaves nothing behind.
    match retry_with_backoff(|| app.backend.tasks.expire(task.id, now())).await {
        Ok(expired) => {
            if expired.changed() {
                give_back_unread(&app, &task, expired.task()).await;
            }
            // Deletion frees space, so that it must also work where nothing can be written.
            if let Err(error) = app.allowance.forget(&task).await {
                warn!(task.id = %task.id, %error, "cannot give back the bytes of a deleted task");
            }
            purge(&app.backend, &task).await?;
        }
        // Lost a race with another deletion, which removes the task last.
        Err(Error::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error),
    }
    let trace = task.trace.map(|trace| trace.trace_id());
    info!(task.id = %task.id, trace.id = trace, "task deleted");
    Ok(())
}
