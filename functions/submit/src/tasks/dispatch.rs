//! Sends the messages of tasks to the queues.

use quire_platform::{Backend, Error, PageBatches, QueueName, Result, retry_with_backoff, send, send_delayed};
use quire_tasks::{
    Document, DocumentJob, DocumentMessage, DocumentSource, DocumentState, ObjectKey, PageMessage, PageStatus, Task,
    UnixMillis,
};
use quire_telemetry::metrics;
use tracing::info;

use crate::limits::UPLOAD_URL_VALID_FOR;

/// The number of tasks that a sweep reads at a time, with their documents in memory.
const SWEEP_BATCH: usize = 100;

/// Page messages in memory at a time.
const SEND_BATCH: usize = 1_000;

/// The pages whose messages are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PagesToSend {
    /// Every page of a new task.
    All,
    /// The queued ones, from the table.
    Queued,
}

/// Sends the messages of a task and marks it as dispatched. Idempotent: pages that have ended are not read again.
pub(crate) async fn dispatch(backend: &Backend, task: &Task, pages: PagesToSend) -> Result<()> {
    let (announced, ready): (Vec<_>, Vec<_>) =
        pending_documents(task).partition(|document| is_announced(task, document));
    let announced: Vec<_> = announced.into_iter().map(|document| message(task, document)).collect();
    let queue = backend.queue(QueueName::Documents);
    retry_with_backoff(|| send_delayed(queue.as_ref(), task, announced.clone(), UPLOAD_URL_VALID_FOR)).await?;
    send_documents(backend, task, ready).await?;
    match pages {
        PagesToSend::All => send_all_pages(backend, task).await?,
        PagesToSend::Queued => send_queued_pages(backend, task, PageBatches::of_task(backend, task.id)).await?,
    }
    match retry_with_backoff(|| backend.tasks.mark_dispatched(task.id)).await {
        // Deleted concurrently: the receivers of its messages find nothing to do.
        Err(Error::NotFound { .. }) => Ok(()),
        marked => marked,
    }
}

/// Returns the documents that are not fetched yet; none if the task has ended.
pub(crate) fn pending_documents(task: &Task) -> impl Iterator<Item = &Document> {
    let open = !task.status().ended();
    task.documents.iter().filter(move |document| open && matches!(document.state, DocumentState::Pending { .. }))
}

/// Whether the document may still be uploaded with the task's upload URL. In a later round the URL has expired.
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

/// Sends the messages of documents that can be fetched now.
pub(crate) async fn send_documents(
    backend: &Backend,
    task: &Task,
    documents: impl IntoIterator<Item = &Document>,
) -> Result<()> {
    let messages: Vec<_> = documents.into_iter().map(|document| message(task, document)).collect();
    let queue = backend.queue(QueueName::Documents);
    retry_with_backoff(|| send(queue.as_ref(), task, messages.clone())).await
}

async fn send_all_pages(backend: &Backend, task: &Task) -> Result<()> {
    let mut messages = task.page_messages();
    loop {
        let batch: Vec<PageMessage> = messages.by_ref().take(SEND_BATCH).collect();
        if batch.is_empty() {
            return Ok(());
        }
        send_pages(backend, task, batch).await?;
    }
}

/// Sends the messages of those of these pages that are queued.
pub(crate) async fn send_queued_pages(backend: &Backend, task: &Task, mut pages: PageBatches<'_>) -> Result<()> {
    while let Some(pages) = pages.next().await? {
        let queued = pages.into_iter().filter(|page| task.status_of(page) == PageStatus::Queued);
        send_pages(backend, task, queued.map(|page| PageMessage::new(task, page.page)).collect()).await?;
    }
    Ok(())
}

/// Sends the messages of pages.
async fn send_pages(backend: &Backend, task: &Task, pages: Vec<PageMessage>) -> Result<()> {
    let queue = backend.queue(QueueName::Pages);
    retry_with_backoff(|| send(queue.as_ref(), task, pages.clone())).await?;
    // Scales workers up from zero: the metrics of SQS itself are minutes late.
    if !pages.is_empty() {
        metrics::count("PagesQueued", pages.len() as u64);
    }
    Ok(())
}

/// Sends the messages of tasks that were created before `before` and not dispatched, because their submitter crashed
/// between the insert and the send. Returns the number of tasks.
///
/// # Errors
/// Any [`quire_platform::Error`]; the next sweep continues.
pub async fn sweep_undispatched(backend: &Backend, before: UnixMillis) -> Result<usize> {
    let mut swept = 0;
    loop {
        let tasks = backend.tasks.list_undispatched(before, SWEEP_BATCH).await?;
        for task in &tasks {
            dispatch(backend, task, PagesToSend::Queued).await?;
            info!(task.id = %task.id, "sent the messages of an interrupted task");
        }
        swept += tasks.len();
        if tasks.len() < SWEEP_BATCH {
            return Ok(swept);
        }
    }
}
