//! Typed receiving: deliveries that carry their lease, and leases that are extended while they are held.

use std::{
    collections::HashMap,
    marker::PhantomData,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use quire_fair_share::Capacity;
use quire_tasks::Message;
use tokio::{task::AbortHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{Queue, Receipt, ReceivedMessage, Result, retry_with_backoff};

mod run;

pub use run::{ConcurrencyLimits, SURPLUS_DELAY, run_concurrently, run_in_batches};

/// How long one receive waits for a message: the maximum of SQS long polling.
const LONG_POLL: Duration = Duration::from_secs(20);
/// How long a pending receive may take to return after a stop was requested: more than one call to a queue that has
/// messages takes.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);

/// A delivery, or a message that cannot be parsed.
pub type Received<M> = Result<Delivery<M>, MalformedMessage>;

/// Receives messages of one type from one queue, and extends the leases of all deliveries that are held, in batches.
#[derive(Debug)]
pub struct Consumer<M> {
    queue: Arc<dyn Queue>,
    leases: Arc<LeaseRegistry>,
    extender: AbortHandle,
    message_type: PhantomData<fn() -> M>,
}

/// One receive of one message.
#[derive(Debug)]
pub struct Delivery<M> {
    /// The parsed message.
    pub message: M,
    /// The message group: the tenant.
    pub group: String,
    /// The receive count, including this receive.
    pub attempt: u32,
    /// Why the message is on this dead-letter queue, if its sender knew.
    pub reason: Option<String>,
    /// The trace context, as a `traceparent` header (W3C Trace Context).
    pub trace: Option<String>,
    /// The right to work on the message.
    pub lease: Lease,
}

/// A message whose body cannot be parsed. Decision: dead-letter it.
#[derive(Debug)]
pub struct MalformedMessage {
    /// The body.
    pub body: String,
    /// The message group: the tenant.
    pub group: String,
    /// The parse error.
    pub error: quire_tasks::MessageDecodeError,
    /// The right to dispose of the message.
    pub lease: Lease,
}

/// The right to work on a message. It is extended until it is ended in one of four ways. If it is dropped without one
/// of them, it expires and the message is received again.
#[derive(Debug)]
#[must_use = "a dropped lease hides its message until the visibility timeout"]
pub struct Lease {
    queue: Arc<dyn Queue>,
    leases: Arc<LeaseRegistry>,
    // Boxed to keep the lease small, since it is moved through channels.
    received: Box<ReceivedMessage>,
}

/// The leases that are held in this process.
#[derive(Debug, Default)]
pub struct LeaseRegistry(Mutex<HashMap<Receipt, HeldLease>>);

#[derive(Debug)]
struct HeldLease {
    since: Instant,
    /// Set by [`Consumer::release_held`] while the lease was still held.
    is_released: bool,
}

impl LeaseRegistry {
    fn with<T>(&self, change: impl FnOnce(&mut HashMap<Receipt, HeldLease>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the leases to extend. A lease held longer than `max_age` is dropped from the registry: its holder is
    /// stuck.
    fn to_extend(&self, max_age: Duration) -> Vec<Receipt> {
        self.with(|leases| {
            leases.retain(|_, lease| lease.is_released || lease.since.elapsed() < max_age);
            let held = leases.iter().filter(|(_, lease)| !lease.is_released);
            held.map(|(receipt, _)| receipt.clone()).collect()
        })
    }

    /// Marks all leases as released and returns their receipts.
    fn release_all(&self) -> Vec<Receipt> {
        self.with(|leases| {
            let mut receipts = Vec::new();
            for (receipt, lease) in leases.iter_mut().filter(|(_, lease)| !lease.is_released) {
                lease.is_released = true;
                receipts.push(receipt.clone());
            }
            receipts
        })
    }

    /// Removes leases that expired before they could be extended.
    fn remove_lost(&self, queue: &dyn Queue, lost: &[Receipt]) {
        self.with(|leases| {
            for receipt in lost {
                let was_held = leases.get(receipt).is_some_and(|lease| !lease.is_released);
                if was_held && leases.remove(receipt).is_some() {
                    warn!(queue = queue.name().as_str(), "a lease expired before it was extended");
                }
            }
        });
    }
}

impl<M: Message> Delivery<M> {
    /// Parses a received message and registers its lease. For adapters whose messages do not come through a
    /// [`Consumer`], e.g. those of a Lambda invocation.
    ///
    /// # Errors
    /// [`MalformedMessage`] if the body cannot be parsed.
    pub fn open(queue: &Arc<dyn Queue>, leases: &Arc<LeaseRegistry>, received: ReceivedMessage) -> Received<M> {
        let ReceivedMessage { attempt, reason, trace, body, group, receipt } = received.clone();
        leases.with(|leases| leases.insert(receipt, HeldLease { since: Instant::now(), is_released: false }));
        let lease = Lease { queue: Arc::clone(queue), leases: Arc::clone(leases), received: Box::new(received) };
        match M::decode(&body) {
            Ok(message) => Ok(Self { message, group, attempt, reason, trace, lease }),
            Err(error) => Err(MalformedMessage { body, group, error, lease }),
        }
    }
}

impl<M: Message> Consumer<M> {
    /// Creates a consumer that extends a lease for at most `max_lease_age`: a holder that takes longer is stuck, and
    /// the message is received again.
    ///
    /// # Panics
    /// If called outside a tokio runtime.
    pub fn new(queue: Arc<dyn Queue>, max_lease_age: Duration) -> Self {
        let leases = Arc::new(LeaseRegistry::default());
        let extender = tokio::spawn(extend_leases(Arc::clone(&queue), Arc::clone(&leases), max_lease_age));
        Self { queue, leases, extender: extender.abort_handle(), message_type: PhantomData }
    }

    /// Returns up to `max` deliveries; waits up to `wait` for the first. Transient errors are retried with backoff.
    ///
    /// # Errors
    /// As [`Queue::receive`].
    pub async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Received<M>>> {
        let received = retry_with_backoff(|| self.queue.receive(max, wait)).await?;
        Ok(self.open(received))
    }

    fn open(&self, received: Vec<ReceivedMessage>) -> Vec<Received<M>> {
        received.into_iter().map(|received| Delivery::open(&self.queue, &self.leases, received)).collect()
    }

    /// Returns up to `max` deliveries as soon as there is one, or none after a long poll. Returns soon after `stop`,
    /// but not at once: dropping messages that the queue is just handing out would spend an attempt of each.
    ///
    /// # Errors
    /// As [`Queue::receive`].
    pub async fn receive_until(&self, max: usize, stop: &CancellationToken) -> Result<Vec<Received<M>>> {
        finish_soon_after(stop, self.receive(max, LONG_POLL)).await
    }

    /// As [`Self::receive_until`], within the capacity of each tenant. Also returns, as soon as the queue can, after
    /// `changed`: when the capacity has grown.
    ///
    /// # Errors
    /// As [`Queue::receive_fairly`].
    pub async fn receive_fairly(
        &self,
        capacity: &Capacity,
        changed: &CancellationToken,
        stop: &CancellationToken,
    ) -> Result<Vec<Received<M>>> {
        let receiving = retry_with_backoff(|| self.queue.receive_fairly(capacity, LONG_POLL, changed));
        let received = finish_soon_after(stop, async { receiving.await.map(|received| self.open(received)) });
        received.await
    }

    /// Releases every lease that is held, so that its message is visible at once, and returns their number. For a
    /// graceful shutdown that ran out of time, after the last receive. The holders can no longer end their leases.
    ///
    /// # Errors
    /// As [`Queue::release`]; leases that were not released expire.
    pub async fn release_held(&self) -> Result<usize> {
        let receipts = self.leases.release_all();
        if !receipts.is_empty() {
            retry_with_backoff(|| self.queue.release(receipts.clone(), Duration::ZERO)).await?;
        }
        Ok(receipts.len())
    }

    /// Returns the queue.
    pub fn queue(&self) -> &Arc<dyn Queue> {
        &self.queue
    }
}

/// Waits for a receive; after `stop` only a little longer.
async fn finish_soon_after<M>(
    stop: &CancellationToken,
    receiving: impl Future<Output = Result<Vec<Received<M>>>>,
) -> Result<Vec<Received<M>>> {
    let mut receiving = pin!(receiving);
    tokio::select! {
        biased;
        received = &mut receiving => return received,
        () = stop.cancelled() => {}
    }
    timeout(STOP_TIMEOUT, receiving).await.unwrap_or_else(|_| Ok(Vec::new()))
}

impl<M> Drop for Consumer<M> {
    fn drop(&mut self) {
        // Leases that outlive the consumer expire: a graceful shutdown drops the consumer last.
        self.extender.abort();
    }
}

impl Lease {
    /// Acknowledges the message: the work is done and its result is stored, so the message is deleted.
    ///
    /// # Errors
    /// As [`Queue::acknowledge`]; the message may then be received again.
    pub async fn acknowledge(self) -> Result<()> {
        if self.is_released() {
            return Ok(());
        }
        retry_with_backoff(|| self.queue.acknowledge(vec![self.received.receipt.clone()])).await
    }

    /// Releases the message: it is received again after `delay`, as the next attempt.
    ///
    /// # Errors
    /// As [`Queue::release`]; the message is then received again when its lease expires.
    pub async fn release(self, delay: Duration) -> Result<()> {
        if self.is_released() {
            return Ok(());
        }
        retry_with_backoff(|| self.queue.release(vec![self.received.receipt.clone()], delay)).await
    }

    /// Postpones the work for a reason that is not the message's fault: sends the message again, visible after `delay`
    /// (at most 15 minutes), without spending an attempt.
    ///
    /// # Errors
    /// As [`Queue::requeue`]; the message is then received again when its lease expires.
    pub async fn requeue(self, delay: Duration) -> Result<()> {
        if self.is_released() {
            return Ok(());
        }
        retry_with_backoff(|| self.queue.requeue(&self.received, delay)).await
    }

    /// Moves the message to the dead-letter queue.
    ///
    /// # Errors
    /// As [`Queue::dead_letter`].
    pub async fn dead_letter(self, reason: &str) -> Result<()> {
        if self.is_released() {
            return Ok(());
        }
        retry_with_backoff(|| self.queue.dead_letter(&self.received, reason)).await
    }

    /// Returns whether the consumer has released the lease: then the message may be leased by another consumer.
    fn is_released(&self) -> bool {
        self.leases.with(|leases| leases.get(&self.received.receipt).is_some_and(|lease| lease.is_released))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.with(|leases| leases.remove(&self.received.receipt));
    }
}

/// Extends the held leases three times per visibility timeout, so that one failed call loses no lease.
async fn extend_leases(queue: Arc<dyn Queue>, leases: Arc<LeaseRegistry>, max_age: Duration) {
    let interval = queue.settings().lease / 3;
    loop {
        tokio::time::sleep(interval).await;
        let receipts = leases.to_extend(max_age);
        if receipts.is_empty() {
            continue;
        }
        match queue.extend(receipts).await {
            Ok(lost) => leases.remove_lost(queue.as_ref(), &lost),
            Err(error) => warn!(queue = queue.name().as_str(), %error, "cannot extend leases"),
        }
    }
}
