//! What comes of an attempt.

use std::time::Duration;

use quire_boot::metrics;
use quire_egress::Url;
use quire_platform::{Home, Lease, QueueName, Result, patiently};
use quire_tasks::{CallbackMessage, CallbackUpdate};
use tracing::{info, warn};

use crate::{Notifier, due::Letter, tell::Told};

/// How an attempt ends, for the task and for the message.
#[derive(Debug)]
pub(crate) enum Ending {
    /// Told: acknowledged.
    Delivered { status: u16 },
    /// To be told again: released for a while.
    Again { error: String, status: Option<u16>, after: Duration },
    /// Never told: dead-lettered.
    GivenUp { error: String, status: Option<u16> },
}

impl Notifier {
    pub(crate) fn ending(&self, attempt: u32, told: Told) -> Ending {
        match told {
            Told::Delivered { status } => Ending::Delivered { status },
            Told::No { error, status } => Ending::GivenUp { error, status },
            Told::NotNow { error, status, retry_after } => match self.wait(attempt, retry_after) {
                Some(after) => Ending::Again { error, status, after },
                None => Ending::GivenUp { error, status },
            },
        }
    }

    fn wait(&self, attempt: u32, retry_after: Option<Duration>) -> Option<Duration> {
        // Released once more than this, the queue would dead-letter it without a reason.
        let last = attempt >= self.home.queue(QueueName::Callbacks).settings().max_receives;
        if last { None } else { self.schedule.next(attempt, retry_after, rand::random()) }
    }
}

impl Ending {
    /// Notes it in the table, then gives up the lease.
    pub(crate) async fn settle(self, home: &Home, message: &CallbackMessage, lease: Lease) -> Result<()> {
        let note = async |update: CallbackUpdate| {
            patiently(|| home.tasks.update_callback(message.task_id, message.round, update.clone())).await
        };
        match self {
            Self::Delivered { .. } => {
                if note(CallbackUpdate::Delivered).await?.changed() {
                    metrics::count("CallbacksDelivered", 1);
                }
                lease.acknowledge().await
            }
            Self::Again { error, after, .. } => {
                note(CallbackUpdate::Retrying { error }).await?;
                lease.release(after).await
            }
            Self::GivenUp { error, .. } => {
                if note(CallbackUpdate::Exhausted { error: error.clone() }).await?.changed() {
                    metrics::count("CallbacksExhausted", 1);
                }
                lease.dead_letter(&error).await
            }
        }
    }

    pub(crate) fn log(&self, letter: &Letter, attempt: u32, took: Duration) {
        let (task, trace, duration_ms) = (letter.task_id, letter.trace_id.as_deref(), took.as_millis() as u64);
        let url = Url::parse(&letter.url).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        match self {
            Self::Delivered { status } => {
                info!(
                    task.id = %task, trace.id = trace, delivery.attempt = attempt, server.address = host, http.status = status, duration_ms,
                    "callback delivered"
                );
            }
            Self::Again { error, status, after } => {
                let after_ms = after.as_millis() as u64;
                info!(
                    task.id = %task, trace.id = trace, delivery.attempt = attempt, server.address = host, http.status = status, duration_ms,
                    after_ms, error, "callback not taken; it is tried again"
                );
            }
            Self::GivenUp { error, status } => {
                warn!(
                    task.id = %task, trace.id = trace, delivery.attempt = attempt, server.address = host, http.status = status, duration_ms,
                    error, "callback given up"
                );
            }
        }
    }
}
