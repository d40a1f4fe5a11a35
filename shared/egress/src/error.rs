//! What can go wrong on the way to a stranger and back.

/// No HTTPS client can be made, most often for want of root certificates. Decision: refuse to start.
#[derive(Debug, thiserror::Error)]
#[error("no HTTPS client can be made: {0}; install root certificates (ca-certificates) or set SSL_CERT_FILE")]
pub struct SetupError(pub(crate) String);

/// This URL is not for us to call. Decision: never retry; whoever named it is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing that parses as an absolute URL.
    #[error("not a URL")]
    Malformed,
    /// Longer than [`crate::MAX_URL_LENGTH`].
    #[error("longer than {} characters", crate::MAX_URL_LENGTH)]
    TooLong,
    /// Another scheme than `https`.
    #[error("only https URLs are taken")]
    Scheme,
    /// A user name or a password in the URL, where logs and tables would keep it.
    #[error("a URL with a user name or a password is not taken")]
    Credentials,
    /// Port 0.
    #[error("port 0 is no port")]
    Port,
    /// An address, or a name that has only such addresses, that is not on the public internet.
    #[error("{host} is refused: {why}")]
    Address {
        /// The host as it stands in the URL.
        host: String,
        /// Which kind of address it is.
        why: &'static str,
    },
}

/// Why a document could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Decision: never retry.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// More bytes than are taken. Decision: never retry.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// How many are.
        limit: u64,
    },
    /// Another status than 200. Decision: retry when [`is_transient_status`] says so.
    #[error("answered with status {0}")]
    Status(u16),
    /// No connection, or one that broke. Decision: retry.
    #[error("{host} could not be reached: {why}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// What the network said.
        why: String,
    },
    /// The time was over. Decision: retry.
    #[error("{host} took too long")]
    TimedOut {
        /// Host and port.
        host: String,
    },
    /// The file could not be written: the fault is ours. Decision: retry.
    #[error("the fetched bytes could not be kept: {0}")]
    Storage(#[from] std::io::Error),
}

impl FetchError {
    /// Whether the same may end better later.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Refused(_) | Self::TooLarge { .. } => false,
            Self::Status(status) => is_transient_status(*status),
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Storage(_) => true,
        }
    }
}

/// Why there is no answer to a POST.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// Decision: never retry.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No connection, or one that broke. Decision: retry.
    #[error("{host} could not be reached: {why}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// What the network said.
        why: String,
    },
    /// The time was over. Decision: retry.
    #[error("{host} took too long")]
    TimedOut {
        /// Host and port.
        host: String,
    },
}

impl PostError {
    /// Whether the same may end better later.
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

/// Whether a status says "not now" rather than "no": time-outs (408), too early (425), too many requests (429), and
/// whatever is the server's fault.
pub const fn is_transient_status(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}
