//! Records the result of an attempt in the task table and finishes its message.

use std::time::Duration;

use quire_callback::ResponseClass;
use quire_egress::Url;
use quire_platform::{Backend, Lease, QueueName, Result, retry_with_backoff};
use quire_tasks::{AttemptResult, CallbackMessage, CallbackUpdate, DeliveryAttempt};
use quire_telemetry::metrics;
use tracing::{info, warn};

use crate::{Notifier, deliver::AttemptResponse, schedule::CallbackRequest};

/// An attempt that was made, and what follows from it.
#[derive(Debug)]
pub(crate) struct CompletedAttempt<'a> {
    pub(crate) request: &'a CallbackRequest,
    pub(crate) response: AttemptResponse,
    pub(crate) decision: AttemptDecision,
}

/// What follows from an attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AttemptDecision {
    /// Delivered: acknowledge the message.
    Delivered,
    /// Retry: release the message, invisible until then.
    Retry { after: Duration },
    /// Given up: move the message to the dead-letter queue.
    GivenUp,
}

impl Notifier {
    /// Decides what follows from an attempt. `receives` is the receive count of the message.
    pub(crate) fn decide(
        &self,
        request: &CallbackRequest,
        receives: u32,
        response: &AttemptResponse,
    ) -> AttemptDecision {
        // After its last receive the queue would dead-letter the message itself, without a reason.
        let is_last = receives >= self.backend.queue(QueueName::Callbacks).settings().max_receives;
        match response.class {
            ResponseClass::Delivered => AttemptDecision::Delivered,
            ResponseClass::Retry if !is_last && !request.is_progress() => {
                let next = self.schedule.next(request.attempt, response.retry_after, rand::random());
                next.map_or(AttemptDecision::GivenUp, |after| AttemptDecision::Retry { after })
            }
            ResponseClass::Retry | ResponseClass::GiveUp => AttemptDecision::GivenUp,
        }
    }
}

impl CompletedAttempt<'_> {
    /// Returns the entry of the delivery log.
    pub(crate) fn to_record(&self) -> DeliveryAttempt {
        let Self { request, response, .. } = self;
        let ended = response.began.plus(response.took);
        let (result, next_at) = match self.decision {
            AttemptDecision::Delivered => (AttemptResult::Delivered, None),
            AttemptDecision::Retry { after } => (AttemptResult::Retrying, Some(ended.plus(after))),
            AttemptDecision::GivenUp => (AttemptResult::GivenUp, None),
        };
        DeliveryAttempt {
            webhook_id: request.webhook_id,
            event: request.event.clone(),
            attempt: request.attempt,
            at: response.began,
            duration_ms: response.took.as_millis() as u64,
            result,
            status: response.status,
            error: response.error.clone(),
            response: response.excerpt.clone(),
            next_at,
        }
    }

    /// Updates the task table, then finishes the message.
    pub(crate) async fn finish(self, backend: &Backend, message: &CallbackMessage, lease: Lease) -> Result<()> {
        if self.request.is_progress() {
            return lease.acknowledge().await;
        }
        let error = self.response.error.unwrap_or_default();
        let update_task = async |update: CallbackUpdate| {
            retry_with_backoff(|| backend.tasks.update_callback(message.task_id, message.round, update.clone())).await
        };
        match self.decision {
            AttemptDecision::Delivered => {
                if update_task(CallbackUpdate::Delivered).await?.changed() {
                    metrics::count("CallbacksDelivered", 1);
                }
                lease.acknowledge().await
            }
            AttemptDecision::Retry { after } => {
                update_task(CallbackUpdate::Retrying { error }).await?;
                lease.release(after).await
            }
            AttemptDecision::GivenUp => {
                if update_task(CallbackUpdate::Exhausted { error: error.clone() }).await?.changed() {
                    metrics::count("CallbacksExhausted", 1);
                }
                lease.dead_letter(&error).await
            }
        }
    }

    pub(crate) fn log(&self) {
        let Self { request, response, decision } = self;
        let trace_id = request.task.trace.map(|trace| trace.trace_id());
        let trace_id = trace_id.as_deref();
        let task_id = request.task.id;
        let event = request.event.as_str();
        let attempt = request.attempt;
        let status = response.status;
        let error = response.error.as_deref();
        let duration_ms = response.took.as_millis() as u64;
        let url = Url::parse(&request.url).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        match decision {
            AttemptDecision::Delivered => {
                info!(
                    task.id = %task_id, trace.id = trace_id, event, delivery.attempt = attempt, server.address = host,
                    http.status = status, duration_ms, "callback delivered"
                );
            }
            AttemptDecision::Retry { after } => {
                let after_ms = after.as_millis() as u64;
                info!(
                    task.id = %task_id, trace.id = trace_id, event, delivery.attempt = attempt, server.address = host,
                    http.status = status, duration_ms, after_ms, error, "callback failed; retrying"
                );
            }
            AttemptDecision::GivenUp => {
                warn!(
                    task.id = %task_id, trace.id = trace_id, event, delivery.attempt = attempt, server.address = host,
                    http.status = status, duration_ms, error, "callback failed; giving up"
                );
            }
        }
    }
}
