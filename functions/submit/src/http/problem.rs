//! Problem details (RFC 9457): every error response of the API.

use std::fmt::Display;

use axum::{
    extract::multipart::MultipartError,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use quire_tasks::{Failure, FailureCode, TaskId};
use serde::Serialize;

use crate::http::{
    part_limits::{MAX_PART_HEADER_BYTES, PartHeadersTooLarge},
    problem_codes::ProblemCode,
    upload_limits::UploadTimeout,
};

/// `Retry-After` of a `503`. It ends soon or takes an operator; a client that retries every few seconds is harmless.
const BUSY_RETRY_SECS: u64 = 5;

/// `Retry-After` of a `507`: space becomes free when tasks expire or are deleted.
const FULL_RETRY_SECS: u64 = 60;

/// `Retry-After` while the first request with an `Idempotency-Key` is running: most are answered within a second.
const IN_USE_RETRY_SECS: u64 = 1;

/// `Retry-After` when too many connections are open: idle ones are closed at once, requests end within seconds.
const CONNECTION_RETRY_SECS: u64 = 1;

/// An error response. The router serializes its body, adds the `request_id` and writes it to the log.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    code: ProblemCode,
    detail: String,
    retryable: bool,
    pointer: Option<String>,
    task_id: Option<TaskId>,
    // A boxed str is two words: a problem is part of every `Result` here.
    cause: Option<Box<str>>,
    retry_after_secs: Option<u64>,
}

/// The JSON body of a problem.
#[derive(Debug, Serialize)]
struct ProblemBody<'a> {
    // `code` is more specific than a URI; with `about:blank`, RFC 9457 requires the status phrase as the title.
    #[serde(rename = "type")]
    problem_type: &'static str,
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
    /// Returns a problem with this code. A code whose retryability depends on the case is not retryable by default.
    pub(crate) fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        let retry_after_secs = match code {
            ProblemCode::Busy => Some(BUSY_RETRY_SECS),
            ProblemCode::StorageFull => Some(FULL_RETRY_SECS),
            ProblemCode::TooManyConnections => Some(CONNECTION_RETRY_SECS),
            ProblemCode::IdempotencyKeyInUse => Some(IN_USE_RETRY_SECS),
            _ => None,
        };
        Self {
            code,
            detail: detail.into(),
            retryable: code.retryable().unwrap_or(false),
            pointer: None,
            task_id: None,
            cause: None,
            retry_after_secs,
        }
    }

    /// Returns the problem with a pointer to the invalid part of the request: `#/` and the name of the JSON member,
    /// form field or query parameter; for one of several files of a field, then `/` and its index from 0.
    pub(crate) fn at(self, pointer: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), ..self }
    }

    /// Returns the problem with the task that it concerns.
    pub(crate) fn of(self, task_id: TaskId) -> Self {
        Self { task_id: Some(task_id), ..self }
    }

    fn caused_by(self, cause: &dyn Display) -> Self {
        Self { cause: Some(cause.to_string().into()), ..self }
    }

    /// The path is unknown.
    pub(crate) fn not_found() -> Self {
        Self::new(ProblemCode::NotFound, "Unknown path.")
    }

    /// The API key is missing or invalid.
    pub(crate) fn unauthorized(detail: &str) -> Self {
        Self::new(ProblemCode::Unauthorized, detail)
    }

    /// The request is not addressed to this server.
    pub(crate) fn misdirected_request() -> Self {
        let detail = "Without API keys, this server is only for this machine: Host must be localhost, a loopback \
                      address or the host of QUIRE_PUBLIC_URL. Create an API key, or set QUIRE_PUBLIC_URL.";
        Self::new(ProblemCode::MisdirectedRequest, detail)
    }

    /// A page of another site sent the request.
    pub(crate) fn cross_site_request() -> Self {
        let detail = "Without API keys, pages of other sites cannot change anything here: Origin or Sec-Fetch-Site is \
                      foreign.";
        Self::new(ProblemCode::CrossSiteRequest, detail)
    }

    /// The tenant's rate limit is exceeded.
    pub(crate) fn rate_limited(quota: u64, retry_after_secs: u64) -> Self {
        let detail = format!("Rate limit exceeded: {quota} requests per minute. Retry after the time in Retry-After.");
        Self { retry_after_secs: Some(retry_after_secs), ..Self::new(ProblemCode::RateLimited, detail) }
    }

    /// The tenant's quota of pages is exceeded.
    pub(crate) fn quota_exceeded(quota: u64, retry_after_secs: u64) -> Self {
        let detail = format!("Quota exceeded: {quota} pages per day. Retry after the time in Retry-After.");
        let code = ProblemCode::Document(FailureCode::QuotaExceeded);
        Self { retry_after_secs: Some(retry_after_secs), ..Self::new(code, detail) }
    }

    /// A request needs more of a quota than remains. `retry_after_secs` is `None` if it can never succeed.
    pub(crate) fn quota_refused(code: ProblemCode, detail: String, retry_after_secs: Option<u64>) -> Self {
        Self { retryable: retry_after_secs.is_some(), retry_after_secs, ..Self::new(code, detail) }
    }

    /// The API key does not have the scope.
    pub(crate) fn insufficient_scope(scope: &str) -> Self {
        let detail = format!("This call requires an API key with the scope {scope}.");
        Self::new(ProblemCode::InsufficientScope, detail)
    }

    /// The path does not support the method.
    pub(crate) fn method_not_allowed() -> Self {
        let detail = "This path does not support this method; the Allow header lists the supported ones.";
        Self::new(ProblemCode::MethodNotAllowed, detail)
    }

    /// No task of the tenant has this id.
    pub(crate) fn task_not_found() -> Self {
        Self::new(ProblemCode::TaskNotFound, "No task has this id, or it has expired.")
    }

    /// The task has no result yet.
    pub(crate) fn task_not_ended() -> Self {
        let detail = "The task has not ended yet; wait for it with GET /task/{task_id}?wait=60.";
        Self::new(ProblemCode::TaskNotEnded, detail)
    }

    /// The `Idempotency-Key` is malformed.
    pub(crate) fn malformed_idempotency_key(max_length: usize) -> Self {
        let detail = format!("Idempotency-Key must be one key of 1 to {max_length} visible ASCII characters.");
        Self::new(ProblemCode::MalformedIdempotencyKey, detail)
    }

    /// The first request with this key is still running.
    pub(crate) fn idempotency_key_in_use() -> Self {
        let detail = "The first request with this Idempotency-Key is still running; retry later.";
        Self::new(ProblemCode::IdempotencyKeyInUse, detail)
    }

    /// The first request with this key was a different one.
    pub(crate) fn idempotency_key_reused() -> Self {
        let detail = "This Idempotency-Key was used for a different request; send a new key with a new request.";
        Self::new(ProblemCode::IdempotencyKeyReused, detail)
    }

    /// A task that has ended cannot be canceled.
    pub(crate) fn task_ended() -> Self {
        Self::new(ProblemCode::TaskEnded, "The task has already ended and cannot be canceled.")
    }

    /// Every page was read, or can never be.
    pub(crate) fn nothing_to_retry() -> Self {
        let detail = "Nothing to retry: no page failed or was canceled, and no document can be fetched again.";
        Self::new(ProblemCode::NothingToRetry, detail)
    }

    /// No delivery of the tenant has this id.
    pub(crate) fn delivery_not_found() -> Self {
        Self::new(ProblemCode::DeliveryNotFound, "No delivery has this id.")
    }

    /// The delivery is not the latest event of its task.
    pub(crate) fn delivery_superseded() -> Self {
        let detail = "A newer event of this task exists, or the delivery was a progress event; it cannot be resent.";
        Self::new(ProblemCode::DeliverySuperseded, detail)
    }

    /// The endpoint is not disabled.
    pub(crate) fn endpoint_not_found() -> Self {
        Self::new(ProblemCode::EndpointNotFound, "No disabled endpoint has this id.")
    }

    /// Too many older signing secrets still sign.
    pub(crate) fn too_many_rotations(retry_after_secs: u64) -> Self {
        let detail = "The signing secret was rotated too often: each older one signs for 24 hours. Retry after the \
                      time in Retry-After.";
        Self { retry_after_secs: Some(retry_after_secs), ..Self::new(ProblemCode::TooManyRotations, detail) }
    }

    /// The signing secret is set by the operator.
    pub(crate) fn secret_is_fixed() -> Self {
        let detail = "The signing secret is set by the operator of this server and cannot be rotated.";
        Self::new(ProblemCode::SecretIsFixed, detail)
    }

    /// The content type is not accepted.
    pub(crate) fn unsupported_media_type(expected: &str) -> Self {
        Self::new(ProblemCode::UnsupportedMediaType, format!("Content-Type must be {expected}."))
    }

    /// The body is not the JSON that its content type announces.
    pub(crate) fn malformed_json(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::MalformedJson, detail)
    }

    /// A required field is missing.
    pub(crate) fn missing_field(name: &str) -> Self {
        Self::new(ProblemCode::MissingField, format!("The field {name} is required.")).at(format!("#/{name}"))
    }

    /// The call has no such field. `known` lists the fields that it has.
    pub(crate) fn unknown_field(name: &str, known: &str) -> Self {
        let escaped = name.replace('~', "~0").replace('/', "~1");
        let detail = format!("Unknown field; expected one of {known}.");
        Self::new(ProblemCode::UnknownField, detail).at(format!("#/{escaped}"))
    }

    /// A field or parameter has an invalid value. `detail` states the expected value.
    pub(crate) fn invalid_field(name: &str, detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::InvalidField, detail).at(format!("#/{name}"))
    }

    /// The URL may not be called.
    pub(crate) fn url_refused(name: &str, why: &quire_egress::UrlRefused) -> Self {
        let code = ProblemCode::Document(FailureCode::UrlRefused);
        Self::new(code, format!("The URL is not allowed: {why}.")).at(format!("#/{name}"))
    }

    /// The request has too many files.
    pub(crate) fn too_many_files(name: &str, max_files: usize) -> Self {
        let detail = format!("A request to this path has at most {max_files} file(s).");
        Self::new(ProblemCode::TooManyFiles, detail).at(format!("#/{name}"))
    }

    /// The body is too large. `instead` explains how to send a large document.
    pub(crate) fn body_too_large(max_bytes: u64, instead: &str) -> Self {
        let detail = format!("The request must not exceed {max_bytes} bytes.{instead}");
        Self::new(ProblemCode::BodyTooLarge, detail)
    }

    /// The backend has no upload URLs.
    pub(crate) fn uploads_not_taken() -> Self {
        let detail = "This server has no upload URLs; send the file to POST /ocr/async.";
        Self::new(ProblemCode::UploadsNotTaken, detail)
    }

    /// The response is larger than Lambda supports.
    pub(crate) fn answer_too_large(bytes: usize, compressed: bool) -> Self {
        let detail = if compressed {
            format!("The response of {bytes} bytes is too large, even compressed.")
        } else {
            format!("The response of {bytes} bytes is too large; send Accept-Encoding: gzip.")
        };
        Self::new(ProblemCode::AnswerTooLarge, detail)
    }

    /// The client stopped sending.
    pub(crate) fn upload_stalled() -> Self {
        Self::new(ProblemCode::UploadStalled, "Timeout: the rest of the request did not arrive in time.")
    }

    /// The client sent too slowly.
    pub(crate) fn upload_too_slow() -> Self {
        Self::new(ProblemCode::UploadTooSlow, "Timeout: the request arrives too slowly, or takes too long.")
    }

    /// The path and query are too long.
    pub(crate) fn uri_too_long(max_bytes: usize) -> Self {
        Self::new(ProblemCode::UriTooLong, format!("The path and query must not exceed {max_bytes} bytes."))
    }

    /// The headers of the request or of a part are too large.
    pub(crate) fn headers_too_large(what: &str, max_bytes: usize) -> Self {
        Self::new(ProblemCode::HeadersTooLarge, format!("{what} must not exceed {max_bytes} bytes."))
    }

    /// The form has too many parts.
    pub(crate) fn too_many_parts(max_parts: usize) -> Self {
        Self::new(ProblemCode::TooManyParts, format!("A form must not have more than {max_parts} parts."))
    }

    /// The server has too many connections.
    pub(crate) fn too_many_connections() -> Self {
        Self::new(ProblemCode::TooManyConnections, "Too many connections are open; retry later.")
    }

    /// The result is too large. `why` is the excess, without a full stop.
    pub(crate) fn result_too_large(why: &str) -> Self {
        let detail = format!("{why}; request another format, or send fewer pages per task.");
        Self::new(ProblemCode::ResultTooLarge, detail).at("#/format")
    }

    /// The result could not be made. A later call tries again if the failure is retryable.
    pub(crate) fn result_failed(failure: &Failure) -> Self {
        if failure.code == FailureCode::DocumentTooLarge {
            return Self::result_too_large(failure.message.trim_end_matches('.'));
        }
        let detail = format!("The result could not be made: {}", failure.message);
        let problem = Self::new(ProblemCode::ResultFailed, detail).at("#/format");
        Self { retryable: failure.code.retryable(), ..problem }
    }

    /// A bug or an unexpected error. The cause is only logged; the client has the `request_id`.
    pub(crate) fn internal(cause: &dyn Display) -> Self {
        Self::new(ProblemCode::Document(FailureCode::Internal), "Internal error.").caused_by(cause)
    }

    /// The storage is full.
    pub(crate) fn storage_full(cause: &dyn Display) -> Self {
        Self::new(ProblemCode::StorageFull, "The storage is full; retry later.").caused_by(cause)
    }

    /// A dependency is overloaded or unavailable.
    pub(crate) fn busy(cause: &dyn Display) -> Self {
        Self::new(ProblemCode::Busy, "The service is temporarily unavailable; retry later.").caused_by(cause)
    }

    /// A multipart body that is malformed, truncated, too large or too slow.
    pub(crate) fn multipart(error: &MultipartError, too_large: impl FnOnce() -> Self) -> Self {
        if let Some(timeout) = UploadTimeout::cause_of(error) {
            return timeout.into();
        }
        if PartHeadersTooLarge::caused(error) {
            return Self::headers_too_large("The headers of a part, with what precedes it,", MAX_PART_HEADER_BYTES);
        }
        if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return too_large();
        }
        let detail = "The body is not well-formed multipart/form-data, or is truncated.";
        Self::new(ProblemCode::MalformedMultipart, detail)
    }

    /// Returns the HTTP status of the response.
    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Returns the internal cause, for the log only.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// Returns the code.
    pub(crate) const fn code(&self) -> ProblemCode {
        self.code
    }

    /// Serializes the body.
    pub(crate) fn body(&self, request_id: &str) -> Vec<u8> {
        let status = self.status();
        let body = ProblemBody {
            problem_type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: &self.detail,
            code: self.code.as_str(),
            retryable: self.retryable,
            request_id,
            pointer: self.pointer.as_deref(),
            task_id: self.task_id,
        };
        serde_json::to_vec(&body).expect("plain data serializes to JSON")
    }

    /// Returns the seconds after which the client may retry, if known.
    pub(crate) const fn retry_after_secs(&self) -> Option<u64> {
        self.retry_after_secs
    }
}

impl IntoResponse for Problem {
    /// Returns a response without a body, with the problem as an extension: only the router knows the `request_id`.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
