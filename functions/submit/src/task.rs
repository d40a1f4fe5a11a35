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
use jiff::Timestamp;
use quire_routes::WaitingReason;
use quire_tasks::{CallbackState, Mode, ModeName, ReadAs, Task, TaskId, TaskStatus, UnixMillis, average_confidence};
use serde::{Deserialize, Serialize};

use crate::{
    Door,
    accept::wait_until,
    answer::{DocumentAnswer, documents},
    caller::Caller,
    problem::Problem,
};

/// How soon to ask again about an open task. `?wait=` is the better way to be told soon.
const RETRY_AFTER_SECS: u64 = 1;

#[derive(Debug, Deserialize)]
pub(crate) struct Parameters {
    wait: Option<String>,
}

/// With `?wait=`, answers when the task has ended; with `If-None-Match` besides, when it has another version than that.
pub(crate) async fn task(
    State(door): State<Arc<Door>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    parameters: Result<Query<Parameters>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|_| Problem::task_not_found())?;
    let wait = wait(&door, parameters)?;
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let task = door.task_of(&caller, &id).await?;
    // What an engine does wakes nobody: it is told of at the beginning and at the end of a wait.
    let waiting = if known.is_some() { door.routing.waiting_reason(&door.home, &task).await } else { None };
    let task = wait_until(&door, task, wait, |task| match known {
        Some(known) => !matches(known, &etag(task, waiting.as_ref())),
        None => task.status().ended(),
    });
    let task = task.await.map_err(not_found)?;
    let waiting = door.routing.waiting_reason(&door.home, &task).await;
    let etag = etag(&task, waiting.as_ref());
    let mut response = match known {
        Some(known) if matches(known, &etag) => StatusCode::NOT_MODIFIED.into_response(),
        _ => Json(TaskAnswer::new(&door, &task, waiting).await?).into_response(),
    };
    let value = HeaderValue::from_str(&etag).expect("a number in quotes is plain");
    response.headers_mut().insert(header::ETAG, value);
    if !task.status().ended() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS));
    }
    Ok(response)
}

fn wait(door: &Door, parameters: Result<Query<Parameters>, QueryRejection>) -> Result<Duration, Problem> {
    let invalid = || Problem::invalid_field("wait", "The parameter wait is no whole number of seconds.");
    let Query(Parameters { wait }) = parameters.map_err(|_| invalid())?;
    let Some(wait) = wait else { return Ok(Duration::ZERO) };
    let secs = wait.parse().map_err(|_| invalid())?;
    Ok(Duration::from_secs(secs).min(door.settings.longest_wait))
}

pub(crate) fn not_found(error: quire_platform::Error) -> Problem {
    match error {
        quire_platform::Error::NotFound { .. } => Problem::task_not_found(),
        other => other.into(),
    }
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

#[derive(Debug, Serialize)]
struct TaskAnswer {
    task_id: TaskId,
    status: TaskStatus,
    #[serde(flatten)]
    read_as: ReadAsAnswer,
    /// Why it waits, where it is not only for its turn.
    waiting_reason: Option<WaitingReason>,
    created_at: String,
    ended_at: Option<String>,
    progress: Progress,
    avg_confidence: Option<f32>,
    documents: Vec<DocumentAnswer>,
    callback: CallbackAnswer,
}

/// How it is read, in the words in which a request asks for it.
#[derive(Debug, Serialize)]
struct ReadAsAnswer {
    mode: ModeName,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    /// The engine that reads it first; `null` for a task of before engines were assigned.
    engine: Option<String>,
    /// Whether no other may.
    pinned: bool,
}

impl ReadAsAnswer {
    fn new(read_as: &ReadAs) -> Self {
        let (keys, language) = match &read_as.mode {
            Mode::Fields { keys } => (Some(keys.clone()), None),
            Mode::Translate { language } => (None, Some(language.clone())),
            _ => (None, None),
        };
        let engine = read_as.engine.as_ref().map(ToString::to_string);
        Self { mode: read_as.mode.name(), keys, language, engine, pinned: read_as.pinned }
    }
}

/// Pages; a document that is not split yet counts as one open page, one that could not be split as one failed page.
#[derive(Debug, Serialize)]
struct Progress {
    pages: u32,
    open: u32,
    succeeded: u32,
    failed: u32,
    canceled: u32,
}

#[derive(Debug, Serialize)]
struct CallbackAnswer {
    state: CallbackState,
    attempts: u32,
    last_error: Option<String>,
}

impl TaskAnswer {
    async fn new(door: &Door, task: &Task, waiting_reason: Option<WaitingReason>) -> Result<Self, Problem> {
        let documents = documents(&door.home, task).await?;
        let confidences = documents.iter().flat_map(|document| document.pages.iter().map(|page| page.confidence));
        let counts = task.counts;
        let callback = task.callback.as_ref();
        Ok(Self {
            task_id: task.id,
            status: task.status(),
            read_as: ReadAsAnswer::new(&task.read_as),
            waiting_reason,
            created_at: rfc3339(task.created_at),
            ended_at: task.ended_at.map(rfc3339),
            progress: Progress {
                pages: counts.total(),
                open: counts.open,
                succeeded: counts.succeeded,
                failed: counts.failed,
                canceled: counts.canceled,
            },
            avg_confidence: average_confidence(confidences),
            callback: CallbackAnswer {
                state: task.callback_state(),
                attempts: callback.map_or(0, |callback| callback.attempts),
                last_error: callback.and_then(|callback| callback.last_error.clone()),
            },
            documents,
        })
    }
}

pub(crate) fn rfc3339(time: UnixMillis) -> String {
    Timestamp::from_millisecond(time.0).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
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

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(rfc3339(UnixMillis(1_700_000_000_123)), "2023-11-14T22:13:20.123Z");
    }
}
