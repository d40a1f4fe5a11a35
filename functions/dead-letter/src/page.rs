//! A page that nobody could read: it fails, and its task still ends.

use quire_platform::{
    Backend, Delivery, Error, QueueName, Result, enqueue_callback, file_for_review, forget_page, retry_with_backoff,
};
use quire_tasks::{Failure, FailureCode, Message, Outcome, PageMessage, ReviewEntry, ReviewReason};
use tracing::warn;

use crate::{
    DeadLetter, DeadLetterKind,
    record::{file_dead_letter, now, trace_id},
};

/// Completes the page as failed, owes the callback when that ended the task, and files the letter, and the page for review.
/// Of a task that was canceled, has expired or was deleted nothing changes; what a worker had stored for the page goes.
///
/// # Errors
/// Of the backend, after waiting them out in vain. The message is then received again.
pub async fn handle_dead_page(backend: Backend, delivery: Delivery<PageMessage>) -> Result<()> {
    let Delivery { message, reason, lease, .. } = delivery;
    let times = backend.queue(QueueName::Pages).settings().max_receives;
    let receives = reason.is_none().then_some(times);
    let reason =
        reason.unwrap_or_else(|| format!("The page was taken up {times} times, and whoever read it died each time."));
    let failure = Failure::new(FailureCode::AttemptsExhausted, reason);
    let outcome = Outcome::Failed(failure.clone());
    match retry_with_backoff(|| backend.tasks.complete_page(message.page, message.round, outcome.clone())).await {
        Ok(completion) => {
            enqueue_callback(&backend, completion.task()).await?;
            let kept = !completion.task().expired(now());
            if completion.changed() || (kept && failed_here_before(&backend, &message).await?) {
                warn!(
                    task.id = %message.page.task_id, trace.id = trace_id(completion.task()),
                    document.no = message.page.document, page.no = message.page.page, reason = failure.message, "page given up"
                );
                file_for_review(&backend, &review(&message, &failure)).await?;
                file_dead_letter(&backend, &dead_letter_record(&message, failure.message, receives)).await?;
            } else {
                forget_page(&backend, message.page, message.round).await?;
            }
        }
        // The task was deleted: there is nobody to tell, and nothing to try again.
        Err(Error::NotFound { .. }) => forget_page(&backend, message.page, message.round).await?,
        Err(error) => return Err(error),
    }
    lease.acknowledge().await
}

/// Whether the page failed by this very message, whose burial was then interrupted; it may also have been read, by
/// somebody who could not acknowledge it any more.
async fn failed_here_before(backend: &Backend, message: &PageMessage) -> Result<bool> {
    let page = retry_with_backoff(|| backend.tasks.page(message.page)).await?;
    let exhausted = page.failure.is_some_and(|failure| failure.code == FailureCode::AttemptsExhausted);
    Ok(exhausted && page.round == message.round)
}

fn review(message: &PageMessage, failure: &Failure) -> ReviewEntry {
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
