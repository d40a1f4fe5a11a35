//! Creates a task: stores its documents, inserts it into the task table, and dispatches its messages.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use quire_platform::{Backend, Completion, Error, Result, now};
use quire_tasks::{Document, DocumentState, ObjectKey, Task, TaskId};
use quire_tenants::ReserveError;
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::{
    state::AppState,
    tasks::{
        charge,
        dispatch::{PagesToSend, dispatch},
        idempotency::IdempotencyGuard,
        submission::{Submission, TaskContent, ValidatedFile},
    },
};

/// The number of documents of one request that are stored concurrently, to hide the latency of the store.
const STORE_CONCURRENCY: usize = 8;

/// Why a task was not stored.
#[derive(Debug)]
struct StoreError {
    error: Error,
    /// Whether the task may exist nevertheless, because the response to its insertion was lost.
    may_exist: bool,
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        Self { error, may_exist: false }
    }
}

/// Creates a task with the id of the guard, after its pages, its bytes and the task itself are reserved. It runs in the
/// background, so that it is finished even if the client disconnects. When this returns, the task is durable, and its
/// messages are being sent. The caller must finish the guard; on an error it is already finished.
pub(crate) async fn create_task(
    app: &Arc<AppState>,
    submission: Submission,
    guard: IdempotencyGuard,
) -> Result<(Task, IdempotencyGuard), ReserveError> {
    let (sender, receiver) = oneshot::channel();
    app.work.spawn(run(Arc::clone(app), submission, guard, sender));
    let panicked = |_| Error::Failed { what: "storing a task", why: "it panicked".to_owned() };
    receiver.await.map_err(panicked)?
}

async fn run(
    app: Arc<AppState>,
    submission: Submission,
    mut guard: IdempotencyGuard,
    sender: oneshot::Sender<Result<(Task, IdempotencyGuard), ReserveError>>,
) {
    let created = match store_task(&app, submission, &mut guard).await {
        Ok(task) => Ok((task, guard)),
        Err(error) => {
            guard.finish().await;
            Err(error)
        }
    };
    if let Err(Ok((_, guard))) = sender.send(created) {
        // The client has disconnected.
        guard.finish().await;
    }
}

async fn store_task(
    app: &Arc<AppState>,
    submission: Submission,
    guard: &mut IdempotencyGuard,
) -> Result<Task, ReserveError> {
    let tenant = submission.tenant.clone();
    let reservation = charge::of_submission(guard.task_id, &submission.content);
    charge::reserve(app, &tenant, &reservation).await?;
    let stored = store_reserved(app, submission, guard).await;
    // If it is unknown whether the task exists, the reservation is resolved later.
    if !matches!(stored, Err(StoreError { may_exist: true, .. })) {
        charge::settle(app, &tenant, &reservation, stored.is_ok()).await;
    }
    let task = stored.map_err(|StoreError { error, .. }| error)?;
    if !task.dispatched {
        app.work.spawn(send_messages(Arc::clone(app), task.clone()));
    }
    Ok(task)
}

async fn store_reserved(
    app: &Arc<AppState>,
    submission: Submission,
    guard: &mut IdempotencyGuard,
) -> Result<Task, StoreError> {
    let Submission { tenant, read_as, content, options, trace } = submission;
    let id = guard.task_id;
    let documents = match content {
        TaskContent::Files(files) => store_files(&app.backend, guard, files).await?,
        TaskContent::Pending { name, source } => {
            vec![Document::new(1, name, DocumentState::Pending { source })]
        }
    };
    let task = options.apply(Task::new(id, tenant, now(), documents, None)).with_read_as(read_as).with_trace(trace);
    let created = insert_task(&app.backend, task, guard).await?;
    guard.mark_created();
    if created.changed() {
        log_accepted(created.task());
    }
    Ok(created.task().clone())
}

/// Inserts the task. After an error it checks whether the task exists anyway, since the response may have been lost.
async fn insert_task(backend: &Backend, task: Task, guard: &mut IdempotencyGuard) -> Result<Completion, StoreError> {
    let id = task.id;
    let documents = task.documents.len();
    guard.mark_pending();
    let error = match backend.tasks.create(task).await {
        Ok(created) => return Ok(created),
        Err(error) => error,
    };
    match backend.tasks.task(id).await {
        Ok(task) => return Ok(Completion::Applied(task)),
        Err(Error::NotFound { .. }) => {
            guard.mark_refused();
            delete_documents(backend, guard, documents).await;
        }
        // Unknown whether the task exists: its documents must stay.
        Err(_) => return Err(StoreError { error, may_exist: true }),
    }
    Err(error.into())
}

/// Logs that a task was created.
pub(crate) fn log_accepted(task: &Task) {
    let trace = task.trace.map(|trace| trace.trace_id());
    let engine = task.read_as.engine.as_ref().map(ToString::to_string);
    info!(
        task.id = %task.id,
        trace.id = trace,
        task.documents = task.documents.len(),
        task.pages = task.counts.total(),
        task.mode = %task.read_as.mode.name(),
        task.engine = engine,
        "task accepted"
    );
}

async fn send_messages(app: Arc<AppState>, task: Task) {
    if let Err(error) = dispatch(&app.backend, &task, PagesToSend::All).await {
        warn!(task.id = %task.id, %error, "cannot send messages; the next sweep sends them");
    }
}

async fn store_files(backend: &Backend, guard: &IdempotencyGuard, files: Vec<ValidatedFile>) -> Result<Vec<Document>> {
    let count = files.len();
    let puts = (1..).zip(files).map(|(number, file)| store_file(backend.clone(), guard.task_id, number, file));
    let stored = stream::iter(puts).buffered(STORE_CONCURRENCY).try_collect().await;
    if stored.is_err() {
        delete_documents(backend, guard, count).await;
    }
    stored
}

async fn store_file(backend: Backend, task_id: TaskId, number: u32, file: ValidatedFile) -> Result<Document> {
    let state = match file.file {
        Ok((path, split)) => {
            let key = ObjectKey::Document { task_id, document: number };
            backend.objects.put_file(&key.to_string(), &path).await?;
            DocumentState::Split(split)
        }
        Err(failure) => DocumentState::Failed(failure),
    };
    Ok(Document::new(number, file.name, state))
}

/// Cleans up the documents of a task that could not be created. If the guard has expired, another request may be
/// creating the task with the same id, and nothing is deleted. An orphaned document only takes storage.
async fn delete_documents(backend: &Backend, guard: &IdempotencyGuard, documents: usize) {
    if guard.is_expired() {
        return;
    }
    let task_id = guard.task_id;
    for document in 1..=documents as u32 {
        let key = ObjectKey::Document { task_id, document };
        if let Err(error) = backend.objects.delete(&key.to_string()).await {
            warn!(task.id = %task_id, %error, "cannot delete a document of a task that was not created");
        }
    }
}
