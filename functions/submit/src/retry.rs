//! `POST /task/{task_id}/retry`: what was not read is read again, or all is, in a new round of the same task.

use std::sync::Arc;

use axum::{
    Json,
    body::HttpBody,
    extract::{Path, Request, State, rejection::PathRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use quire_platform::{Completion, Reopen, Result, delete_orphaned_corrections, retry_with_backoff};
use quire_tasks::{Task, TaskId};
use serde::Serialize;
use tracing::{info, warn};

use crate::{
    Door,
    caller::Caller,
    dispatch::{dispatch, queued_pages},
    json,
    limits::charge_again,
    link::Base,
    problem::Problem,
    task::not_found,
};

#[derive(Debug, Serialize)]
struct Retried {
    task_id: TaskId,
    status_url: String,
    /// How many pages wait again. A document that is to be fetched again counts as one.
    reopened: u32,
}

/// Without a body, or with `failed`: the pages that failed or were canceled, and the documents that could not be had. With
/// `all`: those that were read as well.
pub(crate) async fn retry(
    State(door): State<Arc<Door>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|_| Problem::task_not_found())?;
    let base = Base::new(&door, request.headers());
    let scope = scope(&door, request).await?;
    let task = door.task_of(&caller, &id).await?;
    let id = task.id;
    if !task.status().ended() {
        return Err(Problem::task_not_ended().of(id));
    }
    // From here on the client may go away: what has begun is finished.
    let begun = door.work.spawn(begin(Arc::clone(&door), id, scope));
    match begun.await.map_err(|panic| Problem::internal(&panic))?.map_err(not_found)? {
        Completion::Applied(task) => {
            let answer = Retried { task_id: id, status_url: base.status_url(id), reopened: task.counts.open };
            Ok((StatusCode::ACCEPTED, base.headers(id), Json(answer)).into_response())
        }
        Completion::Unchanged(task) if task.status().ended() => Err(Problem::nothing_to_retry().of(id)),
        Completion::Unchanged(_) => Err(Problem::task_not_ended().of(id)),
    }
}

async fn scope(door: &Door, request: Request) -> Result<Reopen, Problem> {
    if request.body().is_end_stream() {
        return Ok(Reopen::Unread);
    }
    if json::media_type(request.headers()) != "application/json" {
        return Err(Problem::unsupported_media_type("application/json, or no body"));
    }
    let body = json::members(door, request, &["pages"]).await?;
    match json::text(&body, "pages")? {
        None | Some("failed") => Ok(Reopen::Unread),
        Some("all") => Ok(Reopen::All),
        Some(_) => Err(Problem::invalid_field("pages", "The field is one of failed and all.")),
    }
}

/// Opens the task again; its messages are sent behind the answer, as those of a new task are.
async fn begin(door: Arc<Door>, id: TaskId, scope: Reopen) -> Result<Completion> {
    let completion = retry_with_backoff(|| door.backend.tasks.reopen(id, scope.clone())).await?;
    if let Completion::Applied(task) = &completion {
        let (trace, pages, round) = (task.trace.map(|trace| trace.trace_id()), task.counts.open, task.round);
        info!(task.id = %id, trace.id = trace, task.pages = pages, task.round = round, "task opened again");
        charge_again(&door, task).await;
        door.work.spawn(send(Arc::clone(&door), task.clone()));
    }
    Ok(completion)
}

async fn send(door: Arc<Door>, task: Task) {
    let sent = async {
        delete_orphaned_corrections(&door.backend, &task).await?;
        dispatch(&door.backend, &task, queued_pages(&door.backend, &task).await?).await
    };
    if let Err(error) = sent.await {
        warn!(task.id = %task.id, %error, "messages could not be sent; the next sweep sends them");
    }
}
