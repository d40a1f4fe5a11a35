//! The error of every port.

/// An error of the backend. Each variant is a decision.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Throttling, a lock timeout or a connection error. Decision: retry with backoff ([`crate::retry_with_backoff`])
    /// without spending an attempt.
    #[error("{what} is busy: {why}")]
    Busy {
        /// The part of the backend, e.g. `queue`.
        what: &'static str,
        /// The underlying error.
        why: String,
    },
    /// No space is left. Decision: refuse new work; an operator must act.
    #[error("no space left in {what}")]
    Full {
        /// The part of the backend.
        what: &'static str,
    },
    /// The object, task or record does not exist. Decision: the calling code's, which knows whether it must exist.
    #[error("{what} not found")]
    NotFound {
        /// The key or id.
        what: String,
    },
    /// A permanent error, e.g. a broken disk, a corrupt database or a missing permission. Decision: give up this
    /// attempt.
    #[error("{what} failed: {why}")]
    Failed {
        /// The part of the backend.
        what: &'static str,
        /// The underlying error.
        why: String,
    },
}

impl Error {
    /// Returns whether a retry may succeed.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }
}
