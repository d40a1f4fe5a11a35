//! A callback that its receiver did not take: it is given up until an operator says otherwise.

use quire_platform::{Backend, Delivery, Error, QueueName, Result, retry_with_backoff};
use quire_tasks::{CallbackMessage, CallbackState, CallbackUpdate, Message, Task};
use quire_telemetry::metrics;
use tracing::warn;

use crate::{
    DeadLetter, DeadLetterKind,
    record::{file_dead_letter, now, trace_id},
};

/// Notes that the callback is exhausted, and files the letter. One that was delivered after all, of an earlier round, or of
/// no more than progress, is dropped.
///
/// # Errors
/// Of the backend, after waiting them out in vain. The message is then received again.
pub async fn handle_dead_callback(backend: Backend, delivery: Delivery<CallbackMessage>) -> Result<()> {
    let Delivery { message, reason, lease, .. } = delivery;
    if message.progress.is_some() {
        // The next one tells more, and the end is told anyway.
        return lease.acknowledge().await;
    }
    let reason = reason.unwrap_or_else(|| {
        let times = backend.queue(QueueName::Callbacks).settings().max_receives;
        format!("The callback was taken up {times} times, and whoever delivered it died the last time.")
    });
    let update = CallbackUpdate::Exhausted { error: reason.clone() };
    match retry_with_backoff(|| backend.tasks.update_callback(message.task_id, message.round, update.clone())).await {
        Ok(completion) => {
            if completion.changed() {
                metrics::count("CallbacksExhausted", 1);
            }
            let task = completion.task();
            if task.round == message.round && task.callback_state() == CallbackState::Exhausted {
                warn!(task.id = %task.id, trace.id = trace_id(task), reason, "callback filed with the dead letters");
                file_dead_letter(&backend, &dead_letter_record(task, &message, reason)).await?;
            }
        }
        // The task was deleted: there is nothing to tell any more.
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
