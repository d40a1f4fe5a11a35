//! `POST /uploads`: a task for a document that is larger than this API takes, and an address to put it to.
//!
//! The task is there at once, and so is a message for it that is received when the address no longer takes anything:
//! a task whose upload never comes still ends. The upload itself makes the document be read at once (`inbox`).

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use quire_platform::{UploadUrl, patiently};
use quire_tasks::{Failure, FailureCode, Key, Source, TaskId};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    Door,
    accept::{Content, Submission, accept},
    form::plain_name,
    json,
    link::Base,
    problem::Problem,
    trace,
    wanted::Asked,
};

/// How long an upload may begin: enough for somebody who then picks the file, and no longer than SQS can delay the
/// message that finds it missing.
pub(crate) const VALID_FOR: Duration = Duration::from_mins(15);

const MEMBERS: [&str; 8] = ["filename", "content_type", "bytes", "callback_url", "mode", "keys", "language", "engine"];
/// The registered types are shorter.
const MAX_TYPE_LENGTH: usize = 100;

pub(crate) async fn uploads(State(door): State<Arc<Door>>, request: Request) -> Result<Response, Problem> {
    if !door.home.objects.takes_uploads() {
        return Err(Problem::uploads_not_taken());
    }
    if json::media_type(request.headers()) != "application/json" {
        return Err(Problem::unsupported_media_type("application/json"));
    }
    let base = Base::new(&door, request.headers());
    let trace = trace::of(request.headers());
    let body = json::members(&door, request, &MEMBERS).await?;
    let announced = Announced::of(&door, &body)?;
    let assigned = door.routing.admit(&door.home, Asked::of(&body)?.wanted()?).await??;

    let key = Key::Inbox { task_id: assigned.id }.to_string();
    let expires_at = SystemTime::now() + VALID_FOR;
    let upload = || door.home.objects.upload_url(&key, &announced.content_type, announced.bytes, VALID_FOR);
    let upload = patiently(upload).await?.ok_or_else(Problem::uploads_not_taken)?;
    let content = Content::Pending { name: announced.name, source: Source::Inbox { key, version: None } };
    let task = accept(&door, Submission::new(assigned, content, announced.callback_url, trace)).await?;

    let answer = Answer {
        task_id: task.id,
        status_url: base.status_url(task.id),
        upload: Upload::new(upload, Timestamp::try_from(expires_at).unwrap_or(Timestamp::MAX)),
    };
    Ok((StatusCode::CREATED, base.headers(task.id), Json(answer)).into_response())
}

/// What a client says of the document that it will upload.
struct Announced {
    name: Option<String>,
    content_type: String,
    bytes: u64,
    callback_url: Option<String>,
}

impl Announced {
    fn of(door: &Door, body: &Map<String, Value>) -> Result<Self, Problem> {
        let name = json::text(body, "filename")?.map(plain_name).filter(|name| !name.is_empty());
        let content_type =
            json::text(body, "content_type")?.ok_or_else(|| Problem::missing_field("content_type"))?.to_owned();
        if !is_media_type(&content_type) {
            return Err(Problem::invalid_field("content_type", "The field is no media type, as application/pdf is."));
        }
        Ok(Self { name, content_type, bytes: bytes(door, body)?, callback_url: json::url(door, body, "callback_url")? })
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
#[derive(Debug, Serialize)]
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
