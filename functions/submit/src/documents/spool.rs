//! Temporary files in the spool.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::state::AppState;

/// Creates a temporary folder in the spool. Returns it with the path of a file in it, which does not exist yet. The
/// folder is deleted on drop.
pub(crate) async fn new_spool_file(app: &AppState, prefix: &'static str) -> Result<(TempDir, PathBuf)> {
    let spool = app.backend.objects.spool();
    let created = tokio::task::spawn_blocking(move || tempfile::Builder::new().prefix(prefix).tempdir_in(spool));
    let folder = created.await?.context("cannot write to the spool")?;
    let file = folder.path().join("document");
    Ok((folder, file))
}
