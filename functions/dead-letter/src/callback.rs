//! Dead callbacks: the callback is exhausted until an operator redrives it.

use quire_platform::{Backend, Delivery, Error, QueueName, Result, retry_with_backoff};
use quire_tasks::{CallbackMessage, CallbackState, CallbackUpdate, Message, Task};
use quire_telemetry::metrics;
use tracing::warn;

use crate::{
    DeadLetter, DeadLetterKind,
    record::{file_dead_letter, now, trace_id},
};

/// Marks the callback as exhausted and records its dead letter. Drops the message if the callback was delivered,
/// belongs to an earlier round or is a progress event.
///
/// # Errors
/// An error of the backend, after retries. The message is then received again.
pub async fn handle_dead_callback(backend: Backend, delivery: Delivery<CallbackMessage>) -> Result<()> {
    let Delivery { message, reason, lease, .. } = delivery;
    if message.progress.is_some() {
        // The next progress event, or the final callback, supersedes it.
        return lease.acknowledge().await;
    }
    let reason = reason.unwrap_or_else(|| {
        let times = backend.queue(QueueName::Callbacks).settings().max_receives;
        format!("The callback message was received {times} times; the notifier crashed during the last attempt.")
    });
    let update = CallbackUpdate::Exhausted { error: reason.clone() };
    match retry_with_backoff(|| backend.tasks.update_callback(message.task_id, message.round, update.clone())).await {
        Ok(completion) => {
            if completion.changed() {
                metrics::count("CallbacksExhausted", 1);
            }
            let task = completion.task();
            if task.round == message.round && task.callback_state() == CallbackState::Exhausted {
                let trace = trace_id(task);
                warn!(task.id = %task.id, trace.id = trace, reason, "callback exhausted; recording a dead letter");
                file_dead_letter(&backend, &dead_letter_record(task, &message, reason)).await?;
            }
        }
        // The task was deleted: no callback is due.
        Err(Error::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    lease.acknowledge().await
}

fn dead_letter_record(task: &Task, message: &CallbackMessage, reason: String) -> DeadLetter {
    DeadLetter {
        queue: DeadLetterKind::Callbacks,
        name: format!("{}-{}", message.task_id, message.round),
        task_id: Some(message.task_id),
        body: message.encode(),
        reason,
        receives: task.callback.as_ref().map(|callback| callback.attempts),
        filed_at: now(),
    }
}
