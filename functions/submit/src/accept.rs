//! The room behind the door: from checked documents to a stored task.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::{StreamExt, TryStreamExt, stream};
use quire_platform::{Error, Home, Result};
use quire_tasks::{Document, DocumentState, Key, ReadAs, Source, Task, TaskId, Tenant, TraceParent, UnixMillis};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::{Door, check::Checked, dispatch::dispatch, routing::Assigned};

/// How many documents of one request are stored at a time: enough to hide the disk's latency in a large batch.
const STORE_AT_A_TIME: usize = 8;

/// What becomes a task.
#[derive(Debug)]
pub(crate) struct Submission {
    /// The task's name.
    pub(crate) id: TaskId,
    pub(crate) read_as: ReadAs,
    pub(crate) content: Content,
    pub(crate) callback_url: Option<String>,
    pub(crate) trace: TraceParent,
}

/// What a new task is made of.
#[derive(Debug)]
pub(crate) enum Content {
    /// Documents in hand, in the order sent.
    Files(Vec<Checked>),
    /// A document to be had later.
    Pending { name: Option<String>, source: Source },
}

impl Submission {
    /// A submission of this content.
    pub(crate) fn new(assigned: Assigned, content: Content, callback_url: Option<String>, trace: TraceParent) -> Self {
        let Assigned { id, read_as } = assigned;
        Self { id, read_as, content, callback_url, trace }
    }
}

/// Makes a task of a submission. From here on the client may go away: what has begun is finished. When this returns,
/// the task is in the table and no crash loses it; its messages are on their way.
pub(crate) async fn accept(door: &Arc<Door>, submission: Submission) -> Result<Task> {
    let stored = door.work.spawn(store(Arc::clone(door), submission));
    stored.await.map_err(|error| Error::Failed { what: "storing a task", why: error.to_string() })?
}

async fn store(door: Arc<Door>, submission: Submission) -> Result<Task> {
    let Submission { id: task_id, read_as, content, callback_url, trace } = submission;
    let documents = match content {
        Content::Files(files) => store_files(&door.home, task_id, files).await?,
        Content::Pending { name, source } => {
            vec![Document::new(1, name, DocumentState::Pending { source })]
        }
    };
    let task = Task::new(task_id, Tenant::default(), now(), documents, callback_url).read_as(read_as).traced(trace);
    let task = match door.home.tasks.create(task.clone()).await {
        Ok(created) => created.task().clone(),
        Err(error) => {
            forget(&door.home, task_id, task.documents.len()).await;
            return Err(error);
        }
    };
    log(&task);
    door.work.spawn(send_messages(Arc::clone(&door), task.clone()));
    Ok(task)
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
    if let Err(error) = dispatch(&door.home, &task, task.page_messages().collect()).await {
        warn!(task.id = %task.id, %error, "messages could not be sent; the next sweep sends them");
    }
}

async fn store_files(home: &Home, task_id: TaskId, files: Vec<Checked>) -> Result<Vec<Document>> {
    let count = files.len();
    let puts = (1..).zip(files).map(|(number, file)| store_file(home.clone(), task_id, number, file));
    let stored = stream::iter(puts).buffered(STORE_AT_A_TIME).try_collect().await;
    if stored.is_err() {
        forget(home, task_id, count).await;
    }
    stored
}

async fn store_file(home: Home, task_id: TaskId, number: u32, file: Checked) -> Result<Document> {
    let state = match file.file {
        Ok((path, split)) => {
            let key = Key::Document { task_id, document: number };
            home.objects.put_file(&key.to_string(), &path).await?;
            DocumentState::Split(split)
        }
        Err(failure) => DocumentState::Failed(failure),
    };
    Ok(Document::new(number, file.name, state))
}

/// Removes the documents of a task that could not be created. That one stays behind harms nobody but the disk.
async fn forget(home: &Home, task_id: TaskId, documents: usize) {
    for document in 1..=documents as u32 {
        let key = Key::Document { task_id, document };
        if let Err(error) = home.objects.delete(&key.to_string()).await {
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
            changed = door.home.tasks.changed(task.id, task.version, left) => task = changed?,
            () = door.closing.cancelled() => break,
        }
    }
    Ok(task)
}

pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(since.as_millis() as i64)
}
