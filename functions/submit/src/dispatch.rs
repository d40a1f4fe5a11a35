//! From the task table onto the queues.

use quire_platform::{Home, QueueName, Result, patiently, send};
use quire_tasks::{DocumentMessage, DocumentState, PageMessage, PageStatus, Task, UnixMillis};
use tracing::info;

/// How many tasks a sweep takes from the table at a time: their documents are held in memory.
const SWEEP_BATCH: usize = 100;

/// Sends what a new task needs, and notes that it was sent. Sending twice is harmless: ended pages are not read again.
pub(crate) async fn dispatch(home: &Home, task: &Task, pages: Vec<PageMessage>) -> Result<()> {
    let pending = task.documents.iter().filter(|document| matches!(document.state, DocumentState::Pending { .. }));
    let documents: Vec<DocumentMessage> = pending
        .map(|document| DocumentMessage { task_id: task.id, document: document.number, round: task.round })
        .collect();
    let queue = home.queue(QueueName::Documents);
    patiently(|| send(queue.as_ref(), &task.tenant, documents.clone())).await?;
    send_pages(home, task, pages).await?;
    patiently(|| home.tasks.mark_dispatched(task.id)).await
}

/// Sends messages of a task's pages.
pub(crate) async fn send_pages(home: &Home, task: &Task, pages: Vec<PageMessage>) -> Result<()> {
    let queue = home.queue(QueueName::Pages);
    patiently(|| send(queue.as_ref(), &task.tenant, pages.clone())).await
}

/// The messages of the task's pages that nobody has read yet.
pub(crate) async fn queued_pages(home: &Home, task: &Task) -> Result<Vec<PageMessage>> {
    let pages = patiently(|| home.tasks.pages(task.id)).await?;
    let queued = pages.into_iter().filter(|page| page.status == PageStatus::Queued);
    Ok(queued.map(|page| PageMessage { page: page.page, round: task.round }).collect())
}

/// Sends the messages of tasks that were created before `before` but perhaps never dispatched, because whoever accepted
/// them was killed between the table and the queue; says how many tasks there were.
///
/// # Errors
/// Any [`quire_platform::Error`]; the next sweep goes on where this one ended.
pub async fn sweep(home: &Home, before: UnixMillis) -> Result<usize> {
    let mut swept = 0;
    loop {
        let tasks = home.tasks.undispatched(before, SWEEP_BATCH).await?;
        for task in &tasks {
            let pages = queued_pages(home, task).await?;
            dispatch(home, task, pages).await?;
            info!(task.id = %task.id, "the messages of an interrupted task were sent again");
        }
        swept += tasks.len();
        if tasks.len() < SWEEP_BATCH {
            return Ok(swept);
        }
    }
}
