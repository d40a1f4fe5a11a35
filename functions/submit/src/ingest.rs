//! The second door, behind the documents queue: fetch, check, split.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use quire_egress::FetchError;
use quire_platform::{Completion, Consumer, Delivery, Error, QueueName, Undecodable, owe_callback, patiently};
use quire_tasks::{DocumentMessage, DocumentState, Failure, FailureCode, Key, Split, Task};
use tempfile::TempDir;
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    Door,
    check::inspect,
    dispatch::{queued_pages, send_pages},
};

/// How many documents are fetched at the same time: it is mostly waiting, but each may fill the spool with the largest
/// document that is taken.
const AT_A_TIME: usize = 8;
/// How long a shutdown waits for documents in hand; what is not done then is received again after its lease.
const DRAIN_LIMIT: Duration = Duration::from_secs(15);
/// The wait before the second attempt; each further one is twice as long.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
/// The longest wait between two attempts.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(8);

/// Consumes the documents queue until `shutdown`, then finishes what is in hand.
///
/// # Errors
/// When the queue is broken. Throttling and a full disk are waited out.
pub async fn ingest(door: Arc<Door>, shutdown: CancellationToken) -> Result<()> {
    // Longer than a fetch and a check may take: a lease that is kept past that belongs to something stuck.
    let longest = door.settings.fetch_limit + door.settings.inspect_limit + Duration::from_mins(1);
    let consumer = Consumer::<DocumentMessage>::new(door.home.queue(QueueName::Documents), longest);
    let mut in_hand = JoinSet::new();
    while !shutdown.is_cancelled() {
        while in_hand.try_join_next().is_some() {}
        if in_hand.len() == AT_A_TIME {
            in_hand.join_next().await;
            continue;
        }
        match consumer.receive_until(AT_A_TIME - in_hand.len(), &shutdown).await {
            Ok(received) => received.into_iter().for_each(|delivery| {
                in_hand.spawn(take(Arc::clone(&door), delivery));
            }),
            Err(error @ (Error::Busy { .. } | Error::Full { .. })) => {
                warn!(%error, "the documents queue cannot be received from now");
                tokio::time::sleep(LONGEST_BACK_OFF).await;
            }
            Err(error) => return Err(error).context("the documents queue cannot be received from"),
        }
    }
    let rest = async { while in_hand.join_next().await.is_some() {} };
    if timeout(DRAIN_LIMIT, rest).await.is_err() {
        warn!(documents = in_hand.len(), "the shutdown did not wait for documents in hand; they are received again");
    }
    Ok(())
}

async fn take(door: Arc<Door>, delivery: Result<Delivery<DocumentMessage>, Undecodable>) {
    match delivery {
        Ok(delivery) => {
            let DocumentMessage { task_id, document, .. } = delivery.message;
            let attempt = delivery.attempt;
            if let Err(error) = ingest_one(&door, delivery).await {
                // The lease was dropped: the message is received again.
                let error = format!("{error:#}");
                error!(task.id = %task_id, document, delivery.attempt = attempt, error, "ingest failed");
            }
        }
        Err(Undecodable { error, lease, .. }) => {
            warn!(%error, "a document message is unreadable");
            if let Err(error) = lease.dead_letter(&error.to_string()).await {
                error!(%error, "an unreadable document message could not be dead-lettered");
            }
        }
    }
}

/// Why a document is not to be had.
#[derive(Debug)]
enum Miss {
    /// It never will be.
    Final(Failure),
    /// It may be later.
    Transient(Failure),
}

/// Does what one message asks for: fetches, checks and splits its document, unless that has been done.
///
/// # Errors
/// Any error of the home, after patience has ended; the message is then received again.
pub async fn ingest_one(door: &Door, delivery: Delivery<DocumentMessage>) -> Result<()> {
    let Delivery { message, attempt, lease, .. } = delivery;
    let tasks = &door.home.tasks;
    let task = match patiently(|| tasks.task(message.task_id)).await {
        Err(Error::NotFound { .. }) => return Ok(lease.acknowledge().await?),
        task => task?,
    };
    let state = task.document(message.document).map(|document| document.state.clone());
    let task = match state {
        Some(DocumentState::Pending { url }) => {
            let last = attempt >= QueueName::Documents.settings().max_receives;
            let state = match obtain(door, &message, &url).await? {
                Ok(split) => DocumentState::Split(split),
                Err(Miss::Transient(failure)) if !last => {
                    note(&message, attempt, &failure);
                    return Ok(lease.release(back_off(attempt, rand::random())).await?);
                }
                Err(Miss::Transient(failure) | Miss::Final(failure)) => {
                    note(&message, attempt, &failure);
                    DocumentState::Failed(failure)
                }
            };
            let settle = || tasks.settle_document(message.task_id, message.document, state.clone());
            let (Completion::Now(task) | Completion::Before(task)) = patiently(settle).await?;
            task
        }
        _ => task,
    };
    follow_up(door, &task, message.document).await?;
    Ok(lease.acknowledge().await?)
}

fn note(message: &DocumentMessage, attempt: u32, failure: &Failure) {
    let DocumentMessage { task_id, document, .. } = message;
    let code = failure.code.as_str();
    info!(task.id = %task_id, document, code, delivery.attempt = attempt, "the document was not to be had");
}

/// What a settled document leads to: its pages are sent, or its task may have ended. Repeating it is harmless.
async fn follow_up(door: &Door, task: &Task, document: u32) -> Result<()> {
    let mut pages = queued_pages(&door.home, task).await?;
    pages.retain(|message| message.page.document == document);
    send_pages(&door.home, task, pages).await?;
    Ok(owe_callback(&door.home, task).await?)
}

/// Fetches and checks a document, and stores it when it is one. An error is the home's.
async fn obtain(door: &Door, message: &DocumentMessage, url: &str) -> Result<Result<Split, Miss>> {
    let DocumentMessage { task_id, document, .. } = *message;
    let (_folder, file) = new_file(door).await?;
    if let Err(error) = fetch(door, url, &file).await {
        return Ok(Err(miss(error)?));
    }
    let split = match inspect(door, &file).await {
        Ok(split) => split,
        Err(failure) if failure.code.retryable() => return Ok(Err(Miss::Transient(failure))),
        Err(failure) => return Ok(Err(Miss::Final(failure))),
    };
    let key = Key::Document { task_id, document }.to_string();
    patiently(|| door.home.objects.put_file(&key, &file)).await?;
    info!(task.id = %task_id, document, document.pages = split.pages, "document fetched and split");
    Ok(Ok(split))
}

async fn fetch(door: &Door, url: &str, file: &Path) -> Result<(), FetchError> {
    // Checked at the door already, but the policy may have become stricter since.
    let url = door.egress.check(url)?;
    door.egress.fetch(&url, door.settings.limits.max_bytes, door.settings.fetch_limit, file).await?;
    Ok(())
}

fn miss(error: FetchError) -> Result<Miss> {
    let transient = error.is_transient();
    let code = match error {
        FetchError::Storage(error) => return Err(error).context("the spool cannot be written"),
        FetchError::Refused(_) => FailureCode::UrlRefused,
        FetchError::TooLarge { .. } => FailureCode::DocumentTooLarge,
        _ => FailureCode::FetchFailed,
    };
    let failure = Failure::new(code, format!("The document could not be fetched: {error}."));
    Ok(if transient { Miss::Transient(failure) } else { Miss::Final(failure) })
}

async fn new_file(door: &Door) -> Result<(TempDir, PathBuf)> {
    let spool = door.home.objects.spool();
    let made = tokio::task::spawn_blocking(move || tempfile::Builder::new().prefix("fetch-").tempdir_in(spool));
    let folder = made.await?.context("the spool cannot be written")?;
    let file = folder.path().join("document");
    Ok((folder, file))
}

/// The wait after an attempt, by a random number from 0 to 1: so that documents of one slow server do not come back all
/// at the same moment.
fn back_off(attempt: u32, random: f64) -> Duration {
    let doubled = FIRST_BACK_OFF.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    doubled.min(LONGEST_BACK_OFF).mul_f64(random.mul_add(0.5, 0.5))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_back_off_lies_between_half_a_second_and_the_longest(attempt in 0_u32.., random in 0.0..1.0) {
            let wait = back_off(attempt, random);
            prop_assert!(wait >= FIRST_BACK_OFF / 2 && wait <= LONGEST_BACK_OFF);
            prop_assert!(wait <= back_off(attempt.saturating_add(1), random));
        }
    }
}
