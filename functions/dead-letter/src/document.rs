//! A document that could not be fetched, checked or split: it fails, and its task still ends.

use quire_boot::metrics;
use quire_platform::{Delivery, Error, Home, QueueName, Result, owe_callback, patiently, send};
use quire_tasks::{DocumentMessage, DocumentState, Failure, FailureCode, Message, PageMessage, PageStatus, Task};
use tracing::warn;

use crate::{
    DeadLetter, Kind,
    letter::{file, now, trace_id},
};

/// Settles the document as failed, owes the callback when that ended the task, and files the letter. A document that
/// was split after all has the messages of its pages sent again: perhaps nobody lived to send them.
///
/// # Errors
/// Of the home, after waiting them out in vain. The message is then received again.
pub async fn bury_document(home: Home, delivery: Delivery<DocumentMessage>) -> Result<()> {
    let Delivery { message, reason, lease, .. } = delivery;
    let times = home.queue(QueueName::Documents).settings().max_receives;
    let receives = reason.is_none().then_some(times);
    let reason = reason.unwrap_or_else(|| {
        format!("The document was taken up {times} times, and whoever fetched or split it died each time.")
    });
    let failed = DocumentState::Failed(Failure::new(FailureCode::AttemptsExhausted, reason.clone()));
    match patiently(|| home.tasks.settle_document(message.task_id, message.document, failed.clone())).await {
        Ok(completion) => {
            let task = completion.task();
            owe_callback(&home, task).await?;
            match task.document(message.document).map(|document| &document.state) {
                Some(DocumentState::Split(_)) => send_pages(&home, task, &message).await?,
                Some(DocumentState::Failed(failure)) if failure.code == FailureCode::AttemptsExhausted => {
                    let (number, trace) = (message.document, trace_id(task));
                    warn!(task.id = %task.id, trace.id = trace, document.no = number, reason, "document given up");
                    file(&home, &letter(&message, reason, receives)).await?;
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

async fn send_pages(home: &Home, task: &Task, message: &DocumentMessage) -> Result<()> {
    let pages = patiently(|| home.tasks.pages(task.id)).await?;
    let queued =
        pages.iter().filter(|page| page.status == PageStatus::Queued && page.page.document == message.document);
    let messages: Vec<PageMessage> = queued.map(|page| PageMessage::new(task, page.page)).collect();
    let queue = home.queue(QueueName::Pages);
    patiently(|| send(queue.as_ref(), task, messages.clone())).await?;
    if !messages.is_empty() {
        metrics::count("PagesQueued", messages.len() as u64);
    }
    Ok(())
}

fn letter(message: &DocumentMessage, reason: String, receives: Option<u32>) -> DeadLetter {
    DeadLetter {
        queue: Kind::Documents,
        name: format!("{}-{}-{}", message.task_id, message.document, message.round),
        task_id: Some(message.task_id),
        body: message.encode(),
        reason,
        receives,
        filed_at: now(),
    }
}
