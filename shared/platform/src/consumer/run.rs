//! The consumer loop: receive, handle, and drain on shutdown.

use std::time::Duration;

use quire_tasks::Message;
use tokio::{
    task::{JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::{Consumer, Received};
use crate::Error;

/// How long a shutdown may take to release messages.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// How [`run_concurrently`] bounds its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConcurrencyLimits {
    /// The maximum number of deliveries in flight.
    pub max_in_flight: usize,
    /// How long a graceful shutdown waits for the deliveries in flight. The others are released.
    pub drain_timeout: Duration,
    /// The pause after a failed receive.
    pub error_pause: Duration,
}

/// Handles deliveries concurrently until `shutdown`, then drains: waits for those in flight. A handler that panics
/// harms no other; its message is received again.
///
/// # Errors
/// The first error of the queue for which `is_fatal` returns true; others are logged and retried after a pause.
pub async fn run_concurrently<M, F>(
    consumer: &Consumer<M>,
    limits: ConcurrencyLimits,
    shutdown: &CancellationToken,
    is_fatal: impl Fn(&Error) -> bool,
    handle: impl Fn(Received<M>) -> F,
) -> Result<(), Error>
where
    M: Message,
    F: Future<Output = ()> + Send + 'static,
{
    let mut in_flight = JoinSet::new();
    while !shutdown.is_cancelled() {
        let free = free_slots(&mut in_flight, limits.max_in_flight);
        let Some(free) = shutdown.run_until_cancelled(free).await else { break };
        match consumer.receive_until(free, shutdown).await {
            Ok(received) => {
                for delivery in received {
                    in_flight.spawn(handle(delivery));
                }
            }
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => pause_after(consumer, &error, limits.error_pause, shutdown).await,
        }
    }
    drain(consumer, in_flight, limits.drain_timeout).await;
    Ok(())
}

/// Handles deliveries one after the other, in batches of at most `max_batch`, until `shutdown`; the current batch is
/// finished. Errors of the queue are logged and retried after `error_pause`.
pub async fn run_in_batches<M, F>(
    consumer: &Consumer<M>,
    max_batch: usize,
    error_pause: Duration,
    shutdown: &CancellationToken,
    handle: impl Fn(Received<M>) -> F,
) where
    M: Message,
    F: Future<Output = ()>,
{
    while !shutdown.is_cancelled() {
        match consumer.receive_until(max_batch, shutdown).await {
            Ok(received) => {
                for delivery in received {
                    handle(delivery).await;
                }
            }
            Err(error) => pause_after(consumer, &error, error_pause, shutdown).await,
        }
    }
}

/// Returns how many more deliveries may be in flight; waits until there is at least one.
async fn free_slots(in_flight: &mut JoinSet<()>, max_in_flight: usize) -> usize {
    while in_flight.len() >= max_in_flight {
        if let Some(ended) = in_flight.join_next().await {
            log_panic(ended);
        }
    }
    while let Some(ended) = in_flight.try_join_next() {
        log_panic(ended);
    }
    max_in_flight - in_flight.len()
}

async fn pause_after<M: Message>(consumer: &Consumer<M>, error: &Error, pause: Duration, shutdown: &CancellationToken) {
    error!(queue = consumer.queue().name().as_str(), %error, "cannot receive messages; retrying after a pause");
    shutdown.run_until_cancelled(tokio::time::sleep(pause)).await;
}

async fn drain<M: Message>(consumer: &Consumer<M>, mut in_flight: JoinSet<()>, drain_timeout: Duration) {
    let all = async {
        while let Some(ended) = in_flight.join_next().await {
            log_panic(ended);
        }
    };
    if timeout(drain_timeout, all).await.is_err() {
        let queue = consumer.queue().name().as_str();
        warn!(queue, left = in_flight.len(), "shutdown: stopped before all messages in flight were handled");
        // The handlers are dropped afterwards: they can no longer end the leases.
        match timeout(RELEASE_TIMEOUT, consumer.release_held()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => warn!(queue, %error, "cannot release messages; they return when their leases expire"),
            Err(_) => warn!(queue, "timeout: messages are not released; they return when their leases expire"),
        }
    }
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(panic) = ended {
        error!(%panic, "a message handler panicked; its message is received again");
    }
}
