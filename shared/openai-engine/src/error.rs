//! Errors, by what to do next.

use std::time::Duration;

use quire_ocr::InstructionError;
use quire_tasks::{Failure, FailureCode};

/// Why a server has not read a page. Transient errors are returned after the retries have failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenAiEngineError {
    /// The server is overloaded (rate limit). Decision: retry later, without spending an attempt of the page and
    /// without counting a failure of the engine.
    #[error("{host} is overloaded")]
    Throttled {
        /// Host and port.
        host: String,
        /// The wait until the next request, from the `Retry-After` header.
        retry_after: Option<Duration>,
    },
    /// The server is unreachable, fails, or does not match the configuration. Decision: count a failure of the engine
    /// (circuit breaker) and read the page with another engine.
    #[error("{host} is unavailable: {why}")]
    Unavailable {
        /// Host and port.
        host: String,
        /// The reason.
        why: String,
        /// Whether it may have processed the page: then the page may be the cause.
        saw_page: bool,
    },
    /// The server refuses this page, e.g. for too many tokens. Decision: fail the page with this engine, do not retry.
    #[error("{host} refused the page with status {status}")]
    Refused {
        /// Host and port.
        host: String,
        /// The HTTP status of the response.
        status: u16,
    },
    /// The response is not a usable completion. Decision: fail the page with this engine; a later retry may succeed.
    #[error("{host} returned an invalid response: {flaw}")]
    InvalidResponse {
        /// Host and port.
        host: String,
        /// The flaw of the response.
        flaw: ResponseFlaw,
    },
    /// The requested mode has no prompt. Decision: fail the page, do not retry.
    #[error(transparent)]
    NotOffered(#[from] InstructionError),
}

/// Why a response is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResponseFlaw {
    /// Neither JSON nor an event stream.
    #[error("it is neither JSON nor an event stream")]
    ContentType,
    /// Not a chat completion.
    #[error("it is not a chat completion")]
    Format,
    /// It ended early.
    #[error("it is truncated")]
    Truncated,
    /// It has more bytes than the token limit allows.
    #[error("it is too large")]
    TooLarge,
    /// It was incomplete at the timeout of the page.
    #[error("it was not complete before the timeout")]
    TimedOut,
    /// A status of a server that read other pages at the same time.
    #[error("status {0}, while other pages succeed")]
    Status(u16),
}

impl OpenAiEngineError {
    /// Returns whether the server is the cause, and not the page.
    pub const fn is_server_fault(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Unavailable { .. })
    }

    /// Returns the failure for the customer, without details of the server.
    pub fn failure(&self) -> Failure {
        let (code, message) = match self {
            Self::Throttled { .. } => (FailureCode::ModelFailed, "the engine is overloaded".to_owned()),
            Self::Unavailable { .. } => (FailureCode::ModelFailed, "the engine is unavailable".to_owned()),
            Self::Refused { status: 413, .. } => {
                (FailureCode::TooManyPixels, "the page is too large for the engine".to_owned())
            }
            Self::Refused { .. } => (FailureCode::ModelFailed, "the engine refuses this page".to_owned()),
            Self::InvalidResponse { flaw: ResponseFlaw::TimedOut, .. } => {
                (FailureCode::TimedOut, "the page was not read before the timeout".to_owned())
            }
            Self::InvalidResponse { flaw, .. } => {
                (FailureCode::ModelFailed, format!("the engine returned an invalid response: {flaw}"))
            }
            Self::NotOffered(why) => (FailureCode::NotOffered, why.to_string()),
        };
        Failure::new(code, message)
    }
}
