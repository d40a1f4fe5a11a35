//! The main function of every process.

use std::{fmt::Display, future::Future, process::ExitCode};

use tokio::runtime::Builder;
use tracing::error;

use crate::start_tracing;

/// Starts tracing and an async runtime, and runs `work` to its end. If it fails, its error is the last log message.
pub fn run<E: Display>(work: impl Future<Output = Result<(), E>>) -> ExitCode {
    if let Err(error) = start_tracing("info") {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(%error, "cannot start the async runtime");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = format!("{error:#}");
            error!(error, "stopped with an error");
            ExitCode::FAILURE
        }
    }
}
