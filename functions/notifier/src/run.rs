//! Receives callback messages and delivers them concurrently until shutdown.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use quire_fair_share::pool_size;
use quire_platform::{
    Consumer, Delivery, MalformedMessage, QueueName,
    consumer::{ConcurrencyLimits, run_concurrently},
};
use quire_tasks::CallbackMessage;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::Notifier;

/// Maximum deliveries of one tenant in flight. Most of their time is spent waiting for receivers, and several slow
/// endpoints can use all their slots and still leave capacity for other endpoints of the tenant. Other tenants have
/// capacity of their own. The memory of payloads is limited separately.
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
        let limits = ConcurrencyLimits {
            max_in_flight: pool_size(MAX_IN_FLIGHT),
            drain_timeout: DRAIN_LIMIT,
            error_pause: PAUSE,
        };
        let handle = |delivery| Arc::clone(&notifier).handle_delivery(delivery);
        Ok(run_concurrently(&consumer, limits, &shutdown, |_| false, handle).await?)
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
