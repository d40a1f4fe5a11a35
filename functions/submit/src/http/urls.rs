//! The URLs of tasks in responses.

use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use quire_tasks::{Task, TaskId};
use serde::Serialize;

use crate::state::AppState;

/// The response header with the task's id, for bodies that are an array and for `202`.
pub(crate) const TASK_ID: HeaderName = HeaderName::from_static("quire-task-id");
/// The maximum length of a `Host` header: a domain name (255), a colon and a port (5).
const MAX_HOST_LENGTH: usize = 261;

/// The base of `status_url`: [`crate::SubmitSettings::public_url`]. Default: `http://` and the `Host` header, or empty
/// if that header is missing or invalid, which makes `status_url` a relative URL. `X-Forwarded-*` headers are ignored,
/// because every client can send them.
#[derive(Debug)]
pub(crate) struct BaseUrl(String);

impl BaseUrl {
    /// Returns the base for the response to a request with these headers.
    pub(crate) fn new(app: &AppState, headers: &HeaderMap) -> Self {
        if let Some(url) = &app.settings.public_url {
            return Self(url.as_str().trim_end_matches('/').to_owned());
        }
        let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).filter(|host| is_valid_host(host));
        Self(host.map_or_else(String::new, |host| format!("http://{host}")))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn status_url(&self, task_id: TaskId) -> String {
        format!("{}/task/{task_id}", self.0)
    }

    /// Returns the `202` response for a task that is still open.
    pub(crate) fn accepted(&self, task: &Task) -> Response {
        let body = AcceptedAnswer { task_id: task.id, status_url: self.status_url(task.id) };
        (StatusCode::ACCEPTED, self.headers(task.id), Json(body)).into_response()
    }

    /// Returns the headers with the URL and id of a new task.
    pub(crate) fn headers(&self, task_id: TaskId) -> [(HeaderName, HeaderValue); 2] {
        let location = HeaderValue::from_str(&self.status_url(task_id)).expect("a status URL is ASCII");
        let id = HeaderValue::from_str(&task_id.to_string()).expect("a task id is ASCII");
        [(header::LOCATION, location), (TASK_ID, id)]
    }
}

#[derive(Debug, Serialize)]
struct AcceptedAnswer {
    task_id: TaskId,
    status_url: String,
}

fn is_valid_host(host: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    (1..=MAX_HOST_LENGTH).contains(&host.len()) && host.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_with_other_parts_of_a_url_is_invalid() {
        for host in ["localhost:8000", "ocr.example.com", "[::1]:8000", "10.0.0.1"] {
            assert!(is_valid_host(host), "{host}");
        }
        for host in ["", "user@example.com", "example.com/x", "a b", "a\"b", &"x".repeat(300)] {
            assert!(!is_valid_host(host), "{host}");
        }
    }
}
