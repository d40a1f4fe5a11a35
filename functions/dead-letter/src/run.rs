//! Takes dead letters as they come.

use std::time::Duration;

use quire_platform::{Consumer, Delivery, Home, QueueName, Result, Undecodable};
use quire_tasks::Message;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::{
    DeadLetter, Kind, bury_callback, bury_document, bury_page,
    letter::{file, now},
};

/// Received at once, and handled one after the other: there are few, and nobody waits for the next.
const BATCH: usize = 10;
/// After this whoever buries a letter is taken for stuck: what the home may make a batch wait.
const LONGEST_BURIAL: Duration = Duration::from_mins(5);
/// Pause after a queue could not be received from.
const PAUSE: Duration = Duration::from_secs(5);

/// Buries dead pages, documents and callbacks until `shutdown`, then finishes what is in hand.
///
/// # Errors
/// None so far: trouble of the home is logged, and waited out.
pub async fn run(home: Home, shutdown: CancellationToken) -> anyhow::Result<()> {
    tokio::join!(
        consume(&home, (Kind::Pages, QueueName::DeadPages), bury_page, &shutdown),
        consume(&home, (Kind::Documents, QueueName::DeadDocuments), bury_document, &shutdown),
        consume(&home, (Kind::Callbacks, QueueName::DeadCallbacks), bury_callback, &shutdown),
    );
    Ok(())
}

async fn consume<M, F>(
    home: &Home,
    (kind, queue): (Kind, QueueName),
    bury: impl Fn(Home, Delivery<M>) -> F,
    shutdown: &CancellationToken,
) where
    M: Message,
    F: Future<Output = Result<()>>,
{
    let consumer = Consumer::new(home.queue(queue), LONGEST_BURIAL);
    while !shutdown.is_cancelled() {
        let received = match consumer.receive_until(BATCH, shutdown).await {
            Ok(received) => received,
            Err(error) => {
                error!(queue = queue.as_str(), %error, "dead letters cannot be received");
                shutdown.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
                continue;
            }
        };
        for delivery in received {
            let buried = match delivery {
                Ok(delivery) => bury(home.clone(), delivery).await,
                Err(unreadable) => bury_unreadable(home, kind, unreadable).await,
            };
            if let Err(error) = buried {
                warn!(queue = queue.as_str(), %error, "a dead letter was left; it is received again");
            }
        }
    }
}

/// Files a message that nobody can read. It fails no page, for nobody knows which.
async fn bury_unreadable(home: &Home, kind: Kind, unreadable: Undecodable) -> Result<()> {
    let Undecodable { body, error, lease } = unreadable;
    let digest: [u8; 32] = Sha256::digest(&body).into();
    let head = digest.first_chunk().expect("a digest has 32 bytes");
    let name = format!("unreadable-{:032x}", u128::from_be_bytes(*head));
    warn!(queue = kind.as_str(), %error, name, "a message that nobody can read was filed with the dead letters");
    let reason = error.to_string();
    let letter = DeadLetter { queue: kind, name, task_id: None, body, reason, receives: None, filed_at: now() };
    file(home, &letter).await?;
    lease.acknowledge().await
}
