//! Between the upload and the task: is this a document that we read?

use std::{path::Path, sync::Arc};

use futures_util::{StreamExt, stream};
use quire_tasks::{Failure, FailureCode, Split};
use tempfile::TempPath;
use tokio::time::timeout;

use crate::{state::AppState, tasks::submission::ValidatedFile};

/// A file in the spool, or why it is not there.
#[derive(Debug)]
pub struct UploadedFile {
    /// The file name that came with it, without folders.
    pub name: Option<String>,
    /// Deleted when it is dropped.
    pub file: Result<TempPath, Failure>,
}

/// Checks documents, several at a time, and keeps their order.
pub(crate) async fn validate_files(app: &Arc<AppState>, uploads: Vec<UploadedFile>) -> Vec<ValidatedFile> {
    let checks = uploads.into_iter().map(|upload| validate_file(Arc::clone(app), upload));
    stream::iter(checks).buffered(app.settings.max_inspections).collect().await
}

async fn validate_file(app: Arc<AppState>, UploadedFile { name, file }: UploadedFile) -> ValidatedFile {
    let file = match file {
        Ok(path) => inspect_file(&app, &path).await.map(|split| (path, split)),
        Err(failure) => Err(failure),
    };
    ValidatedFile { name, file }
}

/// Inspects a file within the limits of time and processors.
pub(crate) async fn inspect_file(app: &AppState, file: &Path) -> Result<Split, Failure> {
    let permit = app.inspections.acquire().await;
    let limit = app.settings.inspect_limit;
    let inspected = timeout(limit, app.inspector.inspect(file)).await;
    drop(permit);
    inspected.unwrap_or_else(|_| {
        let message = format!("The document could not be checked within {} s.", limit.as_secs());
        Err(Failure::new(FailureCode::TimedOut, message))
    })
}
