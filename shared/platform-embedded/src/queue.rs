//! The queue on SQLite, with long polling.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use quire_platform::{OutgoingMessage, Queue, QueueDepth, QueueName, QueueSettings, Receipt, ReceivedMessage, Result};

use crate::{
    database::Database,
    messages::{self, ReceiveSettings},
    wakeup::{CommittedChange, POLL_INTERVAL},
};

/// A queue.
#[derive(Debug)]
pub(crate) struct SqliteQueue {
    receive_settings: ReceiveSettings,
    database: Arc<Database>,
}

impl SqliteQueue {
    pub(crate) fn new(queue: QueueName, settings: QueueSettings, holder: Arc<str>, database: Arc<Database>) -> Self {
        Self { receive_settings: ReceiveSettings { queue, settings, holder }, database }
    }
}

#[async_trait]
impl Queue for SqliteQueue {
    fn name(&self) -> QueueName {
        self.receive_settings.queue
    }

    fn settings(&self) -> QueueSettings {
        self.receive_settings.settings
    }

    async fn send(&self, messages: Vec<OutgoingMessage>) -> Result<()> {
        let queue = self.name();
        self.database.write(move |connection, changes| messages::send(connection, changes, queue, &messages)).await
    }

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<ReceivedMessage>> {
        let deadline = Instant::now() + wait;
        if max == 0 {
            return Ok(Vec::new());
        }
        loop {
            let mut listener = self.database.listen();
            let receive_settings = self.receive_settings.clone();
            let batch = self
                .database
                .write(move |connection, changes| messages::receive(connection, changes, &receive_settings, max))
                .await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if !batch.received.is_empty() || left.is_zero() {
                return Ok(batch.received);
            }
            let pause = batch.next_visible_in.unwrap_or(POLL_INTERVAL).min(POLL_INTERVAL).min(left);
            listener.wait_for(CommittedChange::Queue(self.name()), pause).await;
        }
    }

    async fn acknowledge(&self, receipts: Vec<Receipt>) -> Result<()> {
        let queue = self.name();
        self.database.write(move |connection, _| messages::acknowledge(connection, queue, &receipts)).await
    }

    async fn extend(&self, receipts: Vec<Receipt>) -> Result<Vec<Receipt>> {
        let lease = self.settings().lease;
        self.database.write(move |connection, _| messages::extend(connection, lease, receipts)).await
    }

    async fn release(&self, receipts: Vec<Receipt>, delay: Duration) -> Result<()> {
        let queue = self.name();
        self.database
            .write(move |connection, changes| messages::release(connection, changes, queue, &receipts, delay))
            .await
    }

    async fn dead_letter(&self, received: &ReceivedMessage, reason: &str) -> Result<()> {
        let queue = self.name();
        let receipt = received.receipt.clone();
        let reason = reason.to_owned();
        self.database
            .write(move |connection, changes| messages::dead_letter(connection, changes, queue, &receipt, &reason))
            .await
    }

    async fn requeue(&self, received: &ReceivedMessage, delay: Duration) -> Result<()> {
        let queue = self.name();
        let receipt = received.receipt.clone();
        self.database
            .write(move |connection, changes| messages::requeue(connection, changes, queue, &receipt, delay))
            .await
    }

    async fn depth(&self) -> Result<QueueDepth> {
        let queue = self.name();
        self.database.read(move |connection| messages::depth(connection, queue)).await
    }
}
