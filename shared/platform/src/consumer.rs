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

use crate::{Queue, Receipt, ReceivedMessage, Result, retry_with_backoff};

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
    /// The trace that it belongs to, as a `traceparent`.
    pub trace: Option<String>,
    /// The right to work on it.
    pub lease: Lease,
}

/// A message whose text nobody can read. It must be dead-lettered.
#[derive(Debug)]
pub struct MalformedMessage {
    /// Its text.
    pub body: String,
    /// Why it cannot be read.
    pub error: quire_tasks::MessageDecodeError,
    /// The right to get rid of it.
    pub lease: Lease,
}

/// The right to work on a delivery, kept alive until it is given up in one of four ways. Dropped without one of them,
/// it simply runs out, and the message is received again.
#[derive(Debug)]
#[must_use = "a lease that is dropped makes its message wait until it has run out"]
pub struct Lease {
    queue: Arc<dyn Queue>,
    held: Arc<Held>,
    // In a box, so that whoever passes a lease on does not pass the whole message with it.
    received: Box<ReceivedMessage>,
}

/// The leases that somebody holds.
#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<HashMap<Receipt, Hold>>);

#[derive(Debug)]
struct Hold {
    since: Instant,
    /// By the consumer, while its holder was still at work.
    given_back: bool,
}

impl Held {
    fn with<T>(&self, change: impl FnOnce(&mut HashMap<Receipt, Hold>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Those to be extended; whoever has held one for longer than `longest` is taken for stuck.
    fn due(&self, longest: Duration) -> Vec<Receipt> {
        self.with(|held| {
            held.retain(|_, hold| hold.given_back || hold.since.elapsed() < longest);
            held.iter().filter(|(_, hold)| !hold.given_back).map(|(receipt, _)| receipt.clone()).collect()
        })
    }

    /// Takes all of them out of their holders' hands.
    fn give_back(&self) -> Vec<Receipt> {
        self.with(|held| {
            let kept = held.iter_mut().filter(|(_, hold)| !hold.given_back);
            kept.map(|(receipt, hold)| {
                hold.given_back = true;
                receipt.clone()
            })
            .collect()
        })
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
    pub async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Result<Delivery<M>, MalformedMessage>>> {
        let received = retry_with_backoff(|| self.queue.receive(max, wait)).await?;
        Ok(received.into_iter().map(|received| open(&self.queue, &self.held, received)).collect())
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
    ) -> Result<Vec<Result<Delivery<M>, MalformedMessage>>> {
        let mut receiving = pin!(self.receive(max, LONG_POLL));
        tokio::select! {
            biased;
            received = &mut receiving => return received,
            () = stop.cancelled() => {}
        }
        timeout(ANSWER_LIMIT, receiving).await.unwrap_or_else(|_| Ok(Vec::new()))
    }

    /// Gives back every lease that is held, so that others receive its message at once: for a drain that has run out of
    /// time, once nothing is received any more. Whoever still holds one can do nothing more with it. Says how many.
    ///
    /// # Errors
    /// As [`Queue::release`]; what was not given back runs out.
    pub async fn release_held(&self) -> Result<usize> {
        let receipts = self.held.give_back();
        if !receipts.is_empty() {
            retry_with_backoff(|| self.queue.release(receipts.clone(), Duration::ZERO)).await?;
        }
        Ok(receipts.len())
    }
}

/// A message with the right to work on it.
pub(crate) fn open<M: Message>(
    queue: &Arc<dyn Queue>,
    held: &Arc<Held>,
    received: ReceivedMessage,
) -> Result<Delivery<M>, MalformedMessage> {
    let ReceivedMessage { attempt, reason, trace, body, receipt, .. } = received.clone();
    held.with(|held| held.insert(receipt, Hold { since: Instant::now(), given_back: false }));
    let lease = Lease { queue: Arc::clone(queue), held: Arc::clone(held), received: Box::new(received) };
    match M::decode(&body) {
        Ok(message) => Ok(Delivery { message, attempt, reason, trace, lease }),
        Err(error) => Err(MalformedMessage { body, error, lease }),
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
        if self.given_back() {
            return Ok(());
        }
        retry_with_backoff(|| self.queue.acknowledge(vec![self.received.receipt.clone()])).await
    }

    /// The work is not done: the message is received again after `delay`.
    ///
    /// # Errors
    /// As [`Queue::release`]; the message then comes again when the lease has run out.
    pub async fn release(self, delay: Duration) -> Result<()> {
        if self.given_back() {
            return Ok(());
        }
        retry_with_backoff(|| self.queue.release(vec![self.received.receipt.clone()], delay)).await
    }

    /// The work is put off, for a reason that has nothing to do with the message: it is sent anew and received again after
    /// `delay` (at most 15 minutes), and this receive of it was no attempt.
    ///
    /// # Errors
    /// As [`Queue::send_again`]; the message then comes again when the lease has run out.
    pub async fn send_again(self, delay: Duration) -> Result<()> {
        if self.given_back() {
            return Ok(());
        }
        retry_with_backoff(|| self.queue.send_again(&self.received, delay)).await
    }

    /// The work cannot be done: the message goes to the dead-letter queue.
    ///
    /// # Errors
    /// As [`Queue::dead_letter`].
    pub async fn dead_letter(self, reason: &str) -> Result<()> {
        if self.given_back() {
            return Ok(());
        }
        retry_with_backoff(|| self.queue.dead_letter(&self.received, reason)).await
    }

    /// Whether its consumer has given it back: then its message may be in other hands, and is left alone.
    fn given_back(&self) -> bool {
        self.held.with(|held| held.get(&self.received.receipt).is_some_and(|hold| hold.given_back))
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
        let due = held.due(longest);
        if due.is_empty() {
            continue;
        }
        match queue.extend(due).await {
            Ok(lost) => held.with(|held| {
                for receipt in &lost {
                    let lost = held.get(receipt).is_some_and(|hold| !hold.given_back);
                    if lost && held.remove(receipt).is_some() {
                        warn!(queue = queue.name().as_str(), "a lease had ended before it was extended");
                    }
                }
            }),
            Err(error) => warn!(queue = queue.name().as_str(), %error, "leases could not be extended"),
        }
    }
}
