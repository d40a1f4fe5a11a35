//! Why a document could not be inspected, or a page not rendered.

use quire_tasks::{Failure, FailureCode};

/// An error of [`Sandbox`](crate::Sandbox). The variant is the decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SandboxError {
    /// The document is the cause. Decision: fail the document or page with this.
    #[error("{0}")]
    Document(Failure),
    /// The document is not the cause: a child could not be started, was killed from outside, or did not get enough
    /// processor time. Decision: retry.
    #[error("{reason}")]
    Infrastructure {
        /// The reason, for the operator.
        reason: String,
        /// Whether the document may have contributed, because the child used much memory when it was killed. Decision:
        /// let the retry spend an attempt, so that such a document is not retried forever.
        is_suspect: bool,
    },
}

impl SandboxError {
    pub(crate) fn infrastructure(reason: impl Into<String>) -> Self {
        Self::Infrastructure { reason: reason.into(), is_suspect: false }
    }
}

impl From<SandboxError> for Failure {
    /// Returns a failure for the customer; for an infrastructure error it has no details, and is retryable.
    fn from(error: SandboxError) -> Self {
        match error {
            SandboxError::Document(failure) => failure,
            SandboxError::Infrastructure { .. } => {
                Self::new(FailureCode::Internal, "The document could not be processed at the moment.")
            }
        }
    }
}
