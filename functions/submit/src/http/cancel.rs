//! `POST /task/{task_id}/cancel`: what has not been read of a task is not wanted any more.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use quire_platform::{Completion, Result, enqueue_callback, retry_with_backoff};
use quire_tasks::{TaskId, TaskStatus};
use tracing::info;

use crate::{
    http::{
        principal::Principal,
        problem::{Problem, not_found},
        task::answer,
    },
    state::AppState,
};

/// What was read until now stays. A page that a worker has in hand ends as canceled all the same.
pub(crate) async fn cancel(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|_| Problem::task_not_found())?;
    let task = app.task_of(&principal, &id).await?;
    let canceled = app.work.spawn(end(Arc::clone(&app), task.id));
    let completion = canceled.await.map_err(|panic| Problem::internal(&panic))?.map_err(not_found)?;
    let task = completion.task();
    if task.status() != TaskStatus::Canceled {
        return Err(Problem::task_ended().of(task.id));
    }
    answer(&app, task, None).await
}

/// The client may go away meanwhile. The callback is owed again to who asks again: whoever asked first may have died
/// before it was.
async fn end(app: Arc<AppState>, id: TaskId) -> Result<Completion> {
    let completion = retry_with_backoff(|| app.backend.tasks.cancel(id)).await?;
    let task = completion.task();
    if completion.changed() {
        let (trace, pages) = (task.trace.map(|trace| trace.trace_id()), task.counts.canceled);
        info!(task.id = %id, trace.id = trace, task.canceled = pages, "task canceled");
    }
    enqueue_callback(&app.backend, task).await?;
    Ok(completion)
}
