//! The child processes in which documents are parsed: their program is this one.

use std::path::{Path, PathBuf};

use anyhow::Context;
use quire_document::DocumentLimits;
use quire_sandbox::{Sandbox, SandboxLimits, SandboxProgram, font_folders_from_env};

/// The lock file in the data folder: of all children of the processes that use the folder, one at a time may use much
/// memory.
const LARGE_CHILD_LOCK: &str = "large-document.lock";

/// Returns a sandbox whose children bind this pdfium. Without a data folder, e.g. on AWS, this process shares its
/// memory with no other one.
///
/// # Errors
/// When an environment variable is invalid.
pub(crate) fn sandbox(pdfium: PathBuf, data: Option<&Path>) -> anyhow::Result<Sandbox> {
    with_limits(pdfium, data, SandboxLimits::from_env()?)
}

/// As [`sandbox`], with other limits.
///
/// # Errors
/// When the path of this program is unknown or an environment variable is invalid.
pub(crate) fn with_limits(pdfium: PathBuf, data: Option<&Path>, limits: SandboxLimits) -> anyhow::Result<Sandbox> {
    let program = SandboxProgram::this().context("cannot find this program's executable")?;
    let documents = DocumentLimits::default();
    let sandbox = match data {
        Some(data) => Sandbox::sharing_memory(program, Some(pdfium), documents, limits, data.join(LARGE_CHILD_LOCK)),
        None => Sandbox::new(program, Some(pdfium), documents, limits),
    };
    Ok(sandbox.with_fonts(font_folders_from_env()?))
}
