//! Files in the spool, while a document is worked on.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::state::AppState;

/// A file to be, in a folder of the spool that goes when it is dropped.
pub(crate) async fn new_spool_file(app: &AppState, prefix: &'static str) -> Result<(TempDir, PathBuf)> {
    let spool = app.backend.objects.spool();
    let made = tokio::task::spawn_blocking(move || tempfile::Builder::new().prefix(prefix).tempdir_in(spool));
    let folder = made.await?.context("the spool cannot be written")?;
    let file = folder.path().join("document");
    Ok((folder, file))
}
