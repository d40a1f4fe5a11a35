//! Queues with leases, receive counts, delays, redrive and fair turns between tenants: what SQS does.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use quire_tasks::{Message, Tenant};

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

    /// What this queue does with its messages: the one definition for every home.
    pub const fn settings(self) -> QueueSettings {
        let max_receives = match self {
            Self::Documents | Self::Pages => 5,
            // A first attempt and three retries.
            Self::Callbacks => 4,
            Self::DeadDocuments | Self::DeadPages | Self::DeadCallbacks => u32::MAX,
        };
        QueueSettings { lease: Duration::from_secs(30), max_receives }
    }
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
pub struct Outgoing {
    /// Its text.
    pub body: String,
    /// Queues take turns between groups: the tenant.
    pub group: String,
    /// How long it stays invisible at first: at most 15 minutes.
    pub delay: Duration,
}

impl Outgoing {
    /// A message of a tenant, visible at once.
    pub fn new(message: &impl Message, tenant: &Tenant) -> Self {
        Self { body: message.encode(), group: tenant.to_string(), delay: Duration::ZERO }
    }
}

/// Names one receive of one message. It is of no use once the lease has ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

/// A message as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its text.
    pub body: String,
    /// Its group.
    pub group: String,
    /// How often it was received, this time included: at least 1.
    pub attempt: u32,
    /// Why it was sent here, on a dead-letter queue whose sender knew.
    pub reason: Option<String>,
    /// This receive.
    pub receipt: Receipt,
}

/// What lies in a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
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
    async fn send(&self, messages: Vec<Outgoing>) -> Result<()>;

    /// Leases up to `max` messages for [`QueueSettings::lease`]; where there is none, waits up to `wait` for the first.
    /// Messages past [`QueueSettings::max_receives`] go to the dead-letter queue instead.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Received>>;

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

    /// Gives a message back, to be received again after `delay` (at most 12 hours). A receipt whose lease has ended
    /// changes nothing.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn release(&self, receipt: Receipt, delay: Duration) -> Result<()>;

    /// Moves a message to the dead-letter queue now, with the reason. A receipt whose lease has ended changes nothing.
    ///
    /// # Errors
    /// Any [`crate::Error`]; the message is in one of both queues.
    async fn dead_letter(&self, received: &Received, reason: &str) -> Result<()>;

    /// What lies in it, roughly.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn depth(&self) -> Result<Depth>;
}

/// Sends messages of one tenant.
///
/// # Errors
/// As [`Queue::send`].
pub async fn send<M: Message>(queue: &dyn Queue, tenant: &Tenant, messages: impl IntoIterator<Item = M>) -> Result<()> {
    let outgoing: Vec<Outgoing> = messages.into_iter().map(|message| Outgoing::new(&message, tenant)).collect();
    if outgoing.is_empty() { Ok(()) } else { queue.send(outgoing).await }
}
