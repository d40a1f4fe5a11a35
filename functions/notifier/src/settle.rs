//! What comes of an attempt.

use std::time::Duration;

use quire_callback::Verdict;
use quire_egress::Url;
use quire_platform::{Backend, Lease, QueueName, Result, retry_with_backoff};
use quire_tasks::{AttemptEnding, CallbackMessage, CallbackUpdate, DeliveryAttempt};
use quire_telemetry::metrics;
use tracing::{info, warn};

use crate::{Notifier, due::Call, tell::Told};

/// An attempt that has been made.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) call: &'a Call,
    pub(crate) told: Told,
    pub(crate) ending: Ending,
}

/// How an attempt ends, for the task and for the message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    /// Told: acknowledged.
    Delivered,
    /// To be told again: released for a while.
    Again { after: Duration },
    /// Never told: dead-lettered.
    GivenUp,
}

impl Notifier {
    /// `receives` is how often the queue has handed the message out.
    pub(crate) fn ending(&self, call: &Call, receives: u32, told: &Told) -> Ending {
        // Released once more than this, the queue would dead-letter it without a reason.
        let last = receives >= self.backend.queue(QueueName::Callbacks).settings().max_receives;
        match told.verdict {
            Verdict::Delivered => Ending::Delivered,
            Verdict::Retry if !last && !call.is_progress() => {
                let next = self.schedule.next(call.attempt, told.retry_after, rand::random());
                next.map_or(Ending::GivenUp, |after| Ending::Again { after })
            }
            Verdict::Retry | Verdict::GiveUp => Ending::GivenUp,
        }
    }
}

impl Attempt<'_> {
    /// As it stands in the log of deliveries.
    pub(crate) fn record(&self) -> DeliveryAttempt {
        let Self { call, told, .. } = self;
        let ended = told.began.plus(told.took);
        let (ending, next_at) = match self.ending {
            Ending::Delivered => (AttemptEnding::Delivered, None),
            Ending::Again { after } => (AttemptEnding::Retrying, Some(ended.plus(after))),
            Ending::GivenUp => (AttemptEnding::GivenUp, None),
        };
        DeliveryAttempt {
            webhook_id: call.webhook_id,
            event: call.event.clone(),
            attempt: call.attempt,
            at: told.began,
            duration_ms: told.took.as_millis() as u64,
            ending,
            status: told.status,
            error: told.error.clone(),
            answer: told.answer.clone(),
            next_at,
        }
    }

    /// Notes it in the table, then gives up the lease.
    pub(crate) async fn settle(self, backend: &Backend, message: &CallbackMessage, lease: Lease) -> Result<()> {
        if self.call.is_progress() {
            return lease.acknowledge().await;
        }
        let error = self.told.error.unwrap_or_default();
        let note = async |update: CallbackUpdate| {
            retry_with_backoff(|| backend.tasks.update_callback(message.task_id, message.round, update.clone())).await
        };
        match self.ending {
            Ending::Delivered => {
                if note(CallbackUpdate::Delivered).await?.changed() {
                    metrics::count("CallbacksDelivered", 1);
                }
                lease.acknowledge().await
            }
            Ending::Again { after } => {
                note(CallbackUpdate::Retrying { error }).await?;
                lease.release(after).await
            }
            Ending::GivenUp => {
                if note(CallbackUpdate::Exhausted { error: error.clone() }).await?.changed() {
                    metrics::count("CallbacksExhausted", 1);
                }
                lease.dead_letter(&error).await
            }
        }
    }

    pub(crate) fn log(&self) {
        let Self { call, told, ending } = self;
        let trace = call.task.trace.map(|trace| trace.trace_id());
        let (task, trace, event, attempt) = (call.task.id, trace.as_deref(), call.event.as_str(), call.attempt);
        let (duration_ms, status, error) = (told.took.as_millis() as u64, told.status, told.error.as_deref());
        let url = Url::parse(&call.url).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        match ending {
            Ending::Delivered => {
                info!(
                    task.id = %task, trace.id = trace, event, delivery.attempt = attempt, server.address = host, http.status = status,
                    duration_ms, "callback delivered"
                );
            }
            Ending::Again { after } => {
                let after_ms = after.as_millis() as u64;
                info!(
                    task.id = %task, trace.id = trace, event, delivery.attempt = attempt, server.address = host, http.status = status,
                    duration_ms, after_ms, error, "callback not taken; it is tried again"
                );
            }
            Ending::GivenUp => {
                warn!(
                    task.id = %task, trace.id = trace, event, delivery.attempt = attempt, server.address = host, http.status = status,
                    duration_ms, error, "callback given up"
                );
            }
        }
    }
}
