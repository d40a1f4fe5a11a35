//! A batch of documents as one task.

use std::sync::Arc;

use quire_tasks::{Task, Tenant};

use crate::{
    documents::validation::{UploadedFile, validate_files},
    state::AppState,
    tasks::{
        answers::DocumentAnswer,
        create_task::create_task,
        idempotency::IdempotencyGuard,
        options::{ReadOptions, TaskOptions},
        submission::{Submission, TaskContent, ValidatedFile},
        trace::new_trace,
    },
};

/// The outcome of [`submit`].
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one per batch")]
pub enum BatchSubmission {
    /// The task. Its refused files are failed documents.
    Accepted(Task),
    /// No task was created, because no file is valid: the entries of the response.
    Refused(Vec<DocumentAnswer>),
}

/// Validates files and creates a task of them: `POST /ocr/batch` without HTTP. The task is stored when this returns.
///
/// # Errors
/// [`quire_routes::NotOffered`] if no engine supports the options, or any [`quire_platform::Error`]. Then nothing is
/// stored.
pub async fn submit(
    app: &Arc<AppState>,
    files: Vec<UploadedFile>,
    read_options: ReadOptions,
) -> anyhow::Result<BatchSubmission> {
    let guard = IdempotencyGuard::unkeyed();
    let read_as = app.routing.assign(&app.backend, guard.task_id, read_options).await??;
    let content = match validate_batch(app, &Tenant::default(), files).await {
        Ok(content) => content,
        Err(entries) => return Ok(BatchSubmission::Refused(entries)),
    };
    let submission =
        Submission { tenant: Tenant::default(), read_as, content, options: TaskOptions::default(), trace: new_trace() };
    let (task, _) = create_task(app, submission, guard).await?;
    Ok(BatchSubmission::Accepted(task))
}

/// Validates the files of a batch. Error: no file is valid; with the entries of the response.
pub(crate) async fn validate_batch(
    app: &Arc<AppState>,
    tenant: &Tenant,
    files: Vec<UploadedFile>,
) -> Result<TaskContent, Vec<DocumentAnswer>> {
    let files = validate_files(app, tenant, files).await;
    if files.iter().any(|ValidatedFile { file, .. }| file.is_ok()) {
        return Ok(TaskContent::Files(files));
    }
    let mut entries = Vec::with_capacity(files.len());
    for (number, ValidatedFile { name, file }) in (1..).zip(files) {
        if let Err(failure) = file {
            entries.push(DocumentAnswer::refused(number, name, failure));
        }
    }
    Err(entries)
}
