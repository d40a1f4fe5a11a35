//! Keeps deliveries in hand until it is told to stop.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use quire_platform::{
    Consumer, Delivery, MalformedMessage, QueueName,
    consumer::{ConcurrencyLimits, run_concurrently},
};
use quire_tasks::CallbackMessage;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::Notifier;

/// Deliveries at once: most of their time is the receivers'. Several endpoints may have all their places taken by slow calls
/// and leave some for others. What bodies take up is bounded apart.
const MAX_IN_FLIGHT: usize = 64;
/// After this a delivery is taken for stuck: its time limit and what the backend may make it wait.
const MAX_DELIVERY: Duration = Duration::from_mins(3);
/// What is in hand when a stop is asked for has so long to finish: longer than a receiver has for its answer, so that
/// only a backend out of order makes us leave anything. What is left is received again when its lease has run out.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);
/// Pause after the queue could not be received from.
const PAUSE: Duration = Duration::from_secs(5);

impl Notifier {
    /// Delivers until `shutdown`, then finishes what is in hand.
    ///
    /// # Errors
    /// When the schedule has more attempts than the queue hands a message out.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        self.check_schedule()?;
        let consumer = Consumer::new(self.backend.queue(QueueName::Callbacks), MAX_DELIVERY);
        let notifier = Arc::new(self);
        let limits = ConcurrencyLimits { max_in_flight: MAX_IN_FLIGHT, drain_timeout: DRAIN_LIMIT, error_pause: PAUSE };
        let handle = |delivery| Arc::clone(&notifier).handle_delivery(delivery);
        Ok(run_concurrently(&consumer, limits, &shutdown, |_| false, handle).await?)
    }

    /// Refuses a schedule that the queue does not go along with.
    ///
    /// # Errors
    /// When the schedule has more attempts than the queue hands a message out.
    pub fn check_schedule(&self) -> anyhow::Result<()> {
        let limit = self.backend.queue(QueueName::Callbacks).settings().max_receives;
        let attempts = self.schedule.attempts();
        ensure!(
            attempts <= limit,
            "callbacks are to be tried {attempts} times, but their queue hands a message out {limit} times only"
        );
        Ok(())
    }

    /// Delivers all of these, side by side, within `limit`: for a function that is called with them and killed at its
    /// deadline. What is broken off is told again; a receiver that was told already sees the same `webhook-id`.
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
            warn!(%error, "a callback was interrupted; it is received again");
        }
    }
}
