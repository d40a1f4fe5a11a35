//! `quire inspect` and `quire picture`: the child processes in which documents are parsed.

use std::{path::PathBuf, process::ExitCode};

use quire_native_libs::Progress;
use quire_tasks::{Failure, FailureCode};

use crate::cli::DocumentArgs;

/// Validates a document.
pub(crate) fn inspect(args: &DocumentArgs) -> ExitCode {
    quire_submit::inspect_as_child(pdfium(), &args.file)
}

/// Renders pages of a document.
pub(crate) fn picture(args: &DocumentArgs) -> ExitCode {
    quire_submit::render_as_child(pdfium(), &args.file)
}

fn pdfium() -> Result<PathBuf, Failure> {
    let pdfium = quire_native_libs::pdfium(&Progress::Silent);
    pdfium.map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))
}
