//! Decides whether a callback is due.

use quire_callback::{PROGRESS_EVENT, completion_event};
use quire_platform::{Backend, Error, Result, retry_with_backoff};
use quire_tasks::{Callback, CallbackMessage, CallbackState, Task, UnixMillis, WebhookId};

/// What to do with a callback message, given the state of its task.
#[derive(Debug)]
pub(crate) enum ScheduledDelivery {
    /// A callback is due.
    Deliver(Box<CallbackRequest>),
    /// No callback is due: the task is deleted, expired or open again, or its callback was delivered.
    Skip,
    /// All attempts have failed.
    GivenUp {
        /// The last error.
        reason: String,
    },
}

/// A callback that is due.
#[derive(Debug)]
pub(crate) struct CallbackRequest {
    pub(crate) task: Task,
    /// Equal on every attempt.
    pub(crate) webhook_id: WebhookId,
    /// The event's `type`.
    pub(crate) event: String,
    pub(crate) url: String,
    /// Number of the attempt in its retry schedule, from 1.
    pub(crate) attempt: u32,
}

impl CallbackRequest {
    /// Returns whether it is a progress event. Progress events are sent at most once.
    pub(crate) const fn is_progress(&self) -> bool {
        self.webhook_id.progress.is_some()
    }
}

/// Decides by the task alone. Its pages are only read when the receiver can be called.
pub(crate) async fn schedule_delivery(
    backend: &Backend,
    message: &CallbackMessage,
    now: UnixMillis,
) -> Result<ScheduledDelivery> {
    let task = match retry_with_backoff(|| backend.tasks.task(message.task_id)).await {
        Ok(task) => task,
        Err(Error::NotFound { .. }) => return Ok(ScheduledDelivery::Skip),
        Err(error) => return Err(error),
    };
    let scheduled = match task.callback.as_ref().filter(|_| task.round == message.round && !task.expired(now)) {
        None => ScheduledDelivery::Skip,
        Some(callback) => match message.progress {
            Some(number) => schedule_progress(&task, callback, number),
            None => schedule_completion(&task, callback),
        },
    };
    Ok(scheduled)
}

fn schedule_completion(task: &Task, callback: &Callback) -> ScheduledDelivery {
    if callback.state == CallbackState::Exhausted {
        return ScheduledDelivery::GivenUp { reason: callback.last_error.clone().unwrap_or_default() };
    }
    if !task.needs_callback() {
        return ScheduledDelivery::Skip;
    }
    let webhook_id = WebhookId::for_round_end(task.id, task.round);
    deliver(task, callback, webhook_id, completion_event(task), callback.next_attempt())
}

/// Only the newest progress event is sent: it supersedes the ones before it.
fn schedule_progress(task: &Task, callback: &Callback, number: u32) -> ScheduledDelivery {
    let is_newest = callback.progress.as_ref().is_some_and(|progress| progress.number == number);
    if !is_newest || task.status().ended() {
        return ScheduledDelivery::Skip;
    }
    let webhook_id = WebhookId { progress: Some(number), ..WebhookId::for_round_end(task.id, task.round) };
    deliver(task, callback, webhook_id, PROGRESS_EVENT.to_owned(), 1)
}

fn deliver(task: &Task, callback: &Callback, webhook_id: WebhookId, event: String, attempt: u32) -> ScheduledDelivery {
    ScheduledDelivery::Deliver(Box::new(CallbackRequest {
        task: task.clone(),
        webhook_id,
        event,
        url: callback.url.clone(),
        attempt,
    }))
}
