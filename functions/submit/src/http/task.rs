//! `GET /task/{task_id}`: the status and progress of a task, and its text once it has ended.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use quire_platform::now;
use quire_routes::WaitingReason;
use quire_tasks::Task;
use serde::{Deserialize, Serialize};

use crate::{
    http::{
        composed::{MAX_BODY_IN_MEMORY, json_response},
        principal::Principal,
        problem::Problem,
        problem_sources::task_problem,
        summary::TaskSummary,
    },
    state::AppState,
    tasks::{
        task_json::{PageDetail, compose_task},
        wait::wait_until,
    },
};

/// `Retry-After` of an open task, for clients that poll without `?wait=`.
const RETRY_AFTER_SECS: u64 = 1;

/// The pages of a task above which its response has none: they are listed by `GET /task/{task_id}/pages`.
const MAX_LISTED_PAGES: u32 = 1_000;

#[derive(Debug, Deserialize)]
pub(crate) struct TaskQuery {
    wait: Option<String>,
    words: Option<String>,
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
    let Query(TaskQuery { wait, words }) =
        parameters.map_err(|_| Problem::invalid_field("wait", "Malformed query parameters."))?;
    let wait = parse_wait(&app, wait.as_deref())?;
    let words = parse_words(words.as_deref())?;
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
    let words = words.unwrap_or(task.words);
    answer_task(&app, &task.with_words(words), known).await
}

/// Responds with the task, or with `304` if the client knows this version.
pub(crate) async fn answer_task(app: &AppState, task: &Task, known: Option<&str>) -> Result<Response, Problem> {
    let waiting = app.routing.waiting_reason(&app.backend, task).await;
    let etag = etag(task, waiting.as_ref());
    let mut response = match known {
        Some(known) if matches(known, &etag) => StatusCode::NOT_MODIFIED.into_response(),
        _ => task_response(app, task, waiting).await?,
    };
    let value = HeaderValue::from_str(&etag).expect("a quoted number is ASCII");
    response.headers_mut().insert(header::ETAG, value);
    if !task.status().ended() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS));
    }
    Ok(response)
}

/// Parses `?words=`. Returns `None` if it is absent: the task's own option counts.
pub(crate) fn parse_words(words: Option<&str>) -> Result<Option<bool>, Problem> {
    words.map(str::parse).transpose().map_err(|_| Problem::invalid_field("words", "Must be true or false."))
}

fn parse_wait(app: &AppState, wait: Option<&str>) -> Result<Duration, Problem> {
    let invalid = || Problem::invalid_field("wait", "Must be a non-negative integer: the number of seconds.");
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

/// The members of a task but its documents.
#[derive(Debug, Serialize)]
struct TaskHead {
    #[serde(flatten)]
    summary: TaskSummary,
    /// Why the task waits, if not only for capacity.
    waiting_reason: Option<WaitingReason>,
    /// Whether the pages and texts of the documents are left out, because the task has too many pages.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pages_omitted: bool,
    /// Where the pages are listed instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pages_url: Option<String>,
}

/// Composes the task in bounded memory: a long one is written to a spool file and streamed from there.
async fn task_response(
    app: &AppState,
    task: &Task,
    waiting_reason: Option<WaitingReason>,
) -> Result<Response, Problem> {
    let pages_omitted = task.counts.total() > MAX_LISTED_PAGES;
    let detail = if pages_omitted { PageDetail::Omitted } else { PageDetail::Listed };
    let pages_url = pages_omitted.then(|| format!("/task/{}/pages", task.id));
    let head = TaskHead { summary: TaskSummary::new(task), waiting_reason, pages_omitted, pages_url };
    let composed = compose_task(&app.backend, task, &head, detail, MAX_BODY_IN_MEMORY).await;
    json_response(composed.map_err(task_problem)?).await
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
