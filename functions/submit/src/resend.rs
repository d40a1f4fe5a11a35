//! `POST /deliveries/{delivery_id}/resend` and `POST /webhooks/recover`: what a receiver missed is sent once more, under
//! the `webhook-id` that it has always had.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Request, State, rejection::PathRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use quire_platform::{Error, Result, TaskCursor, enqueue_callback, retry_with_backoff};
use quire_tasks::{CallbackState, CallbackUpdate, Task, TaskId, Tenant, UnixMillis, WebhookId};
use serde::Serialize;

use crate::{
    Door,
    accept::now,
    caller::Caller,
    cursor,
    json::{self, media_type},
    parameters,
    problem::Problem,
    task::not_found,
};

/// Of how many tasks one call of `POST /webhooks/recover` looks whether theirs was missed.
const LOOK_AT: usize = 500;
/// How many are read at a time.
const READ_AT_A_TIME: usize = 100;
/// How many are sent again by one call, about: a full page more may be. Each is a write and a message.
const RESEND: usize = 100;
/// And how many of them at a time.
const RESEND_AT_A_TIME: usize = 8;

#[derive(Debug, Serialize)]
struct Resent {
    task_id: TaskId,
    delivery_id: WebhookId,
}

pub(crate) async fn resend(
    State(door): State<Arc<Door>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|_| Problem::delivery_not_found())?;
    let id: WebhookId = id.parse().map_err(|_| Problem::delivery_not_found())?;
    let task = door.task_of(&caller, &id.task_id.to_string()).await;
    let unknown = |problem: Problem| match problem.code() {
        "task_not_found" => Problem::delivery_not_found(),
        _ => problem,
    };
    let task = task.map_err(unknown)?;
    check(&task, id)?;
    let sent = door.work.spawn(send_again(Arc::clone(&door), id));
    let task = sent.await.map_err(|panic| Problem::internal(&panic))?.map_err(not_found).map_err(unknown)?;
    check(&task, id)?;
    let answer = Resent { task_id: id.task_id, delivery_id: id };
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// Whether this is what there is to tell of the task now.
fn check(task: &Task, id: WebhookId) -> Result<(), Problem> {
    let told = task.callback_state() != CallbackState::None && id.round <= task.round;
    let is_news = id.round == task.round && id.progress.is_none();
    match (told, is_news) {
        (false, _) => Err(Problem::delivery_not_found()),
        (true, false) => Err(Problem::delivery_superseded().of(task.id)),
        (true, true) if !task.status().ended() => Err(Problem::delivery_not_found()),
        (true, true) => Ok(()),
    }
}

/// Owes the callback once more, whatever became of it. If this dies between its two steps, the callback is pending and
/// nobody is at it; whoever asked has no answer then, and asks again.
async fn send_again(door: Arc<Door>, id: WebhookId) -> Result<Task> {
    let update = || door.backend.tasks.update_callback(id.task_id, id.round, CallbackUpdate::Resend);
    let task = retry_with_backoff(update).await?.task().clone();
    if task.round == id.round {
        enqueue_callback(&door.backend, &task).await?;
    }
    Ok(task)
}

#[derive(Debug, Serialize)]
pub(crate) struct Recovered {
    resent: usize,
    next: Option<String>,
}

const MEMBERS: [&str; 2] = ["since", "cursor"];

/// Sends all again that was given up, for tasks created since a time.
pub(crate) async fn recover(
    State(door): State<Arc<Door>>,
    caller: Caller,
    request: Request,
) -> Result<Json<Recovered>, Problem> {
    if media_type(request.headers()) != "application/json" {
        return Err(Problem::unsupported_media_type("application/json"));
    }
    let body = json::members(&door, request, &MEMBERS).await?;
    let since = json::text(&body, "since")?.ok_or_else(|| Problem::missing_field("since"))?;
    let since = parameters::time("since", since)?;
    let after = json::text(&body, "cursor")?.map(cursor::listed).transpose()?;
    let recovered = door.work.spawn(recover_since(Arc::clone(&door), caller.tenant, since, after));
    Ok(Json(recovered.await.map_err(|panic| Problem::internal(&panic))??))
}

async fn recover_since(
    door: Arc<Door>,
    tenant: Tenant,
    since: UnixMillis,
    mut after: Option<TaskCursor>,
) -> Result<Recovered> {
    let mut resent = 0;
    for _ in 0..LOOK_AT / READ_AT_A_TIME {
        let tasks = door.backend.tasks.list(&tenant, Some(since), after, READ_AT_A_TIME).await?;
        let is_last = tasks.len() < READ_AT_A_TIME;
        after = tasks.last().map(TaskCursor::at);
        let missed = tasks.into_iter().filter(|task| was_missed(task, now()));
        let sends = missed.map(|task| send_if_there(Arc::clone(&door), task));
        let sent: Vec<bool> = stream::iter(sends).buffer_unordered(RESEND_AT_A_TIME).try_collect().await?;
        resent += sent.into_iter().filter(|sent| *sent).count();
        if is_last {
            return Ok(Recovered { resent, next: None });
        }
        if resent >= RESEND {
            break;
        }
    }
    Ok(Recovered { resent, next: after.as_ref().map(cursor::of_listed) })
}

/// Whether its callback was given up; or was to be sent again by a call like this that died in between.
fn was_missed(task: &Task, now: UnixMillis) -> bool {
    let Some(callback) = &task.callback else { return false };
    let interrupted = callback.state == CallbackState::Pending && callback.attempts > 0;
    let missed = callback.state == CallbackState::Exhausted || interrupted;
    missed && task.status().ended() && !task.expired(now)
}

/// Whether it was sent. A task that was deleted meanwhile is no error.
async fn send_if_there(door: Arc<Door>, task: Task) -> Result<bool> {
    match send_again(door, WebhookId::for_round_end(task.id, task.round)).await {
        Ok(now) => Ok(now.round == task.round),
        Err(Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
