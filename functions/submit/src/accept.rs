//! The room behind the door: from checked documents to a stored task.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
pub(crate) use quire_platform::now;
use quire_platform::{Backend, Completion, Error, Result};
use quire_tasks::{Document, DocumentSource, DocumentState, ObjectKey, ReadAs, Task, TaskId, Tenant, TraceParent};
use tokio::{sync::oneshot, time::Instant};
use tracing::{info, warn};

use crate::{
    Door, check::Checked, dispatch::dispatch, limits::charge, options::Options, problem::Problem, task::not_found,
    ticket::Ticket,
};

/// How many documents of one request are stored at a time: enough to hide the disk's latency in a large batch.
const STORE_AT_A_TIME: usize = 8;

/// What becomes a task.
#[derive(Debug)]
pub(crate) struct Submission {
    /// Whose it is.
    pub(crate) tenant: Tenant,
    pub(crate) read_as: ReadAs,
    pub(crate) content: Content,
    pub(crate) options: Options,
    pub(crate) trace: TraceParent,
}

/// What a new task is made of.
#[derive(Debug)]
pub(crate) enum Content {
    /// Documents in hand, in the order sent.
    Files(Vec<Checked>),
    /// A document to be had later.
    Pending { name: Option<String>, source: DocumentSource },
}

/// Makes a task of a submission, under the name that its ticket has. From here on the client may go away: what has begun
/// is finished. When this returns, the task is in the table and no crash loses it; its messages are on their way. The
/// ticket is the caller's to settle, except where there is no task: then it is settled.
pub(crate) async fn accept(door: &Arc<Door>, submission: Submission, ticket: Ticket) -> Result<(Task, Ticket)> {
    let (give, taken) = oneshot::channel();
    door.work.spawn(make(Arc::clone(door), submission, ticket, give));
    taken.await.map_err(|_| Error::Failed { what: "storing a task", why: "it panicked".to_owned() })?
}

async fn make(
    door: Arc<Door>,
    submission: Submission,
    mut ticket: Ticket,
    give: oneshot::Sender<Result<(Task, Ticket)>>,
) {
    let made = match store(&door, submission, &mut ticket).await {
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

async fn store(door: &Arc<Door>, submission: Submission, ticket: &mut Ticket) -> Result<Task> {
    let Submission { tenant, read_as, content, options, trace } = submission;
    let id = ticket.task_id;
    let documents = match content {
        Content::Files(files) => store_files(&door.backend, ticket, files).await?,
        Content::Pending { name, source } => {
            vec![Document::new(1, name, DocumentState::Pending { source })]
        }
    };
    let task = options.of_task(Task::new(id, tenant, now(), documents, None)).with_read_as(read_as).with_trace(trace);
    let created = create(&door.backend, task, ticket).await?;
    ticket.made();
    let task = created.task().clone();
    if created.changed() {
        log(&task);
        charge(door, &task).await;
    }
    if !task.dispatched {
        door.work.spawn(send_messages(Arc::clone(door), task.clone()));
    }
    Ok(task)
}

/// Creates the task, or finds out that it was created although that was answered with an error.
async fn create(backend: &Backend, task: Task, ticket: &mut Ticket) -> Result<Completion> {
    let (id, documents) = (task.id, task.documents.len());
    ticket.making();
    let error = match backend.tasks.create(task).await {
        Ok(created) => return Ok(created),
        Err(error) => error,
    };
    match backend.tasks.task(id).await {
        Ok(task) => return Ok(Completion::Applied(task)),
        Err(Error::NotFound { .. }) => {
            ticket.unmade();
            forget(backend, ticket, documents).await;
        }
        // Whether there is such a task nobody can say now: its documents stay.
        Err(_) => {}
    }
    Err(error)
}

/// Says that there is a new task.
pub(crate) fn log(task: &Task) {
    let trace = task.trace.map(|trace| trace.trace_id());
    let (documents, pages) = (task.documents.len(), task.counts.total());
    let (mode, engine) = (task.read_as.mode.name(), task.read_as.engine.as_ref().map(ToString::to_string));
    info!(
        task.id = %task.id, trace.id = trace, task.documents = documents, task.pages = pages, task.mode = %mode, task.engine = engine,
        "task accepted"
    );
}

async fn send_messages(door: Arc<Door>, task: Task) {
    if let Err(error) = dispatch(&door.backend, &task, task.page_messages().collect()).await {
        warn!(task.id = %task.id, %error, "messages could not be sent; the next sweep sends them");
    }
}

async fn store_files(backend: &Backend, ticket: &Ticket, files: Vec<Checked>) -> Result<Vec<Document>> {
    let count = files.len();
    let puts = (1..).zip(files).map(|(number, file)| store_file(backend.clone(), ticket.task_id, number, file));
    let stored = stream::iter(puts).buffered(STORE_AT_A_TIME).try_collect().await;
    if stored.is_err() {
        forget(backend, ticket, count).await;
    }
    stored
}

async fn store_file(backend: Backend, task_id: TaskId, number: u32, file: Checked) -> Result<Document> {
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

/// Removes the documents of a task that could not be created, unless somebody else may be about to create it. That one
/// stays behind harms nobody but the disk.
async fn forget(backend: &Backend, ticket: &Ticket, documents: usize) {
    if ticket.lapsed() {
        return;
    }
    let task_id = ticket.task_id;
    for document in 1..=documents as u32 {
        let key = ObjectKey::Document { task_id, document };
        if let Err(error) = backend.objects.delete(&key.to_string()).await {
            warn!(task.id = %task_id, %error, "a document of a task that was not created is left behind");
        }
    }
}

/// The task when `enough` is true of it, or as it is when the time is over or the door closes.
pub(crate) async fn wait_until(
    door: &Door,
    mut task: Task,
    within: Duration,
    enough: impl Fn(&Task) -> bool,
) -> Result<Task> {
    let deadline = Instant::now() + within;
    while !enough(&task) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        tokio::select! {
            changed = door.backend.tasks.wait_for_change(task.id, task.version, left) => task = changed?,
            () = door.closing.cancelled() => break,
        }
    }
    Ok(task)
}

/// The task when it has ended, or as it is when a client that waits for it has waited long enough.
pub(crate) async fn ended(door: &Door, task: Task) -> std::result::Result<Task, Problem> {
    let id = task.id;
    let task = wait_until(door, task, door.settings.sync_limit, |task| task.status().ended()).await;
    let task = task.map_err(|error| not_found(error).of(id))?;
    // Its customer no longer wants it.
    if task.expired(now()) { Err(Problem::task_not_found().of(id)) } else { Ok(task) }
}
