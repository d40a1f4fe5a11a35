//! The room behind the door: from checked documents to a stored task.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use quire_platform::{Backend, Completion, Error, Result};
use quire_tasks::{Document, DocumentState, Key, Task, TaskId};
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::{
    state::AppState,
    tasks::{
        charge::charge,
        dispatch::dispatch,
        idempotency::IdempotencyGuard,
        submission::{Submission, TaskContent, ValidatedFile},
    },
    time::now,
};

/// How many documents of one request are stored at a time: enough to hide the disk's latency in a large batch.
const STORE_AT_A_TIME: usize = 8;

/// Makes a task of a submission, under the name that its ticket has. From here on the client may go away: what has begun
/// is finished. When this returns, the task is in the table and no crash loses it; its messages are on their way. The
/// ticket is the caller's to settle, except where there is no task: then it is settled.
pub(crate) async fn create_task(
    app: &Arc<AppState>,
    submission: Submission,
    ticket: IdempotencyGuard,
) -> Result<(Task, IdempotencyGuard)> {
    let (give, taken) = oneshot::channel();
    app.work.spawn(make(Arc::clone(app), submission, ticket, give));
    taken.await.map_err(|_| Error::Failed { what: "storing a task", why: "it panicked".to_owned() })?
}

async fn make(
    app: Arc<AppState>,
    submission: Submission,
    mut ticket: IdempotencyGuard,
    give: oneshot::Sender<Result<(Task, IdempotencyGuard)>>,
) {
    let made = match store(&app, submission, &mut ticket).await {
        Ok(task) => Ok((task, ticket)),
        Err(error) => {
            ticket.settle().await;
            Err(error)
        }
    };
    if let Err(Ok((_, ticket))) = give.send(made) {
        // Nobody waits for the answer any more.
        ticket.settle().await;
    }
}

async fn store(app: &Arc<AppState>, submission: Submission, ticket: &mut IdempotencyGuard) -> Result<Task> {
    let Submission { tenant, read_as, content, options, trace } = submission;
    let id = ticket.task_id;
    let documents = match content {
        TaskContent::Files(files) => store_files(&app.backend, ticket, files).await?,
        TaskContent::Pending { name, source } => {
            vec![Document::new(1, name, DocumentState::Pending { source })]
        }
    };
    let task = options.of_task(Task::new(id, tenant, now(), documents, None)).read_as(read_as).traced(trace);
    let created = insert_task(&app.backend, task, ticket).await?;
    ticket.mark_created();
    let task = created.task().clone();
    if created.changed() {
        log_accepted(&task);
        charge(app, &task).await;
    }
    if !task.dispatched {
        app.work.spawn(send_messages(Arc::clone(app), task.clone()));
    }
    Ok(task)
}

/// Creates the task, or finds out that it was created although that was answered with an error.
async fn insert_task(backend: &Backend, task: Task, ticket: &mut IdempotencyGuard) -> Result<Completion> {
    let (id, documents) = (task.id, task.documents.len());
    ticket.mark_pending();
    let error = match backend.tasks.create(task).await {
        Ok(created) => return Ok(created),
        Err(error) => error,
    };
    match backend.tasks.task(id).await {
        Ok(task) => return Ok(Completion::Now(task)),
        Err(Error::NotFound { .. }) => {
            ticket.mark_refused();
            forget(backend, ticket, documents).await;
        }
        // Whether there is such a task nobody can say now: its documents stay.
        Err(_) => {}
    }
    Err(error)
}

/// Says that there is a new task.
pub(crate) fn log_accepted(task: &Task) {
    let trace = task.trace.map(|trace| trace.trace_id());
    let (documents, pages) = (task.documents.len(), task.counts.total());
    let (mode, engine) = (task.read_as.mode.name(), task.read_as.engine.as_ref().map(ToString::to_string));
    info!(
        task.id = %task.id, trace.id = trace, task.documents = documents, task.pages = pages, task.mode = %mode, task.engine = engine,
        "task accepted"
    );
}

async fn send_messages(app: Arc<AppState>, task: Task) {
    if let Err(error) = dispatch(&app.backend, &task, task.page_messages().collect()).await {
        warn!(task.id = %task.id, %error, "messages could not be sent; the next sweep sends them");
    }
}

async fn store_files(backend: &Backend, ticket: &IdempotencyGuard, files: Vec<ValidatedFile>) -> Result<Vec<Document>> {
    let count = files.len();
    let puts = (1..).zip(files).map(|(number, file)| store_file(backend.clone(), ticket.task_id, number, file));
    let stored = stream::iter(puts).buffered(STORE_AT_A_TIME).try_collect().await;
    if stored.is_err() {
        forget(backend, ticket, count).await;
    }
    stored
}

async fn store_file(backend: Backend, task_id: TaskId, number: u32, file: ValidatedFile) -> Result<Document> {
    let state = match file.file {
        Ok((path, split)) => {
            let key = Key::Document { task_id, document: number };
            backend.objects.put_file(&key.to_string(), &path).await?;
            DocumentState::Split(split)
        }
        Err(failure) => DocumentState::Failed(failure),
    };
    Ok(Document::new(number, file.name, state))
}

/// Removes the documents of a task that could not be created, unless somebody else may be about to create it. That one
/// stays behind harms nobody but the disk.
async fn forget(backend: &Backend, ticket: &IdempotencyGuard, documents: usize) {
    if ticket.is_expired() {
        return;
    }
    let task_id = ticket.task_id;
    for document in 1..=documents as u32 {
        let key = Key::Document { task_id, document };
        if let Err(error) = backend.objects.delete(&key.to_string()).await {
            warn!(task.id = %task_id, %error, "a document of a task that was not created is left behind");
        }
    }
}
