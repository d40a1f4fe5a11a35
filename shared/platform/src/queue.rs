//! Queues with leases, receive counts, delays, redrive and fair turns between tenants: what SQS does.

use std::{collections::BTreeMap, fmt::Debug, sync::LazyLock, time::Duration};

use async_trait::async_trait;
use quire_tasks::{Message, Task, Tenant};
use serde::Deserialize;

use crate::Result;

/// The queues, and for each what it does with a message that is received in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QueueName {
    /// Documents to fetch, check and split.
    Documents,
    /// Pages to read.
    Pages,
    /// Customers to tell.
    Callbacks,
    /// Documents past their last attempt.
    DeadDocuments,
    /// Pages past their last attempt.
    DeadPages,
    /// Callbacks past their last attempt.
    DeadCallbacks,
}

impl QueueName {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 6] =
        [Self::Documents, Self::Pages, Self::Callbacks, Self::DeadDocuments, Self::DeadPages, Self::DeadCallbacks];

    /// The name, as it is stored and shown.
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

    /// Where this queue's dead letters go; a dead-letter queue has none.
    pub const fn dead_letter_queue(self) -> Option<Self> {
        match self {
            Self::Documents => Some(Self::DeadDocuments),
            Self::Pages => Some(Self::DeadPages),
            Self::Callbacks => Some(Self::DeadCallbacks),
            Self::DeadDocuments | Self::DeadPages | Self::DeadCallbacks => None,
        }
    }

    /// What this queue does with its messages, for those who extend their leases while they hold them: they need no
    /// long ones, and what they drop is then soon received again.
    pub fn settings(self) -> QueueSettings {
        let declared = self.declared_settings();
        QueueSettings { lease: declared.lease.min(LONGEST_KEPT), ..declared }
    }

    /// What this queue does with its messages as it is declared in `queues.json`, the one definition for every backend and
    /// for Terraform. Its lease is for those who cannot extend it: a Lambda's time-out, six times.
    ///
    /// # Panics
    /// Never: the file is part of this program, and a test reads it.
    pub fn declared_settings(self) -> QueueSettings {
        static DECLARED: LazyLock<BTreeMap<String, Declared>> =
            LazyLock::new(|| serde_json::from_str(include_str!("../queues.json")).expect("queues.json is well-formed"));
        let Declared { lease_secs, max_receives } = DECLARED[self.as_str()];
        QueueSettings { lease: Duration::from_secs(lease_secs), max_receives: max_receives.unwrap_or(u32::MAX) }
    }
}

/// The longest lease that is taken by those who extend it: as long as a crash may hide a message.
const LONGEST_KEPT: Duration = Duration::from_secs(30);

/// A queue in `queues.json`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    lease_secs: u64,
    max_receives: Option<u32>,
}

/// What a queue does with a message that is received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// How long it stays invisible unless its lease is extended.
    pub lease: Duration,
    /// How often it is received before the next receive sends it to the dead-letter queue instead.
    pub max_receives: u32,
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// Its text.
    pub body: String,
    /// Queues take turns between groups: the tenant.
    pub group: String,
    /// How long it stays invisible at first: at most 15 minutes.
    pub delay: Duration,
    /// The trace that it belongs to, as a `traceparent`.
    pub trace: Option<String>,
}

impl OutgoingMessage {
    /// A message of a tenant, visible at once.
    pub fn new(message: &impl Message, tenant: &Tenant) -> Self {
        Self { body: message.encode(), group: tenant.to_string(), delay: Duration::ZERO, trace: None }
    }

    /// A message about a task, on behalf of its tenant and within its trace.
    pub fn for_task(task: &Task, message: &impl Message, delay: Duration) -> Self {
        let trace = task.trace.map(|trace| trace.to_string());
        Self { delay, trace, ..Self::new(message, &task.tenant) }
    }
}

/// Names one receive of one message. It is of no use once the lease has ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

/// A message as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// Its text.
    pub body: String,
    /// Its group.
    pub group: String,
    /// How often it was received, this time included: at least 1.
    pub attempt: u32,
    /// Why it was sent here, on a dead-letter queue whose sender knew.
    pub reason: Option<String>,
    /// The trace that it belongs to, as a `traceparent`.
    pub trace: Option<String>,
    /// This receive.
    pub receipt: Receipt,
}

/// What lies in a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Can be received now.
    pub ready: u64,
    /// Leased.
    pub in_flight: u64,
    /// Not yet visible.
    pub delayed: u64,
}

/// One queue: at least once, in turns between groups, roughly in order within one.
#[async_trait]
pub trait Queue: Debug + Send + Sync {
    /// Which.
    fn name(&self) -> QueueName;

    /// What it does with its messages.
    fn settings(&self) -> QueueSettings;

    /// Sends all of these.
    ///
    /// # Errors
    /// Any [`crate::Error`]; some of the messages may have been sent.
    async fn send(&self, messages: Vec<OutgoingMessage>) -> Result<()>;

    /// Leases up to `max` messages for [`QueueSettings::lease`]; where there is none, waits up to `wait` for the first.
    /// Messages past [`QueueSettings::max_receives`] go to the dead-letter queue instead.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<ReceivedMessage>>;

    /// Deletes received messages. A receipt whose lease has ended changes nothing.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn acknowledge(&self, receipts: Vec<Receipt>) -> Result<()>;

    /// Starts the leases anew; returns those that had ended and are lost.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn extend(&self, receipts: Vec<Receipt>) -> Result<Vec<Receipt>>;

    /// Gives messages back, to be received again after `delay` (at most 12 hours). A receipt whose lease has ended
    /// changes nothing.
    ///
    /// # Errors
    /// Any [`crate::Error`]; some of the messages may have been given back.
    async fn release(&self, receipts: Vec<Receipt>, delay: Duration) -> Result<()>;

    /// Moves a message to the dead-letter queue now, with the reason. A receipt whose lease has ended changes nothing.
    ///
    /// # Errors
    /// Any [`crate::Error`]; the message is in one of both queues.
    async fn dead_letter(&self, received: &ReceivedMessage, reason: &str) -> Result<()>;

    /// Sends a message anew, as one that nobody has received yet, visible after `delay` (at most 15 minutes), in place of
    /// this receive of it. A receipt whose lease has ended changes nothing.
    ///
    /// # Errors
    /// Any [`crate::Error`]; the message is there at least once.
    async fn requeue(&self, received: &ReceivedMessage, delay: Duration) -> Result<()>;

    /// What lies in it, roughly.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn depth(&self) -> Result<QueueDepth>;
}

/// Sends messages about a task: its tenant is their group, and its trace is theirs.
///
/// # Errors
/// As [`Queue::send`].
pub async fn send<M: Message>(queue: &dyn Queue, task: &Task, messages: impl IntoIterator<Item = M>) -> Result<()> {
    send_delayed(queue, task, messages, Duration::ZERO).await
}

/// As [`send`], to be received after `delay` (at most 15 minutes).
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
    fn every_queue_is_declared_within_what_sqs_takes() {
        for name in QueueName::ALL {
            let QueueSettings { lease, max_receives } = name.declared_settings();
            assert!((Duration::from_secs(30)..=Duration::from_hours(12)).contains(&lease), "{name:?}: {lease:?}");
            let bounded = (1..=1000).contains(&max_receives);
            assert_eq!(bounded, name.dead_letter_queue().is_some(), "{name:?}: {max_receives}");
            assert!(name.settings().lease <= LONGEST_KEPT);
        }
        let declared: BTreeMap<String, Declared> = serde_json::from_str(include_str!("../queues.json")).expect("JSON");
        assert_eq!(declared.len(), QueueName::ALL.len(), "a queue that nobody knows is a typing error");
    }

    #[test]
    fn a_callback_is_tried_four_times_and_a_page_five() {
        assert_eq!(QueueName::Callbacks.declared_settings().max_receives, 12, "more than any schedule has");
        assert_eq!(QueueName::Pages.declared_settings().max_receives, 5);
        assert_eq!(QueueName::Documents.declared_settings().max_receives, 5);
    }
}
