//! What can go wrong where things are kept.

/// An error of the backend. Each variant is a decision.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Throttled, locked or briefly out of reach. Decision: wait and try again ([`crate::retry_with_backoff`]); it spends no attempt.
    #[error("{what} is busy: {why}")]
    Busy {
        /// Which part.
        what: &'static str,
        /// What it said.
        why: String,
    },
    /// No space is left. Decision: refuse new work; an operator has to act.
    #[error("no space left in {what}")]
    Full {
        /// Which part.
        what: &'static str,
    },
    /// There is no such thing. Decision: the caller's, who knows whether it must exist.
    #[error("{what} not found")]
    NotFound {
        /// The key or id.
        what: String,
    },
    /// Anything else: a broken disk, a database that is none, a right that lacks. Decision: give up this attempt.
    #[error("{what} failed: {why}")]
    Failed {
        /// Which part.
        what: &'static str,
        /// What it said.
        why: String,
    },
}

impl Error {
    /// Whether waiting may help.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }
}
