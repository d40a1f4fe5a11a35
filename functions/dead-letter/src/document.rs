//! Dead documents: the document fails, so that its task ends.

use quire_platform::{
    Backend, Delivery, Error, PageBatches, QueueName, Result, enqueue_callback, retry_with_backoff, send,
};
use quire_tasks::{
    DocumentJob, DocumentMessage, DocumentState, Failure, FailureCode, Message, PageMessage, PageStatus, Task,
};
use quire_telemetry::metrics;
use tracing::warn;

use crate::{
    DeadLetter, DeadLetterKind,
    record::{file_dead_letter, now, trace_id},
};

/// Fails the document, enqueues the callback if that ends the task, and records the dead letter. If the document was
/// split, sends the messages of its queued pages again: the splitting process may have crashed before it sent them.
///
/// # Errors
/// An error of the backend, after retries. The message is then received again.
pub async fn handle_dead_document(backend: Backend, delivery: Delivery<DocumentMessage>) -> Result<()> {
    let Delivery { message, reason, lease, .. } = delivery;
    if message.job == DocumentJob::SearchablePdf {
        // Its creation has its own attempt limit, below the queue's, and already returned an error to waiting
        // clients. The task has ended; a new request creates the PDF again.
        warn!(task.id = %message.task_id, "searchable PDF failed");
        return lease.acknowledge().await;
    }
    let times = backend.queue(QueueName::Documents).settings().max_receives;
    // With a reason the message was moved before its last receive, after an unknown number of receives.
    let receives = if reason.is_none() { Some(times) } else { None };
    let reason = reason.unwrap_or_else(|| {
        format!("The document failed {times} times: the process that fetched or split it crashed each time.")
    });
    let failed = DocumentState::Failed(Failure::new(FailureCode::AttemptsExhausted, reason.clone()));
    if is_of_another_round(&backend, &message).await? {
        // It was reopened in a later round, which has messages of its own.
        return lease.acknowledge().await;
    }
    match retry_with_backoff(|| backend.tasks.finish_document(message.task_id, message.document, failed.clone())).await
    {
        Ok(completion) => {
            let task = completion.task();
            enqueue_callback(&backend, task).await?;
            match task.document(message.document).map(|document| &document.state) {
                Some(DocumentState::Split(_)) if !task.status().ended() => send_pages(&backend, task, &message).await?,
                Some(DocumentState::Failed(failure))
                    if failure.code == FailureCode::AttemptsExhausted && !task.expired(now()) =>
                {
                    let document = message.document;
                    let trace = trace_id(task);
                    warn!(task.id = %task.id, trace.id = trace, document.no = document, reason, "document failed");
                    file_dead_letter(&backend, &dead_letter_record(&message, reason, receives)).await?;
                }
                _ => {}
            }
        }
        // The task was deleted: no callback is due, and nothing can be redriven.
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
    let pages = PageBatches::of_document(backend, task.id, message.document).collect().await?;
    let queued = pages.iter().filter(|page| task.status_of(page) == PageStatus::Queued);
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
