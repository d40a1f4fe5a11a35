//! Between the upload and the task: is this a document that we read?

use std::{path::Path, sync::Arc};

use futures_util::{StreamExt, stream};
use quire_tasks::{Failure, FailureCode, SplitDocument};
use tempfile::TempPath;
use tokio::time::timeout;

use crate::{Door, form::Upload};

/// A document that was checked: in the spool with what was found, or why it is refused.
#[derive(Debug)]
pub(crate) struct Checked {
    /// The file name that came with it.
    pub(crate) name: Option<String>,
    /// Deleted when it is dropped.
    pub(crate) file: Result<(TempPath, SplitDocument), Failure>,
}

/// Checks documents, several at a time, and keeps their order.
pub(crate) async fn check(door: &Arc<Door>, uploads: Vec<Upload>) -> Vec<Checked> {
    let checks = uploads.into_iter().map(|upload| check_one(Arc::clone(door), upload));
    stream::iter(checks).buffered(door.settings.max_inspections).collect().await
}

async fn check_one(door: Arc<Door>, Upload { name, file }: Upload) -> Checked {
    let file = match file {
        Ok(path) => inspect(&door, &path).await.map(|split| (path, split)),
        Err(failure) => Err(failure),
    };
    Checked { name, file }
}

/// Inspects a file within the limits of time and processors.
pub(crate) async fn inspect(door: &Door, file: &Path) -> Result<SplitDocument, Failure> {
    let permit = door.inspections.acquire().await;
    let limit = door.settings.inspect_limit;
    let inspected = timeout(limit, door.inspector.inspect(file)).await;
    drop(permit);
    inspected.unwrap_or_else(|_| {
        let message = format!("The document could not be checked within {} s.", limit.as_secs());
        Err(Failure::new(FailureCode::TimedOut, message))
    })
}
