//! Receives callback messages and delivers them concurrently until shutdown.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use quire_platform::{Consumer, Delivery, MalformedMessage, QueueName};
use quire_tasks::CallbackMessage;
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::Notifier;

/// Maximum deliveries in flight. Most of their time is spent waiting for receivers, and several slow endpoints can
/// use all their slots and still leave capacity for others. The memory of payloads is limited separately.
const MAX_IN_FLIGHT: usize = 64;
/// Maximum duration of a delivery: the response timeout plus the backend's retries. After it the lease is not
/// extended.
const MAX_DELIVERY: Duration = Duration::from_mins(3);
/// How long deliveries in flight may take after a shutdown request: longer than the response timeout. Unfinished
/// messages are received again after their visibility timeout.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);
/// Pause after a receive error.
const PAUSE: Duration = Duration::from_secs(5);

impl Notifier {
    /// Delivers callbacks until `shutdown`, then finishes those in flight (graceful shutdown).
    ///
    /// # Errors
    /// If the schedule has more attempts than the queue's maximum receive count.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        self.check_schedule()?;
        let consumer = Consumer::new(self.backend.queue(QueueName::Callbacks), MAX_DELIVERY);
        let notifier = Arc::new(self);
        let mut in_flight = JoinSet::new();
        while !shutdown.is_cancelled() {
            let Some(free) = shutdown.run_until_cancelled(free_capacity(&mut in_flight)).await else { break };
            match consumer.receive_until(free, &shutdown).await {
                Ok(received) => {
                    for delivery in received {
                        in_flight.spawn(Arc::clone(&notifier).handle_delivery(delivery));
                    }
                }
                Err(error) => {
                    error!(%error, "cannot receive callbacks; retrying");
                    shutdown.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
                }
            }
        }
        drain(in_flight).await;
        Ok(())
    }

    /// Validates the schedule against the queue's maximum receive count.
    ///
    /// # Errors
    /// If the schedule has more attempts than the queue's maximum receive count.
    pub fn check_schedule(&self) -> anyhow::Result<()> {
        let limit = self.backend.queue(QueueName::Callbacks).settings().max_receives;
        let attempts = self.schedule.attempts();
        ensure!(
            attempts <= limit,
            "the callback schedule has {attempts} attempts, but the queue delivers a message at most {limit} times"
        );
        Ok(())
    }

    /// Delivers all messages concurrently within `limit`, for a Lambda function that is killed at its deadline.
    /// Canceled deliveries are retried; a receiver that already accepted one gets the same `webhook-id`.
    pub async fn deliver_all(
        self: &Arc<Self>,
        deliveries: Vec<Result<Delivery<CallbackMessage>, MalformedMessage>>,
        limit: Duration,
    ) {
        quire_telemetry::finish_within(limit, deliveries.into_iter().map(|one| Arc::clone(self).handle_delivery(one)))
            .await;
    }

    async fn handle_delivery(self: Arc<Self>, delivery: Result<Delivery<CallbackMessage>, MalformedMessage>) {
        let ended = match delivery {
            Ok(delivery) => self.deliver(delivery).await,
            Err(MalformedMessage { error, lease, .. }) => lease.dead_letter(&error.to_string()).await,
        };
        if let Err(error) = ended {
            warn!(%error, "callback delivery failed; its message is received again");
        }
    }
}

/// Returns how many more deliveries may start. Waits until there is capacity.
async fn free_capacity(in_flight: &mut JoinSet<()>) -> usize {
    while in_flight.len() == MAX_IN_FLIGHT {
        in_flight.join_next().await.into_iter().for_each(log_panic);
    }
    while let Some(ended) = in_flight.try_join_next() {
        log_panic(ended);
    }
    MAX_IN_FLIGHT - in_flight.len()
}

async fn drain(mut in_flight: JoinSet<()>) {
    let rest = async {
        while let Some(ended) = in_flight.join_next().await {
            log_panic(ended);
        }
    };
    if timeout(DRAIN_LIMIT, rest).await.is_err() {
        warn!(left = in_flight.len(), "shutdown timeout; canceling deliveries in flight");
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(panic) = ended {
        error!(%panic, "callback delivery panicked; its message is received again");
    }
}
