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

/// What became of a batch at the door.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for a request")]
pub enum BatchSubmission {
    /// It is a task now; what was refused of it are failed documents of that task.
    Accepted(Task),
    /// Every document was refused, or there was none: there is no task, and these are the entries of its answer.
    Refused(Vec<DocumentAnswer>),
}

/// Checks uploads and makes a task of those that are documents: `POST /ocr/batch` without HTTP. The task is stored when
/// this returns.
///
/// # Errors
/// [`quire_routes::NotOffered`] when nobody here reads like that, or any [`quire_platform::Error`]; then nothing was
/// stored.
pub async fn submit(
    app: &Arc<AppState>,
    uploads: Vec<UploadedFile>,
    wanted: ReadOptions,
) -> anyhow::Result<BatchSubmission> {
    let ticket = IdempotencyGuard::unkeyed();
    let read_as = app.routing.assign(&app.backend, ticket.task_id, wanted).await??;
    let content = match validated_content(app, uploads).await {
        Ok(content) => content,
        Err(entries) => return Ok(BatchSubmission::Refused(entries)),
    };
    let (tenant, options, trace) = (Tenant::default(), TaskOptions::default(), new_trace());
    let (task, _) = create_task(app, Submission { tenant, read_as, content, options, trace }, ticket).await?;
    Ok(BatchSubmission::Accepted(task))
}

/// The documents among the uploads with what was refused beside them; where there are none, the entries of the answer.
pub(crate) async fn validated_content(
    app: &Arc<AppState>,
    uploads: Vec<UploadedFile>,
) -> Result<TaskContent, Vec<DocumentAnswer>> {
    let files = validate_files(app, uploads).await;
    if files.iter().any(|ValidatedFile { file, .. }| file.is_ok()) {
        return Ok(TaskContent::Files(files));
    }
    let refused = |(number, ValidatedFile { name, file })| {
        file.err().map(|failure| DocumentAnswer::refused(number, name, failure))
    };
    Err((1..).zip(files).filter_map(refused).collect())
}
