//! Dead pages: the page fails, so that its task ends.

use quire_platform::{
    Backend, Delivery, Error, QueueName, Result, delete_orphaned_page, enqueue_callback, file_for_review,
    retry_with_backoff,
};
use quire_tasks::{Failure, FailureCode, Message, Outcome, PageMessage, ReviewEntry, ReviewReason};
use tracing::warn;

use crate::{
    DeadLetter, DeadLetterKind,
    record::{file_dead_letter, now, trace_id},
};

/// Fails the page, enqueues the callback if that ends the task, records the dead letter, and files the page for
/// review. If the task was canceled, has expired or was deleted, only deletes the text that a worker stored for the
/// page.
///
/// # Errors
/// An error of the backend, after retries. The message is then received again.
pub async fn handle_dead_page(backend: Backend, delivery: Delivery<PageMessage>) -> Result<()> {
    let Delivery { message, reason, lease, .. } = delivery;
    let times = backend.queue(QueueName::Pages).settings().max_receives;
    // With a reason the message was moved before its last receive, after an unknown number of receives.
    let receives = if reason.is_none() { Some(times) } else { None };
    let reason = reason.unwrap_or_else(|| {
        format!("The page failed {times} times: its worker crashed or exceeded the visibility timeout each time.")
    });
    let failure = Failure::new(FailureCode::AttemptsExhausted, reason);
    let outcome = Outcome::Failed(failure.clone());
    match retry_with_backoff(|| backend.tasks.complete_page(message.page, message.round, outcome.clone())).await {
        Ok(completion) => {
            enqueue_callback(&backend, completion.task()).await?;
            let is_current = !completion.task().expired(now());
            if completion.changed() || (is_current && failed_here_before(&backend, &message).await?) {
                warn!(
                    task.id = %message.page.task_id, trace.id = trace_id(completion.task()),
                    document.no = message.page.document, page.no = message.page.page, reason = failure.message,
                    "page failed; recording a dead letter"
                );
                file_for_review(&backend, &review_entry(&message, &failure)).await?;
                file_dead_letter(&backend, &dead_letter_record(&message, failure.message, receives)).await?;
            } else {
                delete_orphaned_page(&backend, message.page, message.round).await?;
            }
        }
        // The task was deleted: no callback is due, and nothing can be redriven.
        Err(Error::NotFound { .. }) => delete_orphaned_page(&backend, message.page, message.round).await?,
        Err(error) => return Err(error),
    }
    lease.acknowledge().await
}

/// Returns whether this message failed the page before a crash interrupted its handling. The page may also have been
/// read by a worker that could not acknowledge the message any more.
async fn failed_here_before(backend: &Backend, message: &PageMessage) -> Result<bool> {
    let page = retry_with_backoff(|| backend.tasks.page(message.page)).await?;
    let exhausted = page.failure.is_some_and(|failure| failure.code == FailureCode::AttemptsExhausted);
    Ok(exhausted && page.round == message.round)
}

fn review_entry(message: &PageMessage, failure: &Failure) -> ReviewEntry {
    ReviewEntry {
        page: message.page,
        round: message.round,
        reason: ReviewReason::Unreadable,
        detail: failure.to_string(),
        engine: message.read_as.engine.clone(),
        confidence: None,
        filed_at: now(),
        claim: None,
    }
}

fn dead_letter_record(message: &PageMessage, reason: String, receives: Option<u32>) -> DeadLetter {
    let PageMessage { page, round, .. } = message;
    DeadLetter {
        queue: DeadLetterKind::Pages,
        name: format!("{}-{}-{}-{round}", page.task_id, page.document, page.page),
        task_id: Some(page.task_id),
        body: message.encode(),
        reason,
        receives,
        filed_at: now(),
    }
}
