//! Takes dead letters as they come.

use std::time::Duration;

use quire_platform::{Backend, Consumer, Delivery, MalformedMessage, QueueName, Result};
use quire_tasks::{CallbackMessage, DocumentMessage, Message, PageMessage};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::{
    DeadLetter, DeadLetterKind, handle_dead_callback, handle_dead_document, handle_dead_page,
    record::{file_dead_letter, now},
};

/// ReceivedMessage at once, and handled one after the other: there are few, and nobody waits for the next.
const RECEIVE_BATCH: usize = 10;
/// After this whoever buries a letter is taken for stuck: what the backend may make a batch wait.
const MAX_HANDLING: Duration = Duration::from_mins(5);
/// Pause after a queue could not be received from.
const PAUSE: Duration = Duration::from_secs(5);

/// A message that can be a dead letter.
pub trait DeadMessage: Message {
    /// What it is filed as.
    const KIND: DeadLetterKind;
    /// Where it lies when it is dead.
    const QUEUE: QueueName;

    /// Ends what it was about, files it, and acknowledges it.
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

/// Buries dead pages, documents and callbacks until `shutdown`, then finishes what is in hand.
///
/// # Errors
/// None so far: trouble of the backend is logged, and waited out.
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
    while !shutdown.is_cancelled() {
        match consumer.receive_until(RECEIVE_BATCH, shutdown).await {
            Ok(received) => {
                for delivery in received {
                    handle_delivery(backend.clone(), delivery).await;
                }
            }
            Err(error) => {
                error!(queue = M::QUEUE.as_str(), %error, "dead letters cannot be received");
                shutdown.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
            }
        }
    }
}

/// Buries all of these, side by side, within `limit`: for a function that is called with them and killed at its
/// deadline. What is broken off is received again.
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
    let buried = match delivery {
        Ok(delivery) => M::handle(backend, delivery).await,
        Err(malformed) => file_malformed_message(&backend, M::KIND, malformed).await,
    };
    if let Err(error) = buried {
        warn!(queue = M::QUEUE.as_str(), %error, "a dead letter was left; it is received again");
    }
}

/// Files a message that nobody can read. It fails no page, for nobody knows which.
async fn file_malformed_message(backend: &Backend, kind: DeadLetterKind, malformed: MalformedMessage) -> Result<()> {
    let MalformedMessage { body, error, lease } = malformed;
    let digest: [u8; 32] = Sha256::digest(&body).into();
    let head = digest.first_chunk().expect("a digest has 32 bytes");
    let name = format!("unreadable-{:032x}", u128::from_be_bytes(*head));
    warn!(queue = kind.as_str(), %error, name, "a message that nobody can read was filed with the dead letters");
    let reason = error.to_string();
    let letter = DeadLetter { queue: kind, name, task_id: None, body, reason, receives: None, filed_at: now() };
    file_dead_letter(backend, &letter).await?;
    lease.acknowledge().await
}
