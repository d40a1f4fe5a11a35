//! Takes dead letters as they come.

use std::time::Duration;

use quire_platform::{Backend, Consumer, Delivery, MalformedMessage, QueueName, Result, consumer::run_in_batches};
use quire_tasks::{CallbackMessage, DocumentMessage, Message, PageMessage};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    DeadLetter, Kind, bury_callback, bury_document, bury_page,
    letter::{file, now},
};

/// ReceivedMessage at once, and handled one after the other: there are few, and nobody waits for the next.
const BATCH: usize = 10;
/// After this whoever buries a letter is taken for stuck: what the backend may make a batch wait.
const LONGEST_BURIAL: Duration = Duration::from_mins(5);
/// Pause after a queue could not be received from.
const PAUSE: Duration = Duration::from_secs(5);

/// A message that can be a dead letter.
pub trait Mortal: Message {
    /// What it is filed as.
    const KIND: Kind;
    /// Where it lies when it is dead.
    const QUEUE: QueueName;

    /// Ends what it was about, files it, and acknowledges it.
    fn bury(backend: Backend, delivery: Delivery<Self>) -> impl Future<Output = Result<()>> + Send;
}

impl Mortal for PageMessage {
    const KIND: Kind = Kind::Pages;
    const QUEUE: QueueName = QueueName::DeadPages;

    fn bury(backend: Backend, delivery: Delivery<Self>) -> impl Future<Output = Result<()>> + Send {
        bury_page(backend, delivery)
    }
}

impl Mortal for DocumentMessage {
    const KIND: Kind = Kind::Documents;
    const QUEUE: QueueName = QueueName::DeadDocuments;

    fn bury(backend: Backend, delivery: Delivery<Self>) -> impl Future<Output = Result<()>> + Send {
        bury_document(backend, delivery)
    }
}

impl Mortal for CallbackMessage {
    const KIND: Kind = Kind::Callbacks;
    const QUEUE: QueueName = QueueName::DeadCallbacks;

    fn bury(backend: Backend, delivery: Delivery<Self>) -> impl Future<Output = Result<()>> + Send {
        bury_callback(backend, delivery)
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

async fn consume<M: Mortal>(backend: &Backend, shutdown: &CancellationToken) {
    let consumer = Consumer::<M>::new(backend.queue(M::QUEUE), LONGEST_BURIAL);
    run_in_batches(&consumer, BATCH, PAUSE, shutdown, |delivery| take(backend.clone(), delivery)).await;
}

/// Buries all of these, side by side, within `limit`: for a function that is called with them and killed at its
/// deadline. What is broken off is received again.
pub async fn bury_all<M: Mortal>(
    backend: &Backend,
    deliveries: Vec<Result<Delivery<M>, MalformedMessage>>,
    limit: Duration,
) {
    quire_telemetry::finish_within(limit, deliveries.into_iter().map(|delivery| take(backend.clone(), delivery))).await;
}

async fn take<M: Mortal>(backend: Backend, delivery: Result<Delivery<M>, MalformedMessage>) {
    let buried = match delivery {
        Ok(delivery) => M::bury(backend, delivery).await,
        Err(unreadable) => bury_unreadable(&backend, M::KIND, unreadable).await,
    };
    if let Err(error) = buried {
        warn!(queue = M::QUEUE.as_str(), %error, "a dead letter was left; it is received again");
    }
}

/// Files a message that nobody can read. It fails no page, for nobody knows which.
async fn bury_unreadable(backend: &Backend, kind: Kind, unreadable: MalformedMessage) -> Result<()> {
    let MalformedMessage { body, error, lease } = unreadable;
    let digest: [u8; 32] = Sha256::digest(&body).into();
    let head = digest.first_chunk().expect("a digest has 32 bytes");
    let name = format!("unreadable-{:032x}", u128::from_be_bytes(*head));
    warn!(queue = kind.as_str(), %error, name, "a message that nobody can read was filed with the dead letters");
    let reason = error.to_string();
    let letter = DeadLetter { queue: kind, name, task_id: None, body, reason, receives: None, filed_at: now() };
    file(backend, &letter).await?;
    lease.acknowledge().await
}
