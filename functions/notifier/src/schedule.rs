//! What is there to tell, if anything.

use quire_callback::{PROGRESS_EVENT, completion_event};
use quire_platform::{Backend, Error, Result, retry_with_backoff};
use quire_tasks::{Callback, CallbackMessage, CallbackState, Task, UnixMillis, WebhookId};

/// What a message asks for, now that the task has been looked at.
#[derive(Debug)]
pub(crate) enum ScheduledDelivery {
    /// The receiver is to be called.
    Deliver(Box<CallbackRequest>),
    /// The task is gone or goes on, or its receiver was told already.
    Skip,
    /// The receiver was told in vain for the last time.
    GivenUp {
        /// What it said.
        reason: String,
    },
}

/// What is to be told, and to whom.
#[derive(Debug)]
pub(crate) struct CallbackRequest {
    pub(crate) task: Task,
    /// The same on every attempt.
    pub(crate) webhook_id: WebhookId,
    /// The event's `type`.
    pub(crate) event: String,
    pub(crate) url: String,
    /// Which attempt this is since it was last asked for, from 1.
    pub(crate) attempt: u32,
}

impl CallbackRequest {
    /// Whether it tells of progress: then it is made once, and nobody misses it when it fails.
    pub(crate) const fn is_progress(&self) -> bool {
        self.webhook_id.progress.is_some()
    }
}

/// Looks at the task alone: what is told of its pages is read when it is clear that its receiver is called now.
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

/// Of an event that another has followed nothing is told: what would be said now, that one says.
fn schedule_progress(task: &Task, callback: &Callback, number: u32) -> ScheduledDelivery {
    let newest = callback.progress.as_ref().is_some_and(|progress| progress.number == number);
    if !newest || task.status().ended() {
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
