//! `GET /task/{task_id}`: the status and progress of a task, and its text once it has ended.

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
use quire_platform::now;
use quire_routes::WaitingReason;
use quire_tasks::{Task, average_confidence};
use serde::{Deserialize, Serialize};

use crate::{
    http::{principal::Principal, problem::Problem, problem_sources::task_problem, summary::TaskSummary},
    state::AppState,
    tasks::{
        answers::{DocumentAnswer, document_answers},
        wait::wait_until,
    },
};

/// `Retry-After` of an open task, for clients that poll without `?wait=`.
const RETRY_AFTER_SECS: u64 = 1;

#[derive(Debug, Deserialize)]
pub(crate) struct TaskQuery {
    wait: Option<String>,
}

/// Returns the task. With `?wait=` it is a long poll until the task has ended, or with `If-None-Match` until the task
/// has a different version.
pub(crate) async fn get_task(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    id: Result<Path<String>, PathRejection>,
    parameters: Result<Query<TaskQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|_| Problem::task_not_found())?;
    let wait = parse_wait(&app, parameters)?;
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let task = app.task_of(&principal, &id).await?;
    // A change of an engine's status does not end the wait: it is read before and after the wait only.
    let waiting = if known.is_some() { app.routing.waiting_reason(&app.backend, &task).await } else { None };
    let task = wait_until(&app, task, wait, |task| match known {
        Some(known) => !matches(known, &etag(task, waiting.as_ref())),
        None => task.status().ended(),
    });
    let task = task.await.map_err(task_problem)?;
    if task.expired(now()) {
        // Deleted during the wait.
        return Err(Problem::task_not_found());
    }
    answer_task(&app, &task, known).await
}

/// Responds with the task, or with `304` if the client knows this version.
pub(crate) async fn answer_task(app: &AppState, task: &Task, known: Option<&str>) -> Result<Response, Problem> {
    let waiting = app.routing.waiting_reason(&app.backend, task).await;
    let etag = etag(task, waiting.as_ref());
    let mut response = match known {
        Some(known) if matches(known, &etag) => StatusCode::NOT_MODIFIED.into_response(),
        _ => Json(TaskAnswer::new(app, task, waiting).await?).into_response(),
    };
    let value = HeaderValue::from_str(&etag).expect("a quoted number is ASCII");
    response.headers_mut().insert(header::ETAG, value);
    if !task.status().ended() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS));
    }
    Ok(response)
}

fn parse_wait(app: &AppState, parameters: Result<Query<TaskQuery>, QueryRejection>) -> Result<Duration, Problem> {
    let invalid = || Problem::invalid_field("wait", "Must be a non-negative integer: the number of seconds.");
    let Query(TaskQuery { wait }) = parameters.map_err(|_| invalid())?;
    let Some(wait) = wait else { return Ok(Duration::ZERO) };
    let secs = wait.parse().map_err(|_| invalid())?;
    Ok(Duration::from_secs(secs).min(app.settings.longest_wait))
}

/// Returns the entity tag: the task's version, and while it waits for an engine a hash of the waiting reason.
fn etag(task: &Task, waiting: Option<&WaitingReason>) -> String {
    let waiting = waiting.map(|WaitingReason { code, detail }| {
        let mut hash = DefaultHasher::new();
        (code, detail).hash(&mut hash);
        format!("-{:016x}", hash.finish())
    });
    format!("\"{}{}\"", task.version, waiting.unwrap_or_default())
}

/// Whether `If-None-Match` contains the tag. The comparison is weak (RFC 9110, section 13.1.2).
fn matches(known: &str, etag: &str) -> bool {
    known.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// A task with its documents.
#[derive(Debug, Serialize)]
struct TaskAnswer {
    #[serde(flatten)]
    summary: TaskSummary,
    /// Why the task waits, if not only for capacity.
    waiting_reason: Option<WaitingReason>,
    avg_confidence: Option<f32>,
    documents: Vec<DocumentAnswer>,
}

impl TaskAnswer {
    async fn new(app: &AppState, task: &Task, waiting_reason: Option<WaitingReason>) -> Result<Self, Problem> {
        let documents = document_answers(&app.backend, task).await.map_err(task_problem)?;
        let confidences = documents.iter().flat_map(|document| document.pages.iter().map(|page| page.confidence));
        let avg_confidence = average_confidence(confidences);
        Ok(Self { summary: TaskSummary::new(task), waiting_reason, avg_confidence, documents })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_matches_in_a_list_weakly_and_by_a_wildcard() {
        for known in ["\"7\"", "W/\"7\"", "\"6\", \"7\"", "*"] {
            assert!(matches(known, "\"7\""), "{known}");
        }
        for known in ["\"77\"", "7", "", "\"6\",W/\"8\""] {
            assert!(!matches(known, "\"7\""), "{known}");
        }
    }
}
