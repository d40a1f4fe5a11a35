//! `POST /task/{task_id}/cancel`: cancels the pages of a task that are not read yet.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use quire_platform::{Completion, Result, enqueue_callback, retry_with_backoff};
use quire_tasks::{Task, TaskStatus};
use tracing::info;

use crate::{
    http::{principal::Principal, problem::Problem, problem_sources::task_problem, task::answer_task},
    state::AppState,
    tasks::charge::give_back_unread,
};

/// Cancels the task. Pages that were read stay; a page that a worker is reading ends as canceled.
pub(crate) async fn cancel_task(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|_| Problem::task_not_found())?;
    let task = app.task_of(&principal, &id).await?;
    let canceled = app.work.spawn(cancel(Arc::clone(&app), task));
    let completion = canceled.await.map_err(|panic| Problem::internal(&panic))?.map_err(task_problem)?;
    let task = completion.task();
    if task.status() != TaskStatus::Canceled {
        return Err(Problem::task_ended().of(task.id));
    }
    answer_task(&app, task, None).await
}

/// Cancels the task even if the client disconnects. A repeated call enqueues the callback again, because the first one
/// may have crashed before it did.
async fn cancel(app: Arc<AppState>, before: Task) -> Result<Completion> {
    let id = before.id;
    let completion = retry_with_backoff(|| app.backend.tasks.cancel(id)).await?;
    let task = completion.task();
    if completion.changed() {
        let trace = task.trace.map(|trace| trace.trace_id());
        info!(task.id = %id, trace.id = trace, task.canceled = task.counts.canceled, "task canceled");
        give_back_unread(&app, &before, task).await;
    }
    enqueue_callback(&app.backend, task).await?;
    Ok(completion)
}
