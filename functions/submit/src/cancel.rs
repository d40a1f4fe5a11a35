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
    Door,
    caller::Caller,
    problem::Problem,
    task::{answer, not_found},
};

/// What was read until now stays. A page that a worker has in hand ends as canceled all the same.
pub(crate) async fn cancel(
    State(door): State<Arc<Door>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|_| Problem::task_not_found())?;
    let task = door.task_of(&caller, &id).await?;
    let canceled = door.work.spawn(end(Arc::clone(&door), task.id));
    let completion = canceled.await.map_err(|panic| Problem::internal(&panic))?.map_err(not_found)?;
    let task = completion.task();
    if task.status() != TaskStatus::Canceled {
        return Err(Problem::task_ended().of(task.id));
    }
    answer(&door, task, None).await
}

/// The client may go away meanwhile. The callback is owed again to who asks again: whoever asked first may have died
/// before it was.
async fn end(door: Arc<Door>, id: TaskId) -> Result<Completion> {
    let completion = retry_with_backoff(|| door.backend.tasks.cancel(id)).await?;
    let task = completion.task();
    if completion.changed() {
        let (trace, pages) = (task.trace.map(|trace| trace.trace_id()), task.counts.canceled);
        info!(task.id = %id, trace.id = trace, task.canceled = pages, "task canceled");
    }
    enqueue_callback(&door.backend, task).await?;
    Ok(completion)
}
