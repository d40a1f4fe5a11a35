//! Receives and handles dead letters.

use std::time::Duration;

use quire_platform::{Backend, Consumer, Delivery, MalformedMessage, QueueName, Result, consumer::run_in_batches};
use quire_tasks::{CallbackMessage, DocumentMessage, Message, PageMessage};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    DeadLetter, DeadLetterKind, handle_dead_callback, handle_dead_document, handle_dead_page,
    record::{file_dead_letter, now},
};

/// Messages per receive. They are handled sequentially: dead letters are rare and not urgent.
const RECEIVE_BATCH: usize = 10;
/// Maximum duration of handling a batch, including the backend's retries. After it the leases are not extended.
const MAX_HANDLING: Duration = Duration::from_mins(5);
/// Pause after a receive error.
const PAUSE: Duration = Duration::from_secs(5);

/// A message type with a dead-letter queue.
pub trait DeadMessage: Message {
    /// The kind of its dead letters.
    const KIND: DeadLetterKind;
    /// Its dead-letter queue.
    const QUEUE: QueueName;

    /// Completes the message's work as failed, records the dead letter, and acknowledges the message.
    fn handle(backend: Backend, delivery: Delivery<Self>) -> impl Future<Output = Result<()>> + Send;
}

impl DeadMessage for PageMessage {
    const KIND: DeadLetterKind = DeadLetterKind::Pages;
    const QUEUE: QueueName = QueueName::DeadPages;

    fn handle(backend: Backend, delivery: Delivery<Self>) -> impl Future<Output = Result<()>> + Send {
        handle_dead_page(backend, delivery)
    }
}

impl DeadMessage for DocumentMessage {
    const KIND: DeadLetterKind = DeadLetterKind::Documents;
    const QUEUE: QueueName = QueueName::DeadDocuments;

    fn handle(backend: Backend, delivery: Delivery<Self>) -> impl Future<Output = Result<()>> + Send {
        handle_dead_document(backend, delivery)
    }
}

impl DeadMessage for CallbackMessage {
    const KIND: DeadLetterKind = DeadLetterKind::Callbacks;
    const QUEUE: QueueName = QueueName::DeadCallbacks;

    fn handle(backend: Backend, delivery: Delivery<Self>) -> impl Future<Output = Result<()>> + Send {
        handle_dead_callback(backend, delivery)
    }
}

/// Handles dead pages, documents and callbacks until `shutdown`, then finishes the current batches (graceful
/// shutdown).
///
/// # Errors
/// None at present: errors of the backend are logged and retried.
pub async fn run(backend: Backend, shutdown: CancellationToken) -> anyhow::Result<()> {
    tokio::join!(
        consume::<PageMessage>(&backend, &shutdown),
        consume::<DocumentMessage>(&backend, &shutdown),
        consume::<CallbackMessage>(&backend, &shutdown),
    );
    Ok(())
}

async fn consume<M: DeadMessage>(backend: &Backend, shutdown: &CancellationToken) {
    let consumer = Consumer::<M>::new(backend.queue(M::QUEUE), MAX_HANDLING);
    run_in_batches(&consumer, RECEIVE_BATCH, PAUSE, shutdown, |delivery| handle_delivery(backend.clone(), delivery))
        .await;
}

/// Handles all messages concurrently within `limit`, for a Lambda function that is killed at its deadline. Messages
/// whose handling is canceled are received again.
pub async fn handle_all<M: DeadMessage>(
    backend: &Backend,
    deliveries: Vec<Result<Delivery<M>, MalformedMessage>>,
    limit: Duration,
) {
    quire_telemetry::finish_within(
        limit,
        deliveries.into_iter().map(|delivery| handle_delivery(backend.clone(), delivery)),
    )
    .await;
}

async fn handle_delivery<M: DeadMessage>(backend: Backend, delivery: Result<Delivery<M>, MalformedMessage>) {
    let handled = match delivery {
        Ok(delivery) => M::handle(backend, delivery).await,
        Err(malformed) => file_malformed_message(&backend, M::KIND, malformed).await,
    };
    if let Err(error) = handled {
        warn!(queue = M::QUEUE.as_str(), %error, "cannot handle a dead letter; it is received again");
    }
}

/// Records a malformed message. No page fails, since the page is unknown.
async fn file_malformed_message(backend: &Backend, kind: DeadLetterKind, malformed: MalformedMessage) -> Result<()> {
    let MalformedMessage { body, error, lease, .. } = malformed;
    let digest: [u8; 32] = Sha256::digest(&body).into();
    let head = digest.first_chunk().expect("a digest has 32 bytes");
    let name = format!("unreadable-{:032x}", u128::from_be_bytes(*head));
    warn!(queue = kind.as_str(), %error, name, "malformed message; recording a dead letter");
    let reason = error.to_string();
    let dead_letter = DeadLetter { queue: kind, name, task_id: None, body, reason, receives: None, filed_at: now() };
    file_dead_letter(backend, &dead_letter).await?;
    lease.acknowledge().await
}
