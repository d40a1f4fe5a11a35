//! Errors of outgoing requests, by what to do next.

use crate::UrlRefused;

/// The HTTPS client cannot be created, most often because of missing root certificates. Decision: refuse to start.
#[derive(Debug, thiserror::Error)]
#[error("cannot create an HTTPS client: {0}; install root certificates (ca-certificates) or set SSL_CERT_FILE")]
pub struct EgressSetupError(pub(crate) String);

/// Why a document could not be downloaded.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL is refused. Decision: never retry.
    #[error(transparent)]
    Refused(#[from] UrlRefused),
    /// The response has more bytes than allowed. Decision: never retry.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The status is not 200. Decision: retry if [`is_transient_status`] returns true.
    #[error("answered with status {status}{}", received.as_deref().map(|text| format!(": {text}")).unwrap_or_default())]
    Status {
        /// The HTTP status.
        status: u16,
        /// The message in the response, if there is one: at most 200 visible characters, without URLs and tokens.
        received: Option<String>,
    },
    /// The response has a `Content-Encoding` that is not supported. Decision: never retry.
    #[error("received the Content-Encoding {0}, expected one of {accepted}", accepted = crate::encoding::ACCEPTED)]
    Encoding(String),
    /// The response is not valid in its `Content-Encoding`, e.g. because it is cut off. Decision: retry.
    #[error("received bytes that are not valid in their Content-Encoding")]
    Damaged,
    /// The connection failed. Decision: retry.
    #[error("{host} could not be reached: {why}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// The cause.
        why: String,
    },
    /// The timeout has elapsed. Decision: retry.
    #[error("{host} took too long")]
    TimedOut {
        /// Host and port.
        host: String,
    },
    /// The file could not be written: an error of our own disk. Decision: retry.
    #[error("the downloaded bytes could not be stored: {0}")]
    Storage(#[from] std::io::Error),
}

impl FetchError {
    /// Returns whether a retry may succeed.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Refused(_) | Self::TooLarge { .. } | Self::Encoding(_) => false,
            Self::Status { status, .. } => is_transient_status(*status),
            Self::Damaged | Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Storage(_) => true,
        }
    }
}

/// Why a POST request got no response.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The URL is refused. Decision: never retry.
    #[error(transparent)]
    Refused(#[from] UrlRefused),
    /// The connection failed. Decision: retry.
    #[error("{host} could not be reached: {why}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// The cause.
        why: String,
    },
    /// The timeout has elapsed. Decision: retry.
    #[error("{host} took too long")]
    TimedOut {
        /// Host and port.
        host: String,
    },
}

impl PostError {
    /// Returns whether a retry may succeed.
    pub const fn is_transient(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

impl From<PostError> for FetchError {
    fn from(error: PostError) -> Self {
        match error {
            PostError::Refused(refused) => Self::Refused(refused),
            PostError::Unreachable { host, why } => Self::Unreachable { host, why },
            PostError::TimedOut { host } => Self::TimedOut { host },
        }
    }
}

/// Returns whether a status is transient: request timeout (408), too early (425), too many requests (429), and server
/// errors (5xx).
///
/// ```
/// assert!(quire_egress::is_transient_status(503));
/// assert!(!quire_egress::is_transient_status(404));
/// ```
pub const fn is_transient_status(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}
