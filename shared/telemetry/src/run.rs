//! A function's whole life.

use std::{fmt::Display, future::Future, process::ExitCode};

use tokio::runtime::Builder;
use tracing::error;

use crate::start_tracing;

/// Starts tracing and a runtime, and does this to its end; why it failed is the last line of the log.
pub fn run<E: Display>(work: impl Future<Output = Result<(), E>>) -> ExitCode {
    if let Err(error) = start_tracing("info") {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(%error, "no runtime could be started");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = format!("{error:#}");
            error!(error, "stopped");
            ExitCode::FAILURE
        }
    }
}
