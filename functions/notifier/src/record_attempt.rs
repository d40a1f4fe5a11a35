//! What comes of an attempt.

use std::time::Duration;

use quire_callback::ResponseClass;
use quire_egress::Url;
use quire_platform::{Backend, Lease, QueueName, Result, retry_with_backoff};
use quire_tasks::{AttemptResult, CallbackMessage, CallbackUpdate, DeliveryAttempt};
use quire_telemetry::metrics;
use tracing::{info, warn};

use crate::{Notifier, deliver::AttemptResponse, schedule::CallbackRequest};

/// An attempt that has been made.
#[derive(Debug)]
pub(crate) struct CompletedAttempt<'a> {
    pub(crate) request: &'a CallbackRequest,
    pub(crate) response: AttemptResponse,
    pub(crate) decision: AttemptDecision,
}

/// How an attempt ends, for the task and for the message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AttemptDecision {
    /// AttemptResponse: acknowledged.
    Delivered,
    /// To be told again: released for a while.
    Retry { after: Duration },
    /// Never told: dead-lettered.
    GivenUp,
}

impl Notifier {
    /// `receives` is how often the queue has handed the message out.
    pub(crate) fn decide(
        &self,
        request: &CallbackRequest,
        receives: u32,
        response: &AttemptResponse,
    ) -> AttemptDecision {
        // Released once more than this, the queue would dead-letter it without a reason.
        let last = receives >= self.backend.queue(QueueName::Callbacks).settings().max_receives;
        match response.class {
            ResponseClass::Delivered => AttemptDecision::Delivered,
            ResponseClass::Retry if !last && !request.is_progress() => {
                let next = self.schedule.next(request.attempt, response.retry_after, rand::random());
                next.map_or(AttemptDecision::GivenUp, |after| AttemptDecision::Retry { after })
            }
            ResponseClass::Retry | ResponseClass::GiveUp => AttemptDecision::GivenUp,
        }
    }
}

impl CompletedAttempt<'_> {
    /// As it stands in the log of deliveries.
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

    /// Notes it in the table, then gives up the lease.
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
        let trace = request.task.trace.map(|trace| trace.trace_id());
        let (task, trace, event, attempt) =
            (request.task.id, trace.as_deref(), request.event.as_str(), request.attempt);
        let (duration_ms, status, error) =
            (response.took.as_millis() as u64, response.status, response.error.as_deref());
        let url = Url::parse(&request.url).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        match decision {
            AttemptDecision::Delivered => {
                info!(
                    task.id = %task, trace.id = trace, event, delivery.attempt = attempt, server.address = host, http.status = status,
                    duration_ms, "callback delivered"
                );
            }
            AttemptDecision::Retry { after } => {
                let after_ms = after.as_millis() as u64;
                info!(
                    task.id = %task, trace.id = trace, event, delivery.attempt = attempt, server.address = host, http.status = status,
                    duration_ms, after_ms, error, "callback not taken; it is tried again"
                );
            }
            AttemptDecision::GivenUp => {
                warn!(
                    task.id = %task, trace.id = trace, event, delivery.attempt = attempt, server.address = host, http.status = status,
                    duration_ms, error, "callback given up"
                );
            }
        }
    }
}
