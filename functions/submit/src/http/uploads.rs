//! `POST /uploads`: creates a task and an upload URL for a document that exceeds the request size limit.
//!
//! The task is created at once, with a delayed message that is received when the upload URL has expired, so that a task
//! whose upload never arrives still ends. The upload itself triggers the ingest earlier (`tasks::upload_trigger`).

use std::{
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use quire_platform::{UploadUrl, retry_with_backoff};
use quire_tasks::{DocumentSource, Failure, FailureCode, ObjectKey, Task, TaskId};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    http::{
        create::{CreateRejection, CreateRequest},
        fields::WITH_CALLBACK,
        json,
        principal::Principal,
        problem::Problem,
    },
    limits::{MAX_MEDIA_TYPE_LENGTH, UPLOAD_URL_VALID_FOR},
    state::AppState,
    tasks::{file_name::sanitize_file_name, submission::TaskContent},
};

const PATH: &str = "/uploads";

pub(crate) async fn announce_upload(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    request: Request,
) -> Result<Response, Problem> {
    if !app.backend.objects.supports_uploads() {
        return Err(Problem::uploads_not_taken());
    }
    if json::media_type(request.headers()) != "application/json" {
        return Err(Problem::unsupported_media_type("application/json"));
    }
    let call = CreateRequest::new(&app, PATH, principal, request.headers())?;
    let (spec, body) = call.parse_json(&app, request, &["filename", "content_type", "bytes"], &WITH_CALLBACK).await?;
    let announced = AnnouncedUpload::parse(&app, &body)?;

    // Created before the task: a task without its upload URL would be useless.
    let target = OnceLock::new();
    let content = async |task_id| {
        let _ = target.set(announced.upload_target(&app, task_id).await?);
        let source = DocumentSource::Inbox { key: ObjectKey::Inbox { task_id }.to_string(), version: None };
        Ok::<_, CreateRejection>(TaskContent::Pending { name: announced.name.clone(), source })
    };
    let answer = async |task: Task| {
        let upload = match target.get() {
            Some(target) => target.clone(),
            // A replayed request: the task exists already.
            None => announced.upload_target(&app, task.id).await?,
        };
        let answer = UploadAnswer { task_id: task.id, status_url: call.base.status_url(task.id), upload };
        Ok((StatusCode::CREATED, call.base.headers(task.id), Json(answer)).into_response())
    };
    call.create(&app, spec, content, answer).await
}

/// A document that the client will upload.
struct AnnouncedUpload {
    name: Option<String>,
    content_type: String,
    bytes: u64,
}

impl AnnouncedUpload {
    fn parse(app: &AppState, body: &Map<String, Value>) -> Result<Self, Problem> {
        let name = json::text(body, "filename")?.map(sanitize_file_name).filter(|name| !name.is_empty());
        let content_type =
            json::text(body, "content_type")?.ok_or_else(|| Problem::missing_field("content_type"))?.to_owned();
        if !is_media_type(&content_type) {
            return Err(Problem::invalid_field(
                "content_type",
                "Must be a media type without parameters, e.g. application/pdf.",
            ));
        }
        Ok(Self { name, content_type, bytes: parse_size(app, body)? })
    }

    /// Creates an upload URL that is valid from now.
    async fn upload_target(&self, app: &AppState, task_id: TaskId) -> Result<UploadTarget, Problem> {
        let expires_at = SystemTime::now() + UPLOAD_URL_VALID_FOR;
        let key = ObjectKey::Inbox { task_id }.to_string();
        let upload = || app.backend.objects.upload_url(&key, &self.content_type, self.bytes, UPLOAD_URL_VALID_FOR);
        let upload = retry_with_backoff(upload).await?.ok_or_else(Problem::uploads_not_taken)?;
        Ok(UploadTarget::new(upload, Timestamp::try_from(expires_at).unwrap_or(Timestamp::MAX)))
    }
}

fn parse_size(app: &AppState, body: &Map<String, Value>) -> Result<u64, Problem> {
    let max_bytes = app.settings.limits.max_bytes;
    let bytes = match body.get("bytes") {
        None | Some(Value::Null) => return Err(Problem::missing_field("bytes")),
        Some(value) => value.as_u64().filter(|bytes| *bytes > 0),
    };
    match bytes {
        None => Err(Problem::invalid_field("bytes", "Must be a positive integer.")),
        Some(bytes) if bytes > max_bytes => {
            let message = format!("The document has {bytes} bytes; the maximum is {max_bytes}.");
            Err(Problem::from(Failure::new(FailureCode::DocumentTooLarge, message)).at("#/bytes"))
        }
        Some(bytes) => Ok(bytes),
    }
}

/// Whether this is a media type (RFC 6838) without parameters.
fn is_media_type(text: &str) -> bool {
    let Some((main_type, subtype)) = text.split_once('/') else { return false };
    text.len() <= MAX_MEDIA_TYPE_LENGTH && is_restricted_name(main_type) && is_restricted_name(subtype)
}

fn is_restricted_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
}

#[derive(Debug, Serialize)]
struct UploadAnswer {
    task_id: TaskId,
    status_url: String,
    upload: UploadTarget,
}

/// The request that uploads the document.
#[derive(Debug, Clone, Serialize)]
struct UploadTarget {
    method: &'static str,
    url: String,
    headers: Map<String, Value>,
    expires_at: String,
}

impl UploadTarget {
    fn new(UploadUrl { url, headers }: UploadUrl, expires_at: Timestamp) -> Self {
        let headers = headers.into_iter().map(|(name, value)| (name, value.into())).collect();
        Self { method: "PUT", url, headers, expires_at: format!("{expires_at:.0}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_has_two_names_and_no_parameters() {
        for good in ["application/pdf", "image/svg+xml", "application/vnd.ms-excel"] {
            assert!(is_media_type(good), "{good}");
        }
        for wrong in ["", "pdf", "/pdf", "image/", "a/b/c", "text/plain; charset=x", "a/b\r\nx: y", &"a/".repeat(60)] {
            assert!(!is_media_type(wrong), "{wrong}");
        }
    }
}
