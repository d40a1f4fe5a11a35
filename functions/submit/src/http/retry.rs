//! `POST /task/{task_id}/retry`: what was not read is read again, or all is, in a new round of the same task.

use std::sync::Arc;

use axum::{
    Json,
    body::HttpBody,
    extract::{Path, Request, State, rejection::PathRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use quire_platform::{Completion, Reopen, Result, forget_corrections, retry_with_backoff};
use quire_tasks::{Task, TaskId};
use serde::Serialize;
use tracing::{info, warn};

use crate::{
    http::{
        json,
        principal::Principal,
        problem::{Problem, not_found},
        urls::BaseUrl,
    },
    state::AppState,
    tasks::{
        charge::charge_again,
        dispatch::{dispatch, queued_pages},
    },
};

#[derive(Debug, Serialize)]
struct RetryAnswer {
    task_id: TaskId,
    status_url: String,
    /// How many pages wait again. A document that is to be fetched again counts as one.
    reopened: u32,
}

/// Without a body, or with `failed`: the pages that failed or were canceled, and the documents that could not be had. With
/// `all`: those that were read as well.
pub(crate) async fn retry(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|_| Problem::task_not_found())?;
    let base = BaseUrl::new(&app, request.headers());
    let scope = scope(&app, request).await?;
    let task = app.task_of(&principal, &id).await?;
    let id = task.id;
    if !task.status().ended() {
        return Err(Problem::task_not_ended().of(id));
    }
    // From here on the client may go away: what has begun is finished.
    let begun = app.work.spawn(begin(Arc::clone(&app), id, scope));
    match begun.await.map_err(|panic| Problem::internal(&panic))?.map_err(not_found)? {
        Completion::Now(task) => {
            let answer = RetryAnswer { task_id: id, status_url: base.status_url(id), reopened: task.counts.open };
            Ok((StatusCode::ACCEPTED, base.headers(id), Json(answer)).into_response())
        }
        Completion::Before(task) if task.status().ended() => Err(Problem::nothing_to_retry().of(id)),
        Completion::Before(_) => Err(Problem::task_not_ended().of(id)),
    }
}

async fn scope(app: &AppState, request: Request) -> Result<Reopen, Problem> {
    if request.body().is_end_stream() {
        return Ok(Reopen::Unread);
    }
    if json::media_type(request.headers()) != "application/json" {
        return Err(Problem::unsupported_media_type("application/json, or no body"));
    }
    let body = json::members(app, request, &["pages"]).await?;
    match json::text(&body, "pages")? {
        None | Some("failed") => Ok(Reopen::Unread),
        Some("all") => Ok(Reopen::All),
        Some(_) => Err(Problem::invalid_field("pages", "The field is one of failed and all.")),
    }
}

/// Opens the task again; its messages are sent behind the answer, as those of a new task are.
async fn begin(app: Arc<AppState>, id: TaskId, scope: Reopen) -> Result<Completion> {
    let completion = retry_with_backoff(|| app.backend.tasks.reopen(id, scope.clone())).await?;
    if let Completion::Now(task) = &completion {
        let (trace, pages, round) = (task.trace.map(|trace| trace.trace_id()), task.counts.open, task.round);
        info!(task.id = %id, trace.id = trace, task.pages = pages, task.round = round, "task opened again");
        charge_again(&app, task).await;
        app.work.spawn(send(Arc::clone(&app), task.clone()));
    }
    Ok(completion)
}

async fn send(app: Arc<AppState>, task: Task) {
    let sent = async {
        forget_corrections(&app.backend, &task).await?;
        dispatch(&app.backend, &task, queued_pages(&app.backend, &task).await?).await
    };
    if let Err(error) = sent.await {
        warn!(task.id = %task.id, %error, "messages could not be sent; the next sweep sends them");
    }
}
