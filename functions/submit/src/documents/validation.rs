//! Validates received files before a task is created.

use std::{path::Path, sync::Arc};

use futures_util::{StreamExt, stream};
use quire_document::sniff_file;
use quire_tasks::{DocumentFormat, Failure, FailureCode, SplitDocument, Tenant};
use tempfile::TempPath;
use tokio::time::timeout;

use crate::{state::AppState, tasks::submission::ValidatedFile};

/// A received file.
#[derive(Debug)]
pub struct UploadedFile {
    /// The file name that was sent, without folders.
    pub name: Option<String>,
    /// Its spool file, which is deleted on drop, or why it is refused.
    pub file: Result<TempPath, Failure>,
}

/// Validates files of a tenant concurrently. Returns them in the same order.
pub(crate) async fn validate_files(
    app: &Arc<AppState>,
    tenant: &Tenant,
    files: Vec<UploadedFile>,
) -> Vec<ValidatedFile> {
    let validations = files.into_iter().map(|file| validate_file(Arc::clone(app), tenant.clone(), file));
    stream::iter(validations).buffered(app.settings.max_inspections).collect().await
}

async fn validate_file(app: Arc<AppState>, tenant: Tenant, UploadedFile { name, file }: UploadedFile) -> ValidatedFile {
    let file = match file {
        Ok(path) => inspect_file(&app, &tenant, &path).await.map(|split| (path, split)),
        Err(failure) => Err(failure),
    };
    ValidatedFile { name, file }
}

/// Inspects a file, within the timeout and the tenant's share of the validations of its format.
pub(crate) async fn inspect_file(app: &AppState, tenant: &Tenant, file: &Path) -> Result<SplitDocument, Failure> {
    let path = file.to_owned();
    let format = tokio::task::spawn_blocking(move || sniff_file(&path).ok().flatten()).await.ok().flatten();
    let pool = match format {
        Some(DocumentFormat::Pdf) => &app.pools.pdf_validations,
        _ => &app.pools.image_validations,
    };
    let permit = pool.acquire(tenant.as_str()).await;
    let limit = app.settings.inspect_limit;
    let inspected = timeout(limit, app.inspector.inspect(file)).await;
    drop(permit);
    inspected.unwrap_or_else(|_| {
        let message = format!("Timeout: the document could not be validated within {} s.", limit.as_secs());
        Err(Failure::new(FailureCode::TimedOut, message))
    })
}
