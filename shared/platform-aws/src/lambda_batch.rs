//! The messages of a Lambda invocation, and the response to it.
//!
//! Lambda receives the messages for the function and deletes those that the function does not report as failed (partial
//! batch response). Leases are not extended: the queue's visibility timeout is several times the function's timeout.

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

/// The messages of one invocation. Their leases work as those of a [`quire_platform::Consumer`], and
/// [`LambdaBatch::response`] reports their ends to Lambda.
#[derive(Debug)]
pub struct LambdaBatch {
    queue: Arc<LambdaQueue>,
    leases: Arc<LeaseRegistry>,
    /// Lambda's id of each message, and its receipt.
    ids: Vec<(String, Receipt)>,
    received: Vec<ReceivedMessage>,
}

impl LambdaBatch {
    pub(crate) fn new(queue: Arc<dyn Queue>, event: SqsEvent) -> Self {
        let queue = Arc::new(LambdaQueue { queue, ended: Mutex::default() });
        let mut ids = Vec::new();
        let mut received = Vec::new();
        for message in event.records {
            let id = message.message_id.clone().unwrap_or_default();
            let message = to_received_message(message);
            ids.push((id, message.receipt.clone()));
            received.push(message);
        }
        Self { queue, leases: Arc::default(), ids, received }
    }

    /// Returns the messages on the first call, and none afterwards.
    pub fn deliveries<M: Message>(&mut self) -> Vec<Received<M>> {
        let queue: Arc<dyn Queue> = Arc::clone(&self.queue) as Arc<dyn Queue>;
        let received = std::mem::take(&mut self.received).into_iter();
        received.map(|received| Delivery::open(&queue, &self.leases, received)).collect()
    }

    /// Returns the response for Lambda: every message that was neither acknowledged nor dead-lettered has failed. A
    /// failed message that was not released is hidden only as long as a consumer's lease: the function is alive, so the
    /// queue's long visibility timeout, meant for crashed functions, is not needed.
    pub async fn response(self) -> SqsBatchResponse {
        let dropped = self.queue.with(|ended| {
            let receipts = self.ids.iter().map(|(_, receipt)| receipt);
            receipts.filter(|&receipt| !ended.contains(receipt)).cloned().collect::<Vec<_>>()
        });
        if !dropped.is_empty()
            && let Err(error) = self.queue.queue.release(dropped, self.queue.settings().lease).await
        {
            let queue = self.queue.name().as_str();
            warn!(queue, %error, "cannot release failed messages; they stay invisible for the visibility timeout");
        }
        let mut response = SqsBatchResponse::default();
        let failed = self.queue.with(|ended| {
            let failed = self.ids.iter().filter(|(_, receipt)| !ended.done.contains(receipt));
            failed.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        });
        response.set_failures(failed);
        response
    }
}

/// A queue whose messages Lambda deletes.
#[derive(Debug)]
struct LambdaQueue {
    queue: Arc<dyn Queue>,
    ended: Mutex<EndedMessages>,
}

/// The messages that have ended.
#[derive(Debug, Default)]
struct EndedMessages {
    done: HashSet<Receipt>,
    released: HashSet<Receipt>,
}

impl EndedMessages {
    fn contains(&self, receipt: &Receipt) -> bool {
        self.done.contains(receipt) || self.released.contains(receipt)
    }
}

impl LambdaQueue {
    fn with<T>(&self, change: impl FnOnce(&mut EndedMessages) -> T) -> T {
        change(&mut self.ended.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Queue for LambdaQueue {
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
        self.with(|ended| ended.done.extend(receipts));
        Ok(())
    }

    async fn extend(&self, receipts: Vec<Receipt>) -> Result<Vec<Receipt>> {
        self.queue.extend(receipts).await
    }

    async fn release(&self, receipts: Vec<Receipt>, delay: Duration) -> Result<()> {
        self.queue.release(receipts.clone(), delay).await?;
        self.with(|ended| ended.released.extend(receipts));
        Ok(())
    }

    async fn dead_letter(&self, received: &ReceivedMessage, reason: &str) -> Result<()> {
        self.queue.dead_letter(received, reason).await?;
        self.with(|ended| ended.done.insert(received.receipt.clone()));
        Ok(())
    }

    async fn requeue(&self, received: &ReceivedMessage, delay: Duration) -> Result<()> {
        self.queue.requeue(received, delay).await?;
        self.with(|ended| ended.done.insert(received.receipt.clone()));
        Ok(())
    }

    async fn depth(&self) -> Result<QueueDepth> {
        self.queue.depth().await
    }
}

fn to_received_message(message: SqsMessage) -> ReceivedMessage {
    let attempt = message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok());
    ReceivedMessage {
        group: message.attributes.get("MessageGroupId").cloned().unwrap_or_default(),
        attempt: attempt.unwrap_or(1),
        reason: string_value(&message, REASON),
        trace: string_value(&message, TRACE),
        body: message.body.unwrap_or_default(),
        receipt: Receipt(message.receipt_handle.unwrap_or_default()),
    }
}

fn string_value(message: &SqsMessage, name: &str) -> Option<String> {
    message.message_attributes.get(name)?.string_value.clone()
}
