//! The last step of whoever ends a task: the customer is owed a callback.

use quire_tasks::{CallbackMessage, Task};

use crate::{Backend, Completion, QueueName, Result, retry_with_backoff, send};

/// Sends the message that makes the notifier tell the customer, where the task has ended and the customer has not been
/// told. To be called whenever a completed task is met, before the message that led there is acknowledged: owing twice
/// is harmless, since the receiver sees one `webhook-id`.
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

/// Sends the message that makes the notifier tell the customer how far a task is, where this very change owes that. One
/// that is lost with its sender is not sent again: the next one tells more, and the end is told anyway.
///
/// # Errors
/// As [`crate::Queue::send`].
pub async fn enqueue_progress(backend: &Backend, completion: &Completion) -> Result<()> {
    let Completion::Now(task) = completion else { return Ok(()) };
    let Some(number) = task.progress_due() else { return Ok(()) };
    let queue = backend.queue(QueueName::Callbacks);
    let message = CallbackMessage { task_id: task.id, round: task.round, progress: Some(number) };
    retry_with_backoff(|| send(queue.as_ref(), task, [message.clone()])).await
}
