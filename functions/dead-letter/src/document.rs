//! A document that could not be fetched, checked or split: it fails, and its task still ends.

use quire_platform::{Backend, Delivery, Error, QueueName, Result, enqueue_callback, retry_with_backoff, send};
use quire_tasks::{
    DocumentJob, DocumentMessage, DocumentState, Failure, FailureCode, Message, PageMessage, PageStatus, Task,
};
use quire_telemetry::metrics;
use tracing::warn;

use crate::{
    DeadLetter, DeadLetterKind,
    record::{file_dead_letter, now, trace_id},
};

/// Settles the document as failed, owes the callback when that ended the task, and files the letter. A document that
/// was split after all has the messages of its pages sent again: perhaps nobody lived to send them.
///
/// # Errors
/// Of the backend, after waiting them out in vain. The message is then received again.
pub async fn handle_dead_document(backend: Backend, delivery: Delivery<DocumentMessage>) -> Result<()> {
    let Delivery { message, reason, lease, .. } = delivery;
    if message.job == DocumentJob::SearchablePdf {
        // Whoever makes it has given it up earlier than its queue, and said so to those who wait. Its task has ended, and
        // nobody has it made again but who asks for it.
        warn!(task.id = %message.task_id, "a searchable PDF was given up");
        return lease.acknowledge().await;
    }
    let times = backend.queue(QueueName::Documents).settings().max_receives;
    let receives = reason.is_none().then_some(times);
    let reason = reason.unwrap_or_else(|| {
        format!("The document was taken up {times} times, and whoever fetched or split it died each time.")
    });
    let failed = DocumentState::Failed(Failure::new(FailureCode::AttemptsExhausted, reason.clone()));
    if is_of_another_round(&backend, &message).await? {
        // Somebody has had it fetched once more since: that has messages of its own.
        return lease.acknowledge().await;
    }
    match retry_with_backoff(|| backend.tasks.settle_document(message.task_id, message.document, failed.clone())).await
    {
        Ok(completion) => {
            let task = completion.task();
            enqueue_callback(&backend, task).await?;
            match task.document(message.document).map(|document| &document.state) {
                Some(DocumentState::Split(_)) if !task.status().ended() => send_pages(&backend, task, &message).await?,
                Some(DocumentState::Failed(failure))
                    if failure.code == FailureCode::AttemptsExhausted && !task.expired(now()) =>
                {
                    let (number, trace) = (message.document, trace_id(task));
                    warn!(task.id = %task.id, trace.id = trace, document.no = number, reason, "document given up");
                    file_dead_letter(&backend, &dead_letter_record(&message, reason, receives)).await?;
                }
                _ => {}
            }
        }
        // The task was deleted: there is nobody to tell, and nothing to try again.
        Err(Error::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    lease.acknowledge().await
}

async fn is_of_another_round(backend: &Backend, message: &DocumentMessage) -> Result<bool> {
    match retry_with_backoff(|| backend.tasks.task(message.task_id)).await {
        Ok(task) => {
            let waits = task.document(message.document).map(|document| &document.state);
            Ok(task.round != message.round && matches!(waits, Some(DocumentState::Pending { .. })))
        }
        Err(Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn send_pages(backend: &Backend, task: &Task, message: &DocumentMessage) -> Result<()> {
    let pages = retry_with_backoff(|| backend.tasks.pages(task.id)).await?;
    let queued = pages
        .iter()
        .filter(|page| task.status_of(page) == PageStatus::Queued && page.page.document == message.document);
    let messages: Vec<PageMessage> = queued.map(|page| PageMessage::new(task, page.page)).collect();
    let queue = backend.queue(QueueName::Pages);
    retry_with_backoff(|| send(queue.as_ref(), task, messages.clone())).await?;
    if !messages.is_empty() {
        metrics::count("PagesQueued", messages.len() as u64);
    }
    Ok(())
}

fn dead_letter_record(message: &DocumentMessage, reason: String, receives: Option<u32>) -> DeadLetter {
    DeadLetter {
        queue: DeadLetterKind::Documents,
        name: format!("{}-{}-{}", message.task_id, message.document, message.round),
        task_id: Some(message.task_id),
        body: message.encode(),
        reason,
        receives,
        filed_at: now(),
    }
}
