//! What is done with a document in a process of its own: the child's side.

use std::{path::PathBuf, process::ExitCode};

use quire_native_libs::Progress;
use quire_tasks::{Failure, FailureCode};

use crate::cli;

/// The check at the door.
pub(crate) fn inspect(args: &cli::Inspect) -> ExitCode {
    quire_submit::inspect_as_child(pdfium(), &args.file)
}

/// Pictures of its pages.
pub(crate) fn picture(args: &cli::Inspect) -> ExitCode {
    quire_submit::render_as_child(pdfium(), &args.file)
}

fn pdfium() -> Result<PathBuf, Failure> {
    let pdfium = quire_native_libs::pdfium(&Progress::Silent);
    pdfium.map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))
}
