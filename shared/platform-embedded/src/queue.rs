//! The queue on SQLite, with long polling.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use quire_fair_share::Capacity;
use quire_platform::{OutgoingMessage, Queue, QueueDepth, QueueName, QueueSettings, Receipt, ReceivedMessage, Result};

use tokio_util::sync::CancellationToken;

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
        let capacity = Capacity { max, by_tenant: BTreeMap::new() };
        self.receive_fairly(&capacity, wait, &CancellationToken::new()).await
    }

    async fn receive_fairly(
        &self,
        capacity: &Capacity,
        wait: Duration,
        stop: &CancellationToken,
    ) -> Result<Vec<ReceivedMessage>> {
        let deadline = Instant::now() + wait;
        if capacity.max == 0 {
            return Ok(Vec::new());
        }
        loop {
            let mut listener = self.database.listen();
            let receive_settings = self.receive_settings.clone();
            let capacity = capacity.clone();
            let batch = self
                .database
                .write(move |connection, changes| messages::receive(connection, changes, &receive_settings, &capacity))
                .await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if !batch.received.is_empty() || left.is_zero() || stop.is_cancelled() {
                return Ok(batch.received);
            }
            let pause = batch.next_visible_in.unwrap_or(POLL_INTERVAL).min(POLL_INTERVAL).min(left);
            // Interrupted between two receives only, so that no message is lost.
            let changed = listener.wait_for(CommittedChange::Queue(self.name()), pause);
            if stop.run_until_cancelled(changed).await.is_none() {
                return Ok(Vec::new());
            }
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
