//! Every error that the API answers, as RFC 9457 problem details.

use std::{fmt::Display, io};

use axum::{
    extract::multipart::{MultipartError, MultipartRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use quire_platform::Error;
use quire_redact::InvalidRedactPolicy;
use quire_routes::NotOffered;
use quire_tasks::{Failure, FailureCode, InvalidMode, TaskId};
use serde::Serialize;

use crate::codes;

/// A `503` is over soon or it takes an operator; a client that comes back every few seconds harms nobody.
const BUSY_RETRY_SECS: u64 = 5;

/// Most requests that make a task are answered within a second.
const IN_USE_RETRY_SECS: u64 = 1;

/// An error on its way to the client. The router gives it its body, its `request_id` and its line in the log.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    retryable: bool,
    pointer: Option<String>,
    task_id: Option<TaskId>,
    // Without room to grow: a problem is part of every result here.
    cause: Option<Box<str>>,
    retry_after_secs: Option<u64>,
}

/// The body of a problem.
#[derive(Debug, Serialize)]
struct Body<'a> {
    // The code says more than a URI could; RFC 9457 then wants the status' own phrase as the title.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    retryable: bool,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<TaskId>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let retryable = status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT;
        let (detail, busy) = (detail.into(), status == StatusCode::SERVICE_UNAVAILABLE);
        let retry_after_secs = busy.then_some(BUSY_RETRY_SECS);
        Self { status, code, detail, retryable, pointer: None, task_id: None, cause: None, retry_after_secs }
    }

    /// With the part of the request that is at fault: `#/` and the name of the JSON member, form field or query
    /// parameter, then, for one of several files of a field, `/` and its index from 0.
    pub(crate) fn at(self, pointer: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), ..self }
    }

    /// With the task it is about.
    pub(crate) fn of(self, task_id: TaskId) -> Self {
        Self { task_id: Some(task_id), ..self }
    }

    /// No resource has this path.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing under this path.")
    }

    /// Nobody knows whose the request is.
    pub(crate) fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// The tenant has asked more often than it may.
    pub(crate) fn rate_limited(quota: u64, retry_after_secs: u64) -> Self {
        let detail = format!("This tenant may make {quota} requests in a minute; Retry-After says when it may again.");
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail);
        Self { retryable: true, retry_after_secs: Some(retry_after_secs), ..problem }
    }

    /// The tenant has had as many pages read as it may.
    pub(crate) fn quota_exceeded(quota: u64, retry_after_secs: u64) -> Self {
        let detail = format!("This tenant may have {quota} pages read in a day; Retry-After says when it may again.");
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "quota_exceeded", detail);
        Self { retryable: true, retry_after_secs: Some(retry_after_secs), ..problem }
    }

    /// The resource has no such method.
    pub(crate) fn method_not_allowed() -> Self {
        let detail = "This path does not take this method; Allow names those that it takes.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    }

    /// No task has this id.
    pub(crate) fn task_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "task_not_found", "There is no task with this id.")
    }

    /// What was read is asked for before all of it is.
    pub(crate) fn task_not_ended() -> Self {
        let detail = "The task has not ended yet: GET /task/{task_id}?wait= tells when it has.";
        Self { retryable: true, ..Self::new(StatusCode::CONFLICT, "task_not_ended", detail) }
    }

    /// An `Idempotency-Key` that is none.
    pub(crate) fn malformed_idempotency_key(most: usize) -> Self {
        let detail = format!("Idempotency-Key is one key of 1 to {most} visible ASCII characters.");
        Self::new(StatusCode::BAD_REQUEST, "malformed_idempotency_key", detail)
    }

    /// The first request with this key is still at work.
    pub(crate) fn idempotency_key_in_use() -> Self {
        let detail = "The first request with this Idempotency-Key has not been answered yet.";
        let problem = Self::new(StatusCode::CONFLICT, "idempotency_key_in_use", detail);
        Self { retryable: true, retry_after_secs: Some(IN_USE_RETRY_SECS), ..problem }
    }

    /// The first request with this key asked for something else.
    pub(crate) fn idempotency_key_reused() -> Self {
        let detail = "This Idempotency-Key came with another request before: a new request needs a new key.";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
    }

    /// What has ended cannot be canceled.
    pub(crate) fn task_ended() -> Self {
        let detail = "The task has ended already: there is nothing left to cancel.";
        Self::new(StatusCode::CONFLICT, "task_ended", detail)
    }

    /// All was read, or can never be.
    pub(crate) fn nothing_to_retry() -> Self {
        let detail = "No page of this task has failed or was canceled, and no document can be fetched again.";
        Self::new(StatusCode::CONFLICT, "nothing_to_retry", detail)
    }

    /// Nothing was told under this id.
    pub(crate) fn delivery_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "delivery_not_found", "There is no delivery with this id.")
    }

    /// What was told then is no longer so.
    pub(crate) fn delivery_superseded() -> Self {
        let detail = "There is newer to tell of the task than this, or it was a notice of its progress.";
        Self::new(StatusCode::CONFLICT, "delivery_superseded", detail)
    }

    /// Nothing is wrong with such a receiver.
    pub(crate) fn endpoint_not_found() -> Self {
        let detail = "Nothing is held against a receiver with this id.";
        Self::new(StatusCode::NOT_FOUND, "endpoint_not_found", detail)
    }

    /// What a tenant signs with is not ours to change.
    pub(crate) fn secret_is_fixed() -> Self {
        let detail = "The secret is set by the operator of this server, who alone can replace it.";
        Self::new(StatusCode::CONFLICT, "secret_is_fixed", detail)
    }

    /// The body is none that this call takes.
    pub(crate) fn unsupported_media_type(wanted: &str) -> Self {
        let detail = format!("This call takes {wanted}.");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// The body is not the JSON it says it is.
    pub(crate) fn malformed_json(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_json", detail)
    }

    /// A field that must be there is not.
    pub(crate) fn missing_field(name: &str) -> Self {
        let detail = format!("The field {name} is missing.");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "missing_field", detail).at(format!("#/{name}"))
    }

    /// A field that this call does not know.
    pub(crate) fn unknown_field(name: &str, known: &str) -> Self {
        let escaped = name.replace('~', "~0").replace('/', "~1");
        let detail = format!("This call does not know this field; it knows {known}.");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_field", detail).at(format!("#/{escaped}"))
    }

    /// A field whose value makes no sense.
    pub(crate) fn invalid_field(name: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", detail).at(format!("#/{name}"))
    }

    /// A URL that is not for us to call.
    pub(crate) fn url_refused(name: &str, why: &quire_egress::UrlRefused) -> Self {
        let detail = format!("The URL is refused: {why}.");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "url_refused", detail).at(format!("#/{name}"))
    }

    /// More files than are taken.
    pub(crate) fn too_many_files(name: &str, most: usize) -> Self {
        let detail = format!("This call takes at most {most} file(s) in one request.");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many_files", detail).at(format!("#/{name}"))
    }

    /// A longer body than is taken. `instead` says what to do with a large document.
    pub(crate) fn body_too_large(most: u64, instead: &str) -> Self {
        let detail = format!("The request is larger than {most} bytes.{instead}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    }

    /// The backend has no place where a client could put a document on its own.
    pub(crate) fn uploads_not_taken() -> Self {
        let detail = "This server takes documents of every size itself: send the file to POST /ocr/async.";
        Self::new(StatusCode::NOT_FOUND, "uploads_not_taken", detail)
    }

    /// An answer that is larger than this server can carry.
    pub(crate) fn answer_too_large(bytes: usize, compressed: bool) -> Self {
        let detail = if compressed {
            format!("The answer has {bytes} bytes, too many even when they are compressed.")
        } else {
            format!("The answer has {bytes} bytes: ask again with Accept-Encoding: gzip.")
        };
        Self::new(StatusCode::NOT_ACCEPTABLE, "answer_too_large", detail)
    }

    /// The client stopped sending.
    pub(crate) fn upload_stalled() -> Self {
        let detail = "The rest of the request did not arrive in time.";
        Self::new(StatusCode::REQUEST_TIMEOUT, "upload_stalled", detail)
    }

    /// A result that would be larger than any that is made. `why` says by how much.
    pub(crate) fn result_too_large(why: &str) -> Self {
        let detail = format!("{why}: ask for another format, or send fewer pages in a task.");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "result_too_large", detail).at("#/format")
    }

    /// A result that could not be made. What may end better is tried again by a later call.
    pub(crate) fn result_failed(failure: &Failure) -> Self {
        if failure.code == FailureCode::DocumentTooLarge {
            return Self::result_too_large(failure.message.trim_end_matches('.'));
        }
        let retryable = failure.code.retryable();
        let detail = format!("The result could not be made: {}", failure.message);
        Self { retryable, ..Self::new(StatusCode::CONFLICT, "result_failed", detail) }.at("#/format")
    }

    /// Something that should not happen. The log has the cause, the client has the `request_id`.
    pub(crate) fn internal(cause: &dyn Display) -> Self {
        let detail = "Something went wrong on our side.";
        let problem = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail);
        Self { cause: Some(cause.to_string().into()), ..problem }
    }

    fn storage_full(cause: &dyn Display) -> Self {
        let detail = "There is no space left for new documents.";
        let problem = Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage_full", detail);
        Self { cause: Some(cause.to_string().into()), ..problem }
    }

    /// Something that is needed is busy, and may be free a little later.
    pub(crate) fn busy(cause: &dyn Display) -> Self {
        let detail = "The system is busy; try again a little later.";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail);
        Self { cause: Some(cause.to_string().into()), ..problem }
    }

    /// A multipart body that breaks the rules of its format, that breaks off or that grows too large.
    pub(crate) fn multipart(error: &MultipartError, too_large: impl FnOnce() -> Self) -> Self {
        if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return too_large();
        }
        let detail = "The body is no well-formed multipart/form-data, or it broke off.";
        Self::new(StatusCode::BAD_REQUEST, "malformed_multipart", detail)
    }

    /// The status of its answer.
    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    /// What happened on our side, for the log.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The code, for the log.
    pub(crate) const fn code(&self) -> &'static str {
        self.code
    }

    /// The body, as JSON.
    pub(crate) fn body(&self, request_id: &str) -> Vec<u8> {
        debug_assert!(codes::agrees(self.code, self.status.as_u16(), self.retryable), "{} in codes.rs", self.code);
        let body = Body {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            retryable: self.retryable,
            request_id,
            pointer: self.pointer.as_deref(),
            task_id: self.task_id,
        };
        serde_json::to_vec(&body).expect("plain data becomes JSON")
    }

    /// After how many seconds to come back, where that is known.
    pub(crate) const fn retry_after_secs(&self) -> Option<u64> {
        self.retry_after_secs
    }
}

impl IntoResponse for Problem {
    /// A response without a body, with the problem as an extension: only the router knows the `request_id`.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Failure> for Problem {
    /// A document that is refused or could not be read.
    fn from(failure: Failure) -> Self {
        let status = codes::status_of(failure.code);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retryable = failure.code.retryable();
        Self { retryable, ..Self::new(status, failure.code.as_str(), failure.message) }
    }
}

impl From<InvalidMode> for Problem {
    fn from(error: InvalidMode) -> Self {
        let code = if matches!(error, InvalidMode::Missing { .. }) { "missing_field" } else { "invalid_field" };
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, sentence(&error));
        problem.at(format!("#/{}", error.field()))
    }
}

impl From<NotOffered> for Problem {
    fn from(error: NotOffered) -> Self {
        let code = match error {
            NotOffered::Mode { .. } | NotOffered::ModeOfEngine { .. } => "mode_not_offered",
            NotOffered::Engine { .. } => "engine_not_offered",
        };
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, sentence(&error));
        problem.at(format!("#/{}", error.field()))
    }
}

impl From<InvalidRedactPolicy> for Problem {
    fn from(error: InvalidRedactPolicy) -> Self {
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", sentence(&error));
        problem.at(format!("#/redact{}", error.pointer()))
    }
}

/// An error's words as a detail: with a capital and a full stop. One that begins with an engine's name keeps its case.
fn sentence(error: &dyn Display) -> String {
    let words = error.to_string();
    let is_name = words.split(' ').next().is_some_and(|word| word.contains('@'));
    let (first, rest) = words.split_at(words.chars().next().map_or(0, char::len_utf8));
    if is_name { format!("{words}.") } else { format!("{}{rest}.", first.to_uppercase()) }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Full { .. } => Self::storage_full(&error),
            Error::Busy { .. } => Self::busy(&error),
            _ => Self::internal(&error),
        }
    }
}

impl From<io::Error> for Problem {
    /// A spool file that cannot be written.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::storage_full(&error)
            }
            _ => Self::internal(&error),
        }
    }
}

impl From<MultipartRejection> for Problem {
    fn from(_: MultipartRejection) -> Self {
        Self::unsupported_media_type("multipart/form-data with a boundary")
    }
}
