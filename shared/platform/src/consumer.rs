//! Typed receiving: deliveries that carry their lease, and leases that are kept while they are held.

use std::{
    collections::HashMap,
    marker::PhantomData,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use quire_tasks::Message;
use tokio::{task::AbortHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{Queue, Receipt, Received, Result, patiently};

/// How long one receive waits for a message: as long as SQS allows.
const LONG_POLL: Duration = Duration::from_secs(20);
/// How long a queue's answer to a receive may take that is stopped: more than a call to a queue that has something.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);

/// Receives messages of one kind from one queue, and keeps the leases of all that are held alive, a batch at a time.
#[derive(Debug)]
pub struct Consumer<M> {
    queue: Arc<dyn Queue>,
    held: Arc<Held>,
    keeper: AbortHandle,
    kind: PhantomData<fn() -> M>,
}

/// One receive of one message.
#[derive(Debug)]
pub struct Delivery<M> {
    /// What it says.
    pub message: M,
    /// How often it was received, this time included.
    pub attempt: u32,
    /// Why it was sent to this dead-letter queue, where that is known.
    pub reason: Option<String>,
    /// The right to work on it.
    pub lease: Lease,
}

/// A message whose text nobody can read. It must be dead-lettered.
#[derive(Debug)]
pub struct Undecodable {
    /// Its text.
    pub body: String,
    /// Why it cannot be read.
    pub error: quire_tasks::UnreadableMessage,
    /// The right to get rid of it.
    pub lease: Lease,
}

/// The right to work on a delivery, kept alive until it is given up in one of three ways. Dropped without one of them,
/// it simply runs out, and the message is received again.
#[derive(Debug)]
#[must_use = "a lease that is dropped makes its message wait until it has run out"]
pub struct Lease {
    queue: Arc<dyn Queue>,
    held: Arc<Held>,
    // In a box, so that whoever passes a lease on does not pass the whole message with it.
    received: Box<Received>,
}

#[derive(Debug, Default)]
struct Held(Mutex<HashMap<Receipt, Instant>>);

impl Held {
    fn with<T>(&self, change: impl FnOnce(&mut HashMap<Receipt, Instant>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<M: Message> Consumer<M> {
    /// A consumer that keeps a lease for at most `longest`: after that, whoever holds it is taken for stuck, and the
    /// message is received again.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(queue: Arc<dyn Queue>, longest: Duration) -> Self {
        let held = Arc::new(Held::default());
        let keeper = tokio::spawn(keep(Arc::clone(&queue), Arc::clone(&held), longest)).abort_handle();
        Self { queue, held, keeper, kind: PhantomData }
    }

    /// Up to `max` deliveries; waits up to `wait` for the first. Throttling is waited out.
    ///
    /// # Errors
    /// As [`Queue::receive`].
    pub async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Result<Delivery<M>, Undecodable>>> {
        let received = patiently(|| self.queue.receive(max, wait)).await?;
        Ok(received.into_iter().map(|received| self.open(received)).collect())
    }

    /// Up to `max` deliveries, as soon as there is one; none after a while without. Ends soon after `stop`, but not at
    /// once: what the queue hands out at that moment is returned, since dropping it would spend an attempt.
    ///
    /// # Errors
    /// As [`Queue::receive`].
    pub async fn receive_until(
        &self,
        max: usize,
        stop: &CancellationToken,
    ) -> Result<Vec<Result<Delivery<M>, Undecodable>>> {
        let mut receiving = pin!(self.receive(max, LONG_POLL));
        tokio::select! {
            biased;
            received = &mut receiving => return received,
            () = stop.cancelled() => {}
        }
        timeout(ANSWER_LIMIT, receiving).await.unwrap_or_else(|_| Ok(Vec::new()))
    }

    fn open(&self, received: Received) -> Result<Delivery<M>, Undecodable> {
        let Received { attempt, reason, body, receipt, .. } = received.clone();
        self.held.with(|held| held.insert(receipt, Instant::now()));
        let lease =
            Lease { queue: Arc::clone(&self.queue), held: Arc::clone(&self.held), received: Box::new(received) };
        match M::decode(&body) {
            Ok(message) => Ok(Delivery { message, attempt, reason, lease }),
            Err(error) => Err(Undecodable { body, error, lease }),
        }
    }
}

impl<M> Drop for Consumer<M> {
    fn drop(&mut self) {
        // Leases that outlive the consumer run out: whoever drains keeps the consumer until the last one is given up.
        self.keeper.abort();
    }
}

impl Lease {
    /// The work is done, and what came of it is kept: the message is deleted.
    ///
    /// # Errors
    /// As [`Queue::acknowledge`]; the message may then come again.
    pub async fn acknowledge(self) -> Result<()> {
        patiently(|| self.queue.acknowledge(vec![self.received.receipt.clone()])).await
    }

    /// The work is not done: the message is received again after `delay`.
    ///
    /// # Errors
    /// As [`Queue::release`]; the message then comes again when the lease has run out.
    pub async fn release(self, delay: Duration) -> Result<()> {
        patiently(|| self.queue.release(self.received.receipt.clone(), delay)).await
    }

    /// The work cannot be done: the message goes to the dead-letter queue.
    ///
    /// # Errors
    /// As [`Queue::dead_letter`].
    pub async fn dead_letter(self, reason: &str) -> Result<()> {
        patiently(|| self.queue.dead_letter(&self.received, reason)).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.held.with(|held| held.remove(&self.received.receipt));
    }
}

/// Extends what is held, three times as often as needed, so that one failed call loses nothing.
async fn keep(queue: Arc<dyn Queue>, held: Arc<Held>, longest: Duration) {
    let pause = queue.settings().lease / 3;
    loop {
        tokio::time::sleep(pause).await;
        let due: Vec<Receipt> = held.with(|held| {
            held.retain(|_, since| since.elapsed() < longest);
            held.keys().cloned().collect()
        });
        if due.is_empty() {
            continue;
        }
        match queue.extend(due).await {
            Ok(lost) => held.with(|held| {
                for receipt in &lost {
                    if held.remove(receipt).is_some() {
                        warn!(queue = queue.name().as_str(), "a lease had ended before it was extended");
                    }
                }
            }),
            Err(error) => warn!(queue = queue.name().as_str(), %error, "leases could not be extended"),
        }
    }
}
