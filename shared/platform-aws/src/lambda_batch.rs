//! What a Lambda is handed of a queue, and what it answers.
//!
//! Lambda receives for the function, deletes what the function does not report as failed, and keeps no lease alive: the
//! queue hides a message for several times as long as the function may run.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use quire_platform::{
    Delivery, OutgoingMessage, Queue, QueueDepth, QueueName, QueueSettings, Receipt, Received, ReceivedMessage, Result,
    consumer::LeaseRegistry,
};
use quire_tasks::Message;
use tracing::warn;

use crate::message::{REASON, TRACE};

/// The messages of one invocation. Their leases mean the same as a [`quire_platform::Consumer`]'s, and Lambda is told what became
/// of each by [`LambdaBatch::response`].
#[derive(Debug)]
pub struct LambdaBatch {
    queue: Arc<HandedQueue>,
    leases: Arc<LeaseRegistry>,
    /// What Lambda calls each message, and its receipt.
    names: Vec<(String, Receipt)>,
    received: Vec<ReceivedMessage>,
}

impl LambdaBatch {
    pub(crate) fn new(queue: Arc<dyn Queue>, event: SqsEvent) -> Self {
        let queue = Arc::new(HandedQueue { queue, settled: Mutex::default() });
        let name = |message: &SqsMessage| message.message_id.clone().unwrap_or_default();
        let both = event.records.into_iter().map(|message| (name(&message), received(message)));
        let (names, received): (Vec<String>, Vec<ReceivedMessage>) = both.unzip();
        let names = names.into_iter().zip(&received).map(|(name, message)| (name, message.receipt.clone())).collect();
        Self { queue, leases: Arc::default(), names, received }
    }

    /// The messages, once: a second call has none.
    pub fn deliveries<M: Message>(&mut self) -> Vec<Received<M>> {
        let queue: Arc<dyn Queue> = Arc::clone(&self.queue) as Arc<dyn Queue>;
        let received = std::mem::take(&mut self.received).into_iter();
        received.map(|received| Delivery::open(&queue, &self.leases, received)).collect()
    }

    /// What to tell Lambda: every message has failed that was neither acknowledged nor dead-lettered. One that was not
    /// released either comes again when a lease would have run out that is kept while it is held: its function failed in the
    /// midst of it, but is alive, so that it need not be hidden for as long as one that killed its function.
    pub async fn response(self) -> SqsBatchResponse {
        let dropped = self.queue.with(|settled| {
            let receipts = self.names.iter().map(|(_, receipt)| receipt);
            receipts.filter(|&receipt| !settled.knows(receipt)).cloned().collect::<Vec<_>>()
        });
        if !dropped.is_empty()
            && let Err(error) = self.queue.queue.release(dropped, self.queue.settings().lease).await
        {
            warn!(queue = self.queue.name().as_str(), %error, "what failed stays hidden for as long as its queue hides it");
        }
        let mut response = SqsBatchResponse::default();
        let failed = self.queue.with(|settled| {
            let failed = self.names.iter().filter(|(_, receipt)| !settled.done.contains(receipt));
            failed.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        });
        response.set_failures(failed);
        response
    }
}

/// A queue whose messages somebody else deletes.
#[derive(Debug)]
struct HandedQueue {
    queue: Arc<dyn Queue>,
    settled: Mutex<Settled>,
}

/// The messages that need nothing more.
#[derive(Debug, Default)]
struct Settled {
    done: HashSet<Receipt>,
    released: HashSet<Receipt>,
}

impl Settled {
    fn knows(&self, receipt: &Receipt) -> bool {
        self.done.contains(receipt) || self.released.contains(receipt)
    }
}

impl HandedQueue {
    fn with<T>(&self, change: impl FnOnce(&mut Settled) -> T) -> T {
        change(&mut self.settled.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Queue for HandedQueue {
    fn name(&self) -> QueueName {
        self.queue.name()
    }

    fn settings(&self) -> QueueSettings {
        self.queue.settings()
    }

    async fn send(&self, messages: Vec<OutgoingMessage>) -> Result<()> {
        self.queue.send(messages).await
    }

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<ReceivedMessage>> {
        self.queue.receive(max, wait).await
    }

    async fn acknowledge(&self, receipts: Vec<Receipt>) -> Result<()> {
        self.with(|settled| settled.done.extend(receipts));
        Ok(())
    }

    async fn extend(&self, receipts: Vec<Receipt>) -> Result<Vec<Receipt>> {
        self.queue.extend(receipts).await
    }

    async fn release(&self, receipts: Vec<Receipt>, delay: Duration) -> Result<()> {
        self.queue.release(receipts.clone(), delay).await?;
        self.with(|settled| settled.released.extend(receipts));
        Ok(())
    }

    async fn dead_letter(&self, received: &ReceivedMessage, reason: &str) -> Result<()> {
        self.queue.dead_letter(received, reason).await?;
        self.with(|settled| settled.done.insert(received.receipt.clone()));
        Ok(())
    }

    async fn requeue(&self, received: &ReceivedMessage, delay: Duration) -> Result<()> {
        self.queue.requeue(received, delay).await?;
        self.with(|settled| settled.done.insert(received.receipt.clone()));
        Ok(())
    }

    async fn depth(&self) -> Result<QueueDepth> {
        self.queue.depth().await
    }
}

fn received(message: SqsMessage) -> ReceivedMessage {
    let told = |name: &str| message.attributes.get(name);
    let attribute = |name: &str| message.message_attributes.get(name).and_then(|told| told.string_value.clone());
    ReceivedMessage {
        group: told("MessageGroupId").cloned().unwrap_or_default(),
        attempt: told("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1),
        reason: attribute(REASON),
        trace: attribute(TRACE),
        body: message.body.unwrap_or_default(),
        receipt: Receipt(message.receipt_handle.unwrap_or_default()),
    }
}
