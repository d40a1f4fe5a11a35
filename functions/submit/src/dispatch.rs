//! From the task table onto the queues.

use quire_platform::{Backend, Error, QueueName, Result, retry_with_backoff, send, send_delayed};
use quire_tasks::{
    Document, DocumentJob, DocumentMessage, DocumentSource, DocumentState, ObjectKey, PageMessage, PageStatus, Task,
    UnixMillis,
};
use quire_telemetry::metrics;
use tracing::info;

use crate::uploads::VALID_FOR;

/// How many tasks a sweep takes from the table at a time: their documents are held in memory.
const SWEEP_BATCH: usize = 100;

/// Sends what a new task needs, and notes that it was sent. Sending twice is harmless: ended pages are not read again.
pub(crate) async fn dispatch(backend: &Backend, task: &Task, pages: Vec<PageMessage>) -> Result<()> {
    let (announced, ready): (Vec<_>, Vec<_>) = pending(task).partition(|document| is_announced(task, document));
    let announced: Vec<_> = announced.into_iter().map(|document| message(task, document)).collect();
    let queue = backend.queue(QueueName::Documents);
    retry_with_backoff(|| send_delayed(queue.as_ref(), task, announced.clone(), VALID_FOR)).await?;
    send_documents(backend, task, ready).await?;
    send_pages(backend, task, pages).await?;
    match retry_with_backoff(|| backend.tasks.mark_dispatched(task.id)).await {
        // Deleted meanwhile: whoever receives its messages finds nothing to do.
        Err(Error::NotFound { .. }) => Ok(()),
        marked => marked,
    }
}

/// The task's documents that are still to be had: none where it was canceled.
pub(crate) fn pending(task: &Task) -> impl Iterator<Item = &Document> {
    let open = !task.status().ended();
    task.documents.iter().filter(move |document| open && matches!(document.state, DocumentState::Pending { .. }))
}

/// Whether it is to be uploaded under the key that the task gave out: perhaps it has not come yet. In a later round the
/// key takes nothing any more: what has not come by then will not.
fn is_announced(task: &Task, document: &Document) -> bool {
    match &document.state {
        DocumentState::Pending { source: DocumentSource::Inbox { key, .. } } => {
            task.round == 1 && ObjectKey::inbox_task(key) == Some(task.id)
        }
        _ => false,
    }
}

fn message(task: &Task, document: &Document) -> DocumentMessage {
    DocumentMessage { task_id: task.id, document: document.number, round: task.round, job: DocumentJob::Split }
}

/// Sends messages of documents that can be had now.
pub(crate) async fn send_documents(
    backend: &Backend,
    task: &Task,
    documents: impl IntoIterator<Item = &Document>,
) -> Result<()> {
    let messages: Vec<_> = documents.into_iter().map(|document| message(task, document)).collect();
    let queue = backend.queue(QueueName::Documents);
    retry_with_backoff(|| send(queue.as_ref(), task, messages.clone())).await
}

/// Sends messages of a task's pages.
pub(crate) async fn send_pages(backend: &Backend, task: &Task, pages: Vec<PageMessage>) -> Result<()> {
    let queue = backend.queue(QueueName::Pages);
    retry_with_backoff(|| send(queue.as_ref(), task, pages.clone())).await?;
    // Workers that sleep are woken by this: what the queue itself tells comes minutes later.
    if !pages.is_empty() {
        metrics::count("PagesQueued", pages.len() as u64);
    }
    Ok(())
}

/// The messages of the task's pages that nobody has read yet.
pub(crate) async fn queued_pages(backend: &Backend, task: &Task) -> Result<Vec<PageMessage>> {
    let pages = retry_with_backoff(|| backend.tasks.pages(task.id)).await?;
    let queued = pages.into_iter().filter(|page| task.status_of(page) == PageStatus::Queued);
    Ok(queued.map(|page| PageMessage::new(task, page.page)).collect())
}

/// Sends the messages of tasks that were created before `before` but perhaps never dispatched, because whoever accepted
/// them was killed between the table and the queue; says how many tasks there were.
///
/// # Errors
/// Any [`quire_platform::Error`]; the next sweep goes on where this one ended.
pub async fn sweep(backend: &Backend, before: UnixMillis) -> Result<usize> {
    let mut swept = 0;
    loop {
        let tasks = backend.tasks.list_undispatched(before, SWEEP_BATCH).await?;
        for task in &tasks {
            let pages = queued_pages(backend, task).await?;
            dispatch(backend, task, pages).await?;
            info!(task.id = %task.id, "the messages of an interrupted task were sent again");
        }
        swept += tasks.len();
        if tasks.len() < SWEEP_BATCH {
            return Ok(swept);
        }
    }
}
