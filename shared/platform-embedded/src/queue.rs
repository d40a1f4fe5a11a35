//! A queue on the database, and how it waits.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use quire_platform::{OutgoingMessage, Queue, QueueDepth, QueueName, QueueSettings, Receipt, ReceivedMessage, Result};

use crate::{
    database::Database,
    messages::{self, Terms},
    wakeup::{Change, LONGEST_DEAFNESS},
};

/// One of the queues.
#[derive(Debug)]
pub(crate) struct SqliteQueue {
    terms: Terms,
    database: Arc<Database>,
}

impl SqliteQueue {
    pub(crate) fn new(queue: QueueName, settings: QueueSettings, holder: Arc<str>, database: Arc<Database>) -> Self {
        Self { terms: Terms { queue, settings, holder }, database }
    }
}

#[async_trait]
impl Queue for SqliteQueue {
    fn name(&self) -> QueueName {
        self.terms.queue
    }

    fn settings(&self) -> QueueSettings {
        self.terms.settings
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
            let terms = self.terms.clone();
            let taken = self
                .database
                .write(move |connection, changes| messages::take(connection, changes, &terms, max))
                .await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if !taken.received.is_empty() || left.is_zero() {
                return Ok(taken.received);
            }
            let pause = taken.next_in.unwrap_or(LONGEST_DEAFNESS).min(LONGEST_DEAFNESS).min(left);
            listener.heard(Change::Queue(self.name()), pause).await;
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
        let (queue, receipt, reason) = (self.name(), received.receipt.clone(), reason.to_owned());
        self.database
            .write(move |connection, changes| messages::dead_letter(connection, changes, queue, &receipt, &reason))
            .await
    }

    async fn requeue(&self, received: &ReceivedMessage, delay: Duration) -> Result<()> {
        let (queue, receipt) = (self.name(), received.receipt.clone());
        self.database
            .write(move |connection, changes| messages::requeue(connection, changes, queue, &receipt, delay))
            .await
    }

    async fn depth(&self) -> Result<QueueDepth> {
        let queue = self.name();
        self.database.read(move |connection| messages::depth(connection, queue)).await
    }
}
