//! Queues with leases (visibility timeouts), receive counts, delays, dead-letter queues and fair queuing between
//! tenants.

use std::{collections::BTreeMap, fmt::Debug, sync::LazyLock, time::Duration};

use async_trait::async_trait;
use quire_fair_share::Capacity;
use quire_tasks::{Message, Task, Tenant};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::Result;

/// The queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QueueName {
    /// Documents to fetch, validate and split.
    Documents,
    /// Pages to read.
    Pages,
    /// Webhooks to deliver.
    Callbacks,
    /// The dead-letter queue of [`QueueName::Documents`].
    DeadDocuments,
    /// The dead-letter queue of [`QueueName::Pages`].
    DeadPages,
    /// The dead-letter queue of [`QueueName::Callbacks`].
    DeadCallbacks,
}

impl QueueName {
    /// All queues, in the order of their discriminants.
    pub const ALL: [Self; 6] =
        [Self::Documents, Self::Pages, Self::Callbacks, Self::DeadDocuments, Self::DeadPages, Self::DeadCallbacks];

    /// Returns the name, as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Documents => "documents",
            Self::Pages => "pages",
            Self::Callbacks => "callbacks",
            Self::DeadDocuments => "documents-dead",
            Self::DeadPages => "pages-dead",
            Self::DeadCallbacks => "callbacks-dead",
        }
    }

    /// Returns the queue's dead-letter queue, or `None` if it is one.
    pub const fn dead_letter_queue(self) -> Option<Self> {
        match self {
            Self::Documents => Some(Self::DeadDocuments),
            Self::Pages => Some(Self::DeadPages),
            Self::Callbacks => Some(Self::DeadCallbacks),
            Self::DeadDocuments | Self::DeadPages | Self::DeadCallbacks => None,
        }
    }

    /// Returns the settings for consumers that extend their leases: the visibility timeout is short, so that the
    /// messages of a crashed consumer are soon received again.
    pub fn settings(self) -> QueueSettings {
        let declared = self.declared_settings();
        QueueSettings { lease: declared.lease.min(MAX_EXTENDED_LEASE), ..declared }
    }

    /// Returns the settings declared in `queues.json`, the one definition for every backend and for Terraform. The
    /// visibility timeout is for consumers that do not extend it: six times a Lambda function's timeout, as AWS
    /// recommends.
    ///
    /// # Panics
    /// Never: the file is compiled in, and a test parses it.
    pub fn declared_settings(self) -> QueueSettings {
        static DECLARATIONS: LazyLock<BTreeMap<String, QueueDeclaration>> =
            LazyLock::new(|| serde_json::from_str(include_str!("../queues.json")).expect("queues.json is valid"));
        let QueueDeclaration { lease_secs, max_receives } = DECLARATIONS[self.as_str()];
        QueueSettings { lease: Duration::from_secs(lease_secs), max_receives: max_receives.unwrap_or(u32::MAX) }
    }
}

/// How long a receive waits that cannot be interrupted, while a group can take no message: its capacity may grow.
const LIMITED_POLL: Duration = Duration::from_secs(1);

/// The longest visibility timeout of consumers that extend their leases: how long a crash may hide a message.
const MAX_EXTENDED_LEASE: Duration = Duration::from_secs(30);

/// A queue in `queues.json`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueDeclaration {
    lease_secs: u64,
    max_receives: Option<u32>,
}

/// The settings of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// The visibility timeout: how long a received message stays invisible unless its lease is extended.
    pub lease: Duration,
    /// The maximum receive count: the next receive moves the message to the dead-letter queue instead.
    pub max_receives: u32,
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// The body.
    pub body: String,
    /// The message group: the tenant. Groups share the queue by fair queuing.
    pub group: String,
    /// How long the message is invisible after sending: at most 15 minutes.
    pub delay: Duration,
    /// The trace context, as a `traceparent` header.
    pub trace: Option<String>,
}

impl OutgoingMessage {
    /// Creates a message of a tenant, visible at once.
    pub fn new(message: &impl Message, tenant: &Tenant) -> Self {
        Self { body: message.encode(), group: tenant.to_string(), delay: Duration::ZERO, trace: None }
    }

    /// Creates a message about a task, in the group of its tenant and with its trace context.
    pub fn for_task(task: &Task, message: &impl Message, delay: Duration) -> Self {
        let trace = task.trace.map(|trace| trace.to_string());
        Self { delay, trace, ..Self::new(message, &task.tenant) }
    }
}

/// Identifies one receive of one message. It is invalid after the lease has ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

/// A received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// The body.
    pub body: String,
    /// The message group.
    pub group: String,
    /// The receive count, including this receive: at least 1.
    pub attempt: u32,
    /// Why the message is on this dead-letter queue, if its sender knew.
    pub reason: Option<String>,
    /// The trace context, as a `traceparent` header.
    pub trace: Option<String>,
    /// The handle of this receive.
    pub receipt: Receipt,
}

/// The approximate number of messages in a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Messages that can be received now.
    pub ready: u64,
    /// Leased messages.
    pub in_flight: u64,
    /// Messages that are not visible yet.
    pub delayed: u64,
}

/// A queue with at-least-once delivery, fair queuing between groups, and roughly first-in-first-out order within a
/// group.
#[async_trait]
pub trait Queue: Debug + Send + Sync {
    /// Returns the queue's name.
    fn name(&self) -> QueueName;

    /// Returns the queue's settings.
    fn settings(&self) -> QueueSettings;

    /// Sends all messages.
    ///
    /// # Errors
    /// Any [`crate::Error`]; some of the messages may have been sent.
    async fn send(&self, messages: Vec<OutgoingMessage>) -> Result<()>;

    /// Leases up to `max` messages for [`QueueSettings::lease`]; waits up to `wait` for the first. Messages past
    /// [`QueueSettings::max_receives`] move to the dead-letter queue instead.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<ReceivedMessage>>;

    /// As [`Queue::receive`], but leases at most `capacity.max` messages, and of each group at most what it can take; a
    /// queue that cannot select groups may return more of a group, which the consumer puts back. Returns soon after
    /// `stop`, without losing a message, if the queue can interrupt a receive.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn receive_fairly(
        &self,
        capacity: &Capacity,
        wait: Duration,
        _stop: &CancellationToken,
    ) -> Result<Vec<ReceivedMessage>> {
        let wait = if capacity.is_limited() { wait.min(LIMITED_POLL) } else { wait };
        self.receive(capacity.max, wait).await
    }

    /// Acknowledges received messages: deletes them. Receipts of ended leases are ignored.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn acknowledge(&self, receipts: Vec<Receipt>) -> Result<()>;

    /// Restarts the visibility timeout of these leases. Returns the receipts whose lease had ended already.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn extend(&self, receipts: Vec<Receipt>) -> Result<Vec<Receipt>>;

    /// Releases messages: they are visible again after `delay` (at most 12 hours). Receipts of ended leases are
    /// ignored.
    ///
    /// # Errors
    /// Any [`crate::Error`]; some of the messages may have been released.
    async fn release(&self, receipts: Vec<Receipt>, delay: Duration) -> Result<()>;

    /// Moves a message to the dead-letter queue, with the reason. A receipt of an ended lease is ignored.
    ///
    /// # Errors
    /// Any [`crate::Error`]; the message is in at least one of the two queues.
    async fn dead_letter(&self, received: &ReceivedMessage, reason: &str) -> Result<()>;

    /// Replaces a received message by a new one with the same body and a receive count of 0, visible after `delay` (at
    /// most 15 minutes). A receipt of an ended lease is ignored.
    ///
    /// # Errors
    /// Any [`crate::Error`]; at least one of the two messages exists.
    async fn requeue(&self, received: &ReceivedMessage, delay: Duration) -> Result<()>;

    /// Returns the approximate number of messages.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn depth(&self) -> Result<QueueDepth>;
}

/// Sends messages about a task, in its tenant's group and with its trace context.
///
/// # Errors
/// As [`Queue::send`].
pub async fn send<M: Message>(queue: &dyn Queue, task: &Task, messages: impl IntoIterator<Item = M>) -> Result<()> {
    send_delayed(queue, task, messages, Duration::ZERO).await
}

/// As [`send`], visible after `delay` (at most 15 minutes).
///
/// # Errors
/// As [`Queue::send`].
pub async fn send_delayed<M: Message>(
    queue: &dyn Queue,
    task: &Task,
    messages: impl IntoIterator<Item = M>,
    delay: Duration,
) -> Result<()> {
    let outgoing: Vec<_> =
        messages.into_iter().map(|message| OutgoingMessage::for_task(task, &message, delay)).collect();
    if outgoing.is_empty() { Ok(()) } else { queue.send(outgoing).await }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_queues_are_within_the_limits_of_sqs() {
        for name in QueueName::ALL {
            let QueueSettings { lease, max_receives } = name.declared_settings();
            assert!((Duration::from_secs(30)..=Duration::from_hours(12)).contains(&lease), "{name:?}: {lease:?}");
            let bounded = (1..=1000).contains(&max_receives);
            assert_eq!(bounded, name.dead_letter_queue().is_some(), "{name:?}: {max_receives}");
            assert!(name.settings().lease <= MAX_EXTENDED_LEASE);
        }
        let declared: BTreeMap<String, QueueDeclaration> =
            serde_json::from_str(include_str!("../queues.json")).expect("queues.json is valid");
        assert_eq!(declared.len(), QueueName::ALL.len(), "every declared queue is known");
    }

    #[test]
    fn messages_are_received_more_often_than_any_retry_schedule_needs() {
        assert_eq!(QueueName::Callbacks.declared_settings().max_receives, 12, "more than the longest webhook schedule");
        assert_eq!(QueueName::Pages.declared_settings().max_receives, 5);
        assert_eq!(QueueName::Documents.declared_settings().max_receives, 5);
    }
}
