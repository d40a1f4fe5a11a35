//! The check of a document in a process of its own: the child's side.

use std::process::ExitCode;

use quire_natives::Progress;
use quire_tasks::{Failure, FailureCode};

use crate::cli;

pub(crate) fn inspect(args: &cli::Inspect) -> ExitCode {
    let pdfium = quire_natives::pdfium(&Progress::Silent);
    let pdfium = pdfium.map_err(|error| Failure::new(FailureCode::Internal, error.to_string()));
    quire_submit::inspect_as_child(pdfium, &args.file)
}
