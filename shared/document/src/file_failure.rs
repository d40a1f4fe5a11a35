//! The failure of a document whose file cannot be read.

use std::io;

use quire_tasks::{Failure, FailureCode};

/// The cause is our own disk, not the document.
pub(crate) fn file_failure(error: &io::Error) -> Failure {
    Failure::new(FailureCode::Internal, format!("The document's file cannot be read: {error}."))
}
