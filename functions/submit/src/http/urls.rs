//! Where a task's status is to be had.

use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use quire_tasks::{Task, TaskId};
use serde::Serialize;

use crate::state::AppState;

/// On an answer whose body is an array, or that is a `202`: the task.
pub(crate) const TASK_ID: HeaderName = HeaderName::from_static("quire-task-id");
/// The longest name that a domain name and a port can make.
const MAX_HOST_LENGTH: usize = 261;

/// What `status_url` begins with: [`crate::SubmitSettings::public_url`] where that is set; otherwise `http://` and the
/// `Host` header, since nobody else can be asked; and where that header is missing or not plain, nothing, which makes
/// `status_url` relative to the server. What proxies add (`X-Forwarded-*`) anybody can add, so it is not believed.
#[derive(Debug)]
pub(crate) struct BaseUrl(String);

impl BaseUrl {
    /// The base for the answers to a request with these headers.
    pub(crate) fn new(app: &AppState, headers: &HeaderMap) -> Self {
        if let Some(url) = &app.settings.public_url {
            return Self(url.as_str().trim_end_matches('/').to_owned());
        }
        let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).filter(|host| plain(host));
        Self(host.map_or_else(String::new, |host| format!("http://{host}")))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn status_url(&self, task_id: TaskId) -> String {
        format!("{}/task/{task_id}", self.0)
    }

    /// `202`: the task goes on, and this is where to look.
    pub(crate) fn accepted(&self, task: &Task) -> Response {
        let body = AcceptedAnswer { task_id: task.id, status_url: self.status_url(task.id) };
        (StatusCode::ACCEPTED, self.headers(task.id), Json(body)).into_response()
    }

    /// The headers of an answer that says where a new task is.
    pub(crate) fn headers(&self, task_id: TaskId) -> [(HeaderName, HeaderValue); 2] {
        let location = HeaderValue::from_str(&self.status_url(task_id)).expect("a status URL is plain");
        let id = HeaderValue::from_str(&task_id.to_string()).expect("a task id is plain");
        [(header::LOCATION, location), (TASK_ID, id)]
    }
}

#[derive(Debug, Serialize)]
struct AcceptedAnswer {
    task_id: TaskId,
    status_url: String,
}

fn plain(host: &str) -> bool {
    let in_hosts = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    (1..=MAX_HOST_LENGTH).contains(&host.len()) && host.bytes().all(in_hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_could_lead_elsewhere_is_not_plain() {
        for host in ["localhost:8000", "ocr.example.com", "[::1]:8000", "10.0.0.1"] {
            assert!(plain(host), "{host}");
        }
        for host in ["", "user@example.com", "example.com/x", "a b", "a\"b", &"x".repeat(300)] {
            assert!(!plain(host), "{host}");
        }
    }
}
