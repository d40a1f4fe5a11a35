//! Errors, by what to do next.

use quire_tasks::{Failure, FailureCode};

/// Why Tesseract has not read a page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TesseractError {
    /// The program or a language is not installed. Decision: count a failure of the engine, and do without it.
    #[error("{0}")]
    NotInstalled(String),
    /// The program failed on this page. Decision: fail the page with this engine.
    #[error("{0}")]
    Failed(String),
    /// It was not ready within the timeout. Decision: fail the page with this engine.
    #[error("reading it took longer than {0} s")]
    TimedOut(u64),
}

impl TesseractError {
    /// Returns the failure for the customer, without output of the program.
    pub fn failure(&self) -> Failure {
        match self {
            Self::NotInstalled(_) => Failure::new(FailureCode::ModelFailed, "the engine is unavailable"),
            Self::Failed(_) => Failure::new(FailureCode::ModelFailed, "the engine failed on this page"),
            Self::TimedOut(_) => Failure::new(FailureCode::TimedOut, self.to_string()),
        }
    }
}
