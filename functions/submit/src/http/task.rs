//! `GET /task/{task_id}`: how far a task is, and once it has ended, what was read.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use quire_routes::WaitingReason;
use quire_tasks::{Task, average_confidence};
use serde::{Deserialize, Serialize};

use crate::{
    http::{
        principal::Principal,
        problem::{Problem, not_found},
        summary::TaskSummary,
    },
    state::AppState,
    tasks::{
        answers::{DocumentAnswer, document_answers},
        wait::wait_until,
    },
    time::now,
};

/// How soon to ask again about an open task. `?wait=` is the better way to be told soon.
const RETRY_AFTER_SECS: u64 = 1;

#[derive(Debug, Deserialize)]
pub(crate) struct TaskQuery {
    wait: Option<String>,
}

/// With `?wait=`, answers when the task has ended; with `If-None-Match` besides, when it has another version than that.
pub(crate) async fn task(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    id: Result<Path<String>, PathRejection>,
    parameters: Result<Query<TaskQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|_| Problem::task_not_found())?;
    let wait = wait(&app, parameters)?;
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let task = app.task_of(&principal, &id).await?;
    // What an engine does wakes nobody: it is told of at the beginning and at the end of a wait.
    let waiting = if known.is_some() { app.routing.waiting_reason(&app.backend, &task).await } else { None };
    let task = wait_until(&app, task, wait, |task| match known {
        Some(known) => !matches(known, &etag(task, waiting.as_ref())),
        None => task.status().ended(),
    });
    let task = task.await.map_err(not_found)?;
    if task.expired(now()) {
        // Deleted while it was waited for.
        return Err(Problem::task_not_found());
    }
    answer(&app, &task, known).await
}

/// A task as it is now; nothing where that is the version that is known.
pub(crate) async fn answer(app: &AppState, task: &Task, known: Option<&str>) -> Result<Response, Problem> {
    let waiting = app.routing.waiting_reason(&app.backend, task).await;
    let etag = etag(task, waiting.as_ref());
    let mut response = match known {
        Some(known) if matches(known, &etag) => StatusCode::NOT_MODIFIED.into_response(),
        _ => Json(TaskAnswer::new(app, task, waiting).await?).into_response(),
    };
    let value = HeaderValue::from_str(&etag).expect("a number in quotes is plain");
    response.headers_mut().insert(header::ETAG, value);
    if !task.status().ended() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS));
    }
    Ok(response)
}

fn wait(app: &AppState, parameters: Result<Query<TaskQuery>, QueryRejection>) -> Result<Duration, Problem> {
    let invalid = || Problem::invalid_field("wait", "The parameter wait is no whole number of seconds.");
    let Query(TaskQuery { wait }) = parameters.map_err(|_| invalid())?;
    let Some(wait) = wait else { return Ok(Duration::ZERO) };
    let secs = wait.parse().map_err(|_| invalid())?;
    Ok(Duration::from_secs(secs).min(app.settings.longest_wait))
}

/// The task's version; while it waits for an engine, with what is said of that.
fn etag(task: &Task, waiting: Option<&WaitingReason>) -> String {
    let waiting = waiting.map(|WaitingReason { code, detail }| {
        let mut hash = DefaultHasher::new();
        (code, detail).hash(&mut hash);
        format!("-{:016x}", hash.finish())
    });
    format!("\"{}{}\"", task.version, waiting.unwrap_or_default())
}

/// Whether an `If-None-Match` names this tag. Comparison is weak, as RFC 9110 wants it here.
fn matches(known: &str, etag: &str) -> bool {
    known.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// A task with its documents.
#[derive(Debug, Serialize)]
struct TaskAnswer {
    #[serde(flatten)]
    summary: TaskSummary,
    /// Why it waits, where it is not only for its turn.
    waiting_reason: Option<WaitingReason>,
    avg_confidence: Option<f32>,
    documents: Vec<DocumentAnswer>,
}

impl TaskAnswer {
    async fn new(app: &AppState, task: &Task, waiting_reason: Option<WaitingReason>) -> Result<Self, Problem> {
        let documents = document_answers(&app.backend, task).await.map_err(not_found)?;
        let confidences = documents.iter().flat_map(|document| document.pages.iter().map(|page| page.confidence));
        let avg_confidence = average_confidence(confidences);
        Ok(Self { summary: TaskSummary::new(task), waiting_reason, avg_confidence, documents })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_matches_in_a_list_weakly_and_by_a_star() {
        for known in ["\"7\"", "W/\"7\"", "\"6\", \"7\"", "*"] {
            assert!(matches(known, "\"7\""), "{known}");
        }
        for known in ["\"77\"", "7", "", "\"6\",W/\"8\""] {
            assert!(!matches(known, "\"7\""), "{known}");
        }
    }
}
