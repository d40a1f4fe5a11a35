//! Enqueues webhooks: the completion webhook after a task has ended, and progress webhooks before.

use quire_tasks::{CallbackMessage, Task};

use crate::{Backend, Completion, QueueName, Result, retry_with_backoff, send};

/// Enqueues the completion webhook if the task has ended and its webhook is not delivered yet.
///
/// Must be called after every transition that ends a task, before the message that caused it is acknowledged.
/// Idempotent for the receiver: repeated messages lead to the same `webhook-id`.
///
/// # Errors
/// As [`crate::Queue::send`].
pub async fn enqueue_callback(backend: &Backend, task: &Task) -> Result<()> {
    if !task.needs_callback() {
        return Ok(());
    }
    let queue = backend.queue(QueueName::Callbacks);
    let message = CallbackMessage::for_round_end(task.id, task.round);
    retry_with_backoff(|| send(queue.as_ref(), task, [message.clone()])).await
}

/// Enqueues a progress webhook if this very write made one due. Note: a message that is lost with its sender is not
/// sent again; the next one reports more progress, and the completion webhook follows in any case.
///
/// # Errors
/// As [`crate::Queue::send`].
pub async fn enqueue_progress(backend: &Backend, completion: &Completion) -> Result<()> {
    let Completion::Applied(task) = completion else { return Ok(()) };
    let Some(number) = task.progress_due() else { return Ok(()) };
    let queue = backend.queue(QueueName::Callbacks);
    let message = CallbackMessage { task_id: task.id, round: task.round, progress: Some(number) };
    retry_with_backoff(|| send(queue.as_ref(), task, [message.clone()])).await
}
