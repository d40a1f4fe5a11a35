//! `POST /deliveries/{delivery_id}/resend` and `POST /webhooks/recover`: send missed callbacks again, with the same
//! `webhook-id`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Request, State, rejection::PathRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use quire_platform::{Error, Result, TaskCursor, enqueue_callback, now, retry_with_backoff};
use quire_tasks::{CallbackState, CallbackUpdate, Task, TaskId, Tenant, UnixMillis, WebhookId};
use serde::Serialize;

use crate::{
    http::{
        cursor,
        json::{self, media_type},
        principal::Principal,
        problem::Problem,
        problem_codes::ProblemCode,
        problem_sources::task_problem,
        query,
    },
    state::AppState,
};

/// The maximum number of tasks that one call of `POST /webhooks/recover` examines.
const MAX_EXAMINED: usize = 500;
/// The number of tasks read at a time.
const READ_BATCH: usize = 100;
/// One call stops after about this many callbacks, at most one batch more. Each is a write and a message.
const ENOUGH_RESENT: usize = 100;
/// The number of callbacks sent concurrently.
const RESEND_CONCURRENCY: usize = 8;

#[derive(Debug, Serialize)]
struct ResendAnswer {
    task_id: TaskId,
    delivery_id: WebhookId,
}

pub(crate) async fn resend_delivery(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|_| Problem::delivery_not_found())?;
    let id: WebhookId = id.parse().map_err(|_| Problem::delivery_not_found())?;
    let task = app.task_of(&principal, &id.task_id.to_string()).await.map_err(delivery_problem)?;
    check_resendable(&task, id)?;
    let sent = app.work.spawn(enqueue_again(Arc::clone(&app), id));
    let sent = sent.await.map_err(|panic| Problem::internal(&panic))?;
    let task = sent.map_err(|error| delivery_problem(task_problem(error)))?;
    check_resendable(&task, id)?;
    let answer = ResendAnswer { task_id: id.task_id, delivery_id: id };
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// A delivery without its task does not exist.
fn delivery_problem(problem: Problem) -> Problem {
    if problem.code() == ProblemCode::TaskNotFound { Problem::delivery_not_found() } else { problem }
}

/// Checks that the delivery is the latest completion event of its task. Progress events cannot be resent.
fn check_resendable(task: &Task, id: WebhookId) -> Result<(), Problem> {
    let exists = task.callback_state() != CallbackState::None && id.round <= task.round;
    if !exists {
        return Err(Problem::delivery_not_found());
    }
    if id.round != task.round || id.progress.is_some() {
        return Err(Problem::delivery_superseded().of(task.id));
    }
    if task.status().ended() { Ok(()) } else { Err(Problem::delivery_not_found()) }
}

/// Enqueues the callback again, whatever its state. A crash between the two steps leaves it pending without a message;
/// the client gets no response in that case and retries.
async fn enqueue_again(app: Arc<AppState>, id: WebhookId) -> Result<Task> {
    let update = || app.backend.tasks.update_callback(id.task_id, id.round, CallbackUpdate::Resend);
    let task = retry_with_backoff(update).await?.task().clone();
    if task.round == id.round {
        enqueue_callback(&app.backend, &task).await?;
    }
    Ok(task)
}

#[derive(Debug, Serialize)]
pub(crate) struct RecoverAnswer {
    resent: usize,
    next: Option<String>,
}

const MEMBERS: [&str; 2] = ["since", "cursor"];

/// Sends all exhausted callbacks again, of tasks created since a time.
pub(crate) async fn recover_deliveries(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    request: Request,
) -> Result<Json<RecoverAnswer>, Problem> {
    if media_type(request.headers()) != "application/json" {
        return Err(Problem::unsupported_media_type("application/json"));
    }
    let body = json::members(&app, request, &MEMBERS).await?;
    let since = json::text(&body, "since")?.ok_or_else(|| Problem::missing_field("since"))?;
    let since = query::parse_time("since", since)?;
    let after = json::text(&body, "cursor")?.map(cursor::parse_listed).transpose()?;
    let recovered = app.work.spawn(recover_since(Arc::clone(&app), principal.tenant, since, after));
    Ok(Json(recovered.await.map_err(|panic| Problem::internal(&panic))??))
}

async fn recover_since(
    app: Arc<AppState>,
    tenant: Tenant,
    since: UnixMillis,
    mut after: Option<TaskCursor>,
) -> Result<RecoverAnswer> {
    let mut resent = 0;
    for _ in 0..MAX_EXAMINED / READ_BATCH {
        let tasks = app.backend.tasks.list(&tenant, Some(since), after, READ_BATCH).await?;
        let is_last = tasks.len() < READ_BATCH;
        after = tasks.last().map(TaskCursor::at);
        let missed = tasks.into_iter().filter(|task| is_missed(task, now()));
        let resends = missed.map(|task| resend_task(Arc::clone(&app), task));
        let sent: Vec<bool> = stream::iter(resends).buffer_unordered(RESEND_CONCURRENCY).try_collect().await?;
        resent += sent.into_iter().filter(|sent| *sent).count();
        if is_last {
            return Ok(RecoverAnswer { resent, next: None });
        }
        if resent >= ENOUGH_RESENT {
            break;
        }
    }
    Ok(RecoverAnswer { resent, next: after.as_ref().map(cursor::encode_listed) })
}

/// Whether the task's callback is exhausted, or a crash interrupted an earlier resend.
fn is_missed(task: &Task, now: UnixMillis) -> bool {
    let Some(callback) = &task.callback else { return false };
    let interrupted = callback.state == CallbackState::Pending && callback.attempts > 0;
    let is_missed = callback.state == CallbackState::Exhausted || interrupted;
    is_missed && task.status().ended() && !task.expired(now)
}

/// Returns whether the callback was sent. A concurrently deleted task is not an error.
async fn resend_task(app: Arc<AppState>, task: Task) -> Result<bool> {
    match enqueue_again(app, WebhookId::for_round_end(task.id, task.round)).await {
        Ok(updated) => Ok(updated.round == task.round),
        Err(Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
