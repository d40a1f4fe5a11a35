//! The consumer loop: receive, handle, and drain on shutdown.

use std::{pin::pin, time::Duration};

use quire_fair_share::{Capacity, FairShare, with_tenant};
use quire_tasks::Message;
use tokio::{
    task::{JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::{Consumer, Delivery, Lease, MalformedMessage, Received};
use crate::Error;

/// How long a shutdown may take to release messages.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// The delay of a message that was received although its tenant has no capacity left.
pub const SURPLUS_DELAY: Duration = Duration::from_secs(2);

/// The longest pause of a consumer that had to put back messages.
const SURPLUS_PAUSE: Duration = Duration::from_secs(1);

/// How [`run_concurrently`] bounds its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConcurrencyLimits {
    /// The maximum number of deliveries in flight, shared between the tenants as [`FairShare`] documents: one tenant
    /// alone has two thirds of it.
    pub max_in_flight: usize,
    /// How long a graceful shutdown waits for the deliveries in flight. The others are released.
    pub drain_timeout: Duration,
    /// The pause after a failed receive.
    pub error_pause: Duration,
}

/// Handles deliveries concurrently until `shutdown`, then drains: waits for those in flight. No tenant can take all
/// slots: while a tenant has no capacity, only messages of others are received. A handler that panics harms no other;
/// its message is received again.
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
    let share = FairShare::new(limits.max_in_flight);
    let mut in_flight = JoinSet::new();
    while !shutdown.is_cancelled() {
        let capacity = free_capacity(&share, &mut in_flight);
        let Some(capacity) = shutdown.run_until_cancelled(capacity).await else { break };
        match receive(consumer, &capacity, &mut in_flight, shutdown).await {
            Ok(received) => {
                let mut has_surplus = false;
                for delivery in received {
                    has_surplus |= start(&share, &mut in_flight, delivery, &handle);
                }
                if has_surplus {
                    pause_for_capacity(&mut in_flight, shutdown).await;
                }
            }
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => pause_after(consumer, &error, limits.error_pause, shutdown).await,
        }
    }
    drain(consumer, in_flight, limits.drain_timeout).await;
    Ok(())
}

/// Receives within the capacity. When a delivery ends meanwhile, whose tenant may then take more, returns without
/// waiting for a message.
async fn receive<M: Message>(
    consumer: &Consumer<M>,
    capacity: &Capacity,
    in_flight: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) -> Result<Vec<Received<M>>, Error> {
    let changed = shutdown.child_token();
    let mut receiving = pin!(consumer.receive_fairly(capacity, &changed, shutdown));
    loop {
        tokio::select! {
            biased;
            received = &mut receiving => return received,
            Some(ended) = in_flight.join_next(), if capacity.is_limited() => {
                log_panic(ended);
                changed.cancel();
            }
        }
    }
}

/// Handles a delivery with a permit of its tenant. Without one it is surplus: it is put back, which spends no attempt.
/// Returns whether it is surplus.
fn start<M: Message, F: Future<Output = ()> + Send + 'static>(
    share: &FairShare,
    in_flight: &mut JoinSet<()>,
    delivery: Received<M>,
    handle: impl Fn(Received<M>) -> F,
) -> bool {
    let tenant = match &delivery {
        Ok(delivery) => delivery.group.clone(),
        Err(malformed) => malformed.group.clone(),
    };
    let permit = share.try_acquire(&tenant);
    let is_surplus = permit.is_none();
    match (permit, delivery) {
        (Some(permit), delivery) => {
            let handled = handle(delivery);
            in_flight.spawn(async move { with_tenant(permit.tenant(), handled).await });
        }
        (None, Ok(Delivery { lease, .. }) | Err(MalformedMessage { lease, .. })) => {
            in_flight.spawn(put_back(lease));
        }
    }
    is_surplus
}

/// Waits a little, or until a delivery ends: a queue that cannot leave out a busy tenant would return its messages
/// again and again.
async fn pause_for_capacity(in_flight: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let ended = timeout(SURPLUS_PAUSE, in_flight.join_next());
    if let Some(Ok(Some(ended))) = shutdown.run_until_cancelled(ended).await {
        log_panic(ended);
    }
}

async fn put_back(lease: Lease) {
    if let Err(error) = lease.requeue(SURPLUS_DELAY).await {
        warn!(%error, "cannot put back a message of a busy tenant; it is received again when its lease expires");
    }
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

/// Returns how many more deliveries may be in flight; waits until there is room for at least one.
async fn free_capacity(share: &FairShare, in_flight: &mut JoinSet<()>) -> Capacity {
    while let Some(ended) = in_flight.try_join_next() {
        log_panic(ended);
    }
    loop {
        let capacity = share.capacity();
        if capacity.max > 0 {
            return capacity;
        }
        if let Some(ended) = in_flight.join_next().await {
            log_panic(ended);
        }
    }
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
