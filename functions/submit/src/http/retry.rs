//! `POST /task/{task_id}/retry`: reads failed or all pages again, in a new round of the same task.

use std::sync::Arc;

use axum::{
    Json,
    body::HttpBody,
    extract::{Path, Request, State, rejection::PathRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use quire_platform::{Completion, Reopen, delete_orphaned_corrections, retry_with_backoff};
use quire_tasks::{Task, TaskId};
use serde::Serialize;
use tracing::{info, warn};

use crate::{
    http::{json, principal::Principal, problem::Problem, problem_sources::task_problem, urls::BaseUrl},
    state::AppState,
    tasks::{
        charge,
        dispatch::{PagesToSend, dispatch},
    },
};

#[derive(Debug, Serialize)]
struct RetryAnswer {
    task_id: TaskId,
    status_url: String,
    /// The number of pages that are queued again. A document that is fetched again counts as one.
    reopened: u32,
}

/// Retries the pages that failed or were canceled, and the documents that could not be fetched (`failed`, the default),
/// or all pages (`all`).
pub(crate) async fn retry_task(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|_| Problem::task_not_found())?;
    let base = BaseUrl::new(&app, request.headers());
    let scope = parse_scope(&app, request).await?;
    let task = app.task_of(&principal, &id).await?;
    let id = task.id;
    if !task.status().ended() {
        return Err(Problem::task_not_ended().of(id));
    }
    // In the background, so that it is finished even if the client disconnects.
    let reopened = app.work.spawn(reopen(Arc::clone(&app), task, scope));
    match reopened.await.map_err(|panic| Problem::internal(&panic))?? {
        Completion::Applied(task) => {
            let answer = RetryAnswer { task_id: id, status_url: base.status_url(id), reopened: task.counts.open };
            Ok((StatusCode::ACCEPTED, base.headers(id), Json(answer)).into_response())
        }
        Completion::Unchanged(task) if task.status().ended() => Err(Problem::nothing_to_retry().of(id)),
        Completion::Unchanged(_) => Err(Problem::task_not_ended().of(id)),
    }
}

async fn parse_scope(app: &AppState, request: Request) -> Result<Reopen, Problem> {
    if request.body().is_end_stream() {
        return Ok(Reopen::Unread);
    }
    if json::media_type(request.headers()) != "application/json" {
        return Err(Problem::unsupported_media_type("application/json, or the body must be empty"));
    }
    let body = json::members(app, request, &["pages"]).await?;
    match json::text(&body, "pages")? {
        None | Some("failed") => Ok(Reopen::Unread),
        Some("all") => Ok(Reopen::All),
        Some(_) => Err(Problem::invalid_field("pages", "Unknown value; expected one of failed, all.")),
    }
}

/// Opens a new round, after its pages are reserved. Its messages are sent in the background, like those of a new task.
async fn reopen(app: Arc<AppState>, task: Task, scope: Reopen) -> Result<Completion, Problem> {
    let id = task.id;
    let reservation = charge::of_retry(&task, scope == Reopen::All);
    charge::reserve(&app, &task.tenant, &reservation).await.map_err(|error| Problem::from(error).of(id))?;
    // After an error it is unknown whether the round exists: the reservation is resolved later.
    let reopened = retry_with_backoff(|| app.backend.tasks.reopen(id, scope.clone())).await;
    let completion = reopened.map_err(|error| task_problem(error).of(id))?;
    charge::settle(&app, &task.tenant, &reservation, completion.changed()).await;
    if let Completion::Applied(task) = &completion {
        let trace = task.trace.map(|trace| trace.trace_id());
        info!(task.id = %id, trace.id = trace, task.pages = task.counts.open, task.round, "task reopened");
        app.work.spawn(send_messages(Arc::clone(&app), task.clone()));
    }
    Ok(completion)
}

async fn send_messages(app: Arc<AppState>, task: Task) {
    let sent = async {
        delete_orphaned_corrections(&app.backend, &task).await?;
        dispatch(&app.backend, &task, PagesToSend::Queued).await
    };
    if let Err(error) = sent.await {
        warn!(task.id = %task.id, %error, "cannot send messages; the next sweep sends them");
    }
}
