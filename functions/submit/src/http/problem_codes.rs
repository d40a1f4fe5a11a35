//! Every code that an error of the API can have, with its HTTP status: the single source for [`super::problem`],
//! `problems.md` and the error responses in `openapi.json`.

use quire_tasks::FailureCode;

/// Defines the enum, its `ALL` and its table together, so that no code can be missing from any of them.
macro_rules! problem_codes {
    ($($variant:ident: $name:literal, $status:literal, $retryable:expr, $meaning:literal;)*) => {
        /// The `code` of a problem. It is part of the API: codes are added, and never renamed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum ProblemCode {
            $($variant,)*
            /// A document or page failed. Results have the same codes in `error.code`.
            Document(FailureCode),
        }

        impl ProblemCode {
            /// The codes of requests, by status.
            pub(crate) const OF_REQUESTS: &[Self] = &[$(Self::$variant,)*];

            /// Returns the code as it is serialized.
            pub(crate) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Document(code) => code.as_str(),
                }
            }

            /// Returns the HTTP status.
            pub(crate) const fn status(self) -> u16 {
                match self {
                    $(Self::$variant => $status,)*
                    Self::Document(code) => status_of(code),
                }
            }

            /// Returns whether the same request may succeed later; `None` if that differs from case to case.
            pub(crate) const fn retryable(self) -> Option<bool> {
                match self {
                    $(Self::$variant => $retryable,)*
                    Self::Document(code) => Some(code.retryable()),
                }
            }

            /// Returns what the code means, as a phrase for the documentation.
            pub(crate) const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)*
                    Self::Document(code) => meaning_of(code),
                }
            }
        }
    };
}

const NO: Option<bool> = Some(false);
const YES: Option<bool> = Some(true);
const DEPENDS: Option<bool> = None;

problem_codes! {
    MalformedJson: "malformed_json", 400, NO, "the body is not a JSON object";
    MalformedMultipart: "malformed_multipart", 400, NO,
        "the body is not well-formed multipart/form-data, or is truncated";
    MalformedIdempotencyKey: "malformed_idempotency_key", 400, NO,
        "`Idempotency-Key` is not 1 to 255 visible ASCII characters";
    Unauthorized: "unauthorized", 401, NO, "the API key is missing, invalid, revoked or expired";
    InsufficientScope: "insufficient_scope", 403, NO, "the API key does not have the scope that the call requires";
    CrossSiteRequest: "cross_site_request", 403, NO,
        "without API keys, pages of other sites cannot change anything: `Origin` or `Sec-Fetch-Site` is foreign";
    NotFound: "not_found", 404, NO, "unknown path";
    TaskNotFound: "task_not_found", 404, NO, "the task does not exist, belongs to another tenant, or has expired";
    DeliveryNotFound: "delivery_not_found", 404, NO, "the delivery does not exist, or belongs to another tenant";
    EndpointNotFound: "endpoint_not_found", 404, NO, "no disabled or backed-off endpoint has this id";
    UploadsNotTaken: "uploads_not_taken", 404, NO, "this server has no upload URLs; send the document in the request";
    MethodNotAllowed: "method_not_allowed", 405, NO, "the path does not support this method";
    AnswerTooLarge: "answer_too_large", 406, NO, "the response exceeds the size limit of this server";
    UploadStalled: "upload_stalled", 408, YES, "timeout: the request body did not arrive in time";
    UploadTooSlow: "upload_too_slow", 408, YES, "timeout: the request body arrived below the minimum rate";
    TaskNotEnded: "task_not_ended", 409, YES, "the task is still open";
    TaskEnded: "task_ended", 409, NO, "the task has ended and cannot be canceled";
    NothingToRetry: "nothing_to_retry", 409, NO, "no page failed or was canceled";
    IdempotencyKeyInUse: "idempotency_key_in_use", 409, YES,
        "the first request with this `Idempotency-Key` is still running";
    ResultFailed: "result_failed", 409, DEPENDS, "the result could not be made in this format";
    DeliverySuperseded: "delivery_superseded", 409, NO,
        "a newer event of the task exists, or the delivery was a progress event";
    SecretIsFixed: "secret_is_fixed", 409, NO, "the signing secret is set by the operator and cannot be rotated";
    BodyTooLarge: "body_too_large", 413, NO, "the request body exceeds the size limit";
    UriTooLong: "uri_too_long", 414, NO, "the path and query of the request are too long";
    UnsupportedMediaType: "unsupported_media_type", 415, NO, "the call does not accept this content type";
    MisdirectedRequest: "misdirected_request", 421, NO,
        "without API keys, `Host` must be this machine's loopback name or address, or the host of the public URL";
    MissingField: "missing_field", 422, NO, "a required field is missing";
    UnknownField: "unknown_field", 422, NO, "the call has no such field";
    InvalidField: "invalid_field", 422, NO, "a field or parameter has an invalid value";
    TooManyFiles: "too_many_files", 422, NO, "the request has more files than allowed";
    TooManyParts: "too_many_parts", 422, NO, "the form has more parts than allowed";
    ModeNotOffered: "mode_not_offered", 422, NO, "no engine of this server supports the mode";
    EngineNotOffered: "engine_not_offered", 422, NO, "this server has no such engine";
    ResultTooLarge: "result_too_large", 422, NO, "the result exceeds the size limit of this format";
    IdempotencyKeyReused: "idempotency_key_reused", 422, NO, "this `Idempotency-Key` was used for a different request";
    RateLimited: "rate_limited", 429, YES, "the tenant's rate limit for requests is exceeded";
    StoredBytesExceeded: "stored_bytes_exceeded", 429, YES, "the tenant's quota of stored bytes is exceeded";
    TooManyOpenTasks: "too_many_open_tasks", 429, YES, "the tenant has as many open tasks as it may have";
    TooManyRotations: "too_many_rotations", 429, YES,
        "the signing secret was rotated too often: each older secret signs for 24 hours, and only four do at a time";
    HeadersTooLarge: "headers_too_large", 431, NO,
        "the headers of the request, or of a part of its form, are too large";
    Busy: "busy", 503, YES, "a dependency is overloaded or unavailable";
    TooManyConnections: "too_many_connections", 503, YES, "the server's limit of open connections is reached";
    StorageFull: "storage_full", 507, YES, "the storage is full";
}

impl ProblemCode {
    /// Returns every code: those of requests by status, then those of documents and pages.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::OF_REQUESTS.iter().copied().chain(FailureCode::ALL.into_iter().map(Self::Document))
    }

    /// Returns the code with this name, if there is one.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::all().find(|code| code.as_str() == name)
    }
}

/// Returns the status of a request that fails because of its document.
const fn status_of(code: FailureCode) -> u16 {
    match code {
        FailureCode::UnsupportedFormat => 415,
        FailureCode::QuotaExceeded => 429,
        FailureCode::DocumentTooLarge | FailureCode::TooManyPages | FailureCode::TooManyPixels => 413,
        code if code.retryable() => 500,
        _ => 422,
    }
}

/// Returns what a document's or page's code means.
const fn meaning_of(code: FailureCode) -> &'static str {
    match code {
        FailureCode::UnsupportedFormat => {
            "the document, or an image in it, is not a PDF, PNG, JPEG, TIFF, WebP, BMP, GIF, JPEG 2000 or JPEG XL, \
             or uses a rare feature of them"
        }
        FailureCode::EmptyDocument => "the document has no bytes",
        FailureCode::DocumentTooLarge => "the document has more bytes than allowed",
        FailureCode::TooManyPages => "the document, or the task, has more pages than allowed",
        FailureCode::TooManyPixels => "a page has more pixels than allowed",
        FailureCode::EncryptedDocument => "the PDF requires a password",
        FailureCode::UnreadableDocument => "the document is corrupt",
        FailureCode::UnreadablePage => "the page is corrupt; other pages of its document may be fine",
        FailureCode::QuotaExceeded => "the tenant's daily quota of pages, or its quota of stored bytes, is exceeded",
        FailureCode::TooComplex => "parsing or rendering it exceeds a limit on memory, processor time or time",
        FailureCode::UrlRefused => "the URL is not allowed: its scheme, its port, or the address it resolves to",
        FailureCode::FetchFailed => "`image_url` could not be fetched",
        FailureCode::UploadMissing => "the announced document was not uploaded",
        FailureCode::NotOffered => "the requested engine or mode is no longer available",
        FailureCode::ModelFailed => "the model failed on this page",
        FailureCode::TimedOut => "timeout: the page took too long",
        FailureCode::AttemptsExhausted => "every attempt to process it crashed",
        FailureCode::RedactionFailed => "redaction failed, so that no text was stored",
        FailureCode::Internal => "internal error; the server's log has its cause",
        // `FailureCode` is non-exhaustive; a test ensures that none of its codes ends here.
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(code: ProblemCode) -> String {
        let retryable = match code.retryable() {
            Some(true) => "yes",
            Some(false) => "no",
            None => "depends",
        };
        format!("| `{}` | {} | {retryable} | {} |\n", code.as_str(), code.status(), code.meaning())
    }

    #[test]
    fn codes_are_unique() {
        for code in ProblemCode::all() {
            assert_eq!(ProblemCode::parse(code.as_str()), Some(code));
        }
        assert_eq!(ProblemCode::parse("no_such_code"), None);
    }

    #[test]
    fn every_code_has_a_meaning() {
        assert!(ProblemCode::all().all(|code| !code.meaning().is_empty()));
    }

    #[test]
    fn codes_are_listed_by_status() {
        assert!(ProblemCode::OF_REQUESTS.is_sorted_by_key(|code| code.status()));
    }

    #[test]
    fn problems_md_has_exactly_these_rows() {
        let page = include_str!("../../problems.md");
        let of_requests: String = ProblemCode::OF_REQUESTS.iter().copied().map(row).collect();
        let of_documents: String = FailureCode::ALL.into_iter().map(|code| row(ProblemCode::Document(code))).collect();
        for rows in [of_requests, of_documents] {
            assert!(page.contains(&rows), "problems.md lacks these rows:\n{rows}");
        }
        let rows = page.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, ProblemCode::all().count(), "problems.md has rows for unknown codes");
    }
}
