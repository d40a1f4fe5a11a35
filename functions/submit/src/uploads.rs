//! `POST /uploads`: a task for a document that is larger than this API takes, and an address to put it to.
//!
//! The task is there at once, and so is a message for it that is received when the address no longer takes anything:
//! a task whose upload never comes still ends. The upload itself makes the document be read at once (`inbox`).

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
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
    Door,
    accept::Content,
    caller::Caller,
    create::{Call, NoTask},
    fields::WITH_CALLBACK,
    form::plain_name,
    json,
    problem::Problem,
};

const PATH: &str = "/uploads";
/// How long an upload may begin: enough for somebody who then picks the file, and no longer than SQS can delay the
/// message that finds it missing.
pub(crate) const VALID_FOR: Duration = Duration::from_mins(15);

/// The registered types are shorter.
const MAX_TYPE_LENGTH: usize = 100;

pub(crate) async fn uploads(
    State(door): State<Arc<Door>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    if !door.backend.objects.supports_uploads() {
        return Err(Problem::uploads_not_taken());
    }
    if json::media_type(request.headers()) != "application/json" {
        return Err(Problem::unsupported_media_type("application/json"));
    }
    let call = Call::new(&door, PATH, caller, request.headers())?;
    let (order, body) = call.json(&door, request, &["filename", "content_type", "bytes"], &WITH_CALLBACK).await?;
    let announced = Announced::of(&door, &body)?;

    // Asked for before there is a task, which nobody could upload to without it.
    let address = OnceLock::new();
    let content = async |task_id| {
        let upload = announced.address(&door, task_id).await?;
        let _ = address.set(upload);
        let source = DocumentSource::Inbox { key: ObjectKey::Inbox { task_id }.to_string(), version: None };
        Ok::<_, NoTask>(Content::Pending { name: announced.name.clone(), source })
    };
    let answer = async |task: Task| {
        let upload = match address.get() {
            Some(upload) => upload.clone(),
            // Of a task that was made before.
            None => announced.address(&door, task.id).await?,
        };
        let answer = Answer { task_id: task.id, status_url: call.base.status_url(task.id), upload };
        Ok((StatusCode::CREATED, call.base.headers(task.id), Json(answer)).into_response())
    };
    call.create(&door, order, content, answer).await
}

/// What a client says of the document that it will upload.
struct Announced {
    name: Option<String>,
    content_type: String,
    bytes: u64,
}

impl Announced {
    fn of(door: &Door, body: &Map<String, Value>) -> Result<Self, Problem> {
        let name = json::text(body, "filename")?.map(plain_name).filter(|name| !name.is_empty());
        let content_type =
            json::text(body, "content_type")?.ok_or_else(|| Problem::missing_field("content_type"))?.to_owned();
        if !is_media_type(&content_type) {
            return Err(Problem::invalid_field("content_type", "The field is no media type, as application/pdf is."));
        }
        Ok(Self { name, content_type, bytes: bytes(door, body)? })
    }

    /// Where it is to be put, from now on.
    async fn address(&self, door: &Door, task_id: TaskId) -> Result<Upload, Problem> {
        let expires_at = SystemTime::now() + VALID_FOR;
        let key = ObjectKey::Inbox { task_id }.to_string();
        let upload = || door.backend.objects.upload_url(&key, &self.content_type, self.bytes, VALID_FOR);
        let upload = retry_with_backoff(upload).await?.ok_or_else(Problem::uploads_not_taken)?;
        Ok(Upload::new(upload, Timestamp::try_from(expires_at).unwrap_or(Timestamp::MAX)))
    }
}

fn bytes(door: &Door, body: &Map<String, Value>) -> Result<u64, Problem> {
    let most = door.settings.limits.max_bytes;
    let bytes = match body.get("bytes") {
        None | Some(Value::Null) => return Err(Problem::missing_field("bytes")),
        Some(value) => value.as_u64().filter(|bytes| *bytes > 0),
    };
    match bytes {
        None => Err(Problem::invalid_field("bytes", "The field is no whole number above 0.")),
        Some(bytes) if bytes > most => {
            let message = format!("The document has {bytes} bytes; at most {most} are taken.");
            Err(Problem::from(Failure::new(FailureCode::DocumentTooLarge, message)).at("#/bytes"))
        }
        Some(bytes) => Ok(bytes),
    }
}

/// Two names with a slash between them, as RFC 9110 has them, without parameters.
fn is_media_type(text: &str) -> bool {
    let name = |name: &str| {
        let in_names = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        !name.is_empty() && name.bytes().all(in_names)
    };
    text.len() <= MAX_TYPE_LENGTH && text.split_once('/').is_some_and(|(kind, subtype)| name(kind) && name(subtype))
}

#[derive(Debug, Serialize)]
struct Answer {
    task_id: TaskId,
    status_url: String,
    upload: Upload,
}

/// One request that the client is to make.
#[derive(Debug, Clone, Serialize)]
struct Upload {
    method: &'static str,
    url: String,
    headers: Map<String, Value>,
    expires_at: String,
}

impl Upload {
    fn new(UploadUrl { url, headers }: UploadUrl, expires_at: Timestamp) -> Self {
        let headers = headers.into_iter().map(|(name, value)| (name, value.into())).collect();
        Self { method: "PUT", url, headers, expires_at: format!("{expires_at:.0}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_is_two_names_without_parameters() {
        for good in ["application/pdf", "image/svg+xml", "application/vnd.ms-excel"] {
            assert!(is_media_type(good), "{good}");
        }
        for wrong in ["", "pdf", "/pdf", "image/", "a/b/c", "text/plain; charset=x", "a/b\r\nx: y", &"a/".repeat(60)] {
            assert!(!is_media_type(wrong), "{wrong}");
        }
    }
}
