//! The child processes in which documents are parsed: their program is this one.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use quire_document::DocumentLimits;
use quire_sandbox::{Sandbox, SandboxLimits, SandboxProgram};

/// Returns a sandbox whose children bind this pdfium.
///
/// # Errors
/// When an environment variable is invalid.
pub(crate) fn sandbox(pdfium: PathBuf) -> anyhow::Result<Sandbox> {
    with_limits(pdfium, SandboxLimits::from_env()?)
}

/// Returns a sandbox for a worker: a page takes at most `page_timeout`.
///
/// # Errors
/// As [`sandbox`].
pub(crate) fn sandbox_for_worker(pdfium: PathBuf, page_timeout: Duration) -> anyhow::Result<Sandbox> {
    let limits = SandboxLimits::from_env()?;
    with_limits(pdfium, SandboxLimits { page: limits.page.min(page_timeout), ..limits })
}

fn with_limits(pdfium: PathBuf, limits: SandboxLimits) -> anyhow::Result<Sandbox> {
    let program = SandboxProgram::this().context("cannot find this program's executable")?;
    Ok(Sandbox::new(program, Some(pdfium), DocumentLimits::default(), limits))
}
