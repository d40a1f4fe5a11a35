//! Keeps deliveries in hand until it is told to stop.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use quire_platform::{Consumer, Delivery, MalformedMessage, QueueName};
use quire_tasks::CallbackMessage;
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

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
                    error!(%error, "callbacks cannot be received");
                    shutdown.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
                }
            }
        }
        drain(in_flight).await;
        Ok(())
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

/// How many more may be taken in hand; waits while there are none.
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
        warn!(left = in_flight.len(), "stopped before every callback in hand had ended");
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(panic) = ended {
        error!(%panic, "a delivery panicked; its message is received again");
    }
}
