//! The second door, behind the documents queue: fetch, check, split.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use quire_egress::FetchError;
use quire_platform::{
    Completion, Consumer, Delivery, Download, Error, MalformedMessage, QueueName,
    consumer::{ConcurrencyLimits, run_concurrently},
    enqueue_callback, retry_with_backoff,
};
use quire_tasks::{
    DocumentJob, DocumentMessage, DocumentSource, DocumentState, Failure, FailureCode, ObjectKey, SplitDocument, Task,
};
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    Door,
    accept::now,
    check::inspect,
    dispatch::{queued_pages, send_pages},
    limits::charge_document,
    searchable,
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
/// The wait for an upload that has not come: with all attempts, one that began at the last moment has most of an hour.
const UPLOAD_WAIT: Duration = Duration::from_mins(10);

/// Consumes the documents queue until `shutdown`, then finishes what is in hand.
///
/// # Errors
/// When the queue is broken. Throttling and a full disk are waited out.
pub async fn ingest(door: Arc<Door>, shutdown: CancellationToken) -> Result<()> {
    // Longer than a fetch and a check may take: a lease that is kept past that belongs to something stuck.
    let longest = door.settings.fetch_limit + door.settings.inspect_limit;
    let longest = longest.max(door.settings.result_limit) + Duration::from_mins(1);
    let consumer = Consumer::<DocumentMessage>::new(door.backend.queue(QueueName::Documents), longest);
    let limits =
        ConcurrencyLimits { max_in_flight: AT_A_TIME, drain_timeout: DRAIN_LIMIT, error_pause: LONGEST_BACK_OFF };
    let is_fatal = |error: &Error| !matches!(error, Error::Busy { .. } | Error::Full { .. });
    run_concurrently(&consumer, limits, &shutdown, is_fatal, |delivery| take(Arc::clone(&door), delivery))
        .await
        .context("the documents queue cannot be received from")
}

/// Does what deliveries ask for, side by side, within `limit`: for a function that is called with them and killed at its
/// deadline. What is broken off is received again.
pub async fn ingest_all(
    door: &Arc<Door>,
    deliveries: Vec<Result<Delivery<DocumentMessage>, MalformedMessage>>,
    limit: Duration,
) {
    quire_telemetry::finish_within(limit, deliveries.into_iter().map(|delivery| take(Arc::clone(door), delivery)))
        .await;
}

async fn take(door: Arc<Door>, delivery: Result<Delivery<DocumentMessage>, MalformedMessage>) {
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
        Err(MalformedMessage { error, lease, .. }) => {
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
    Transient {
        failure: Failure,
        /// How long to wait before the next attempt.
        after: Duration,
    },
}

/// Does what one message asks for, unless that has been done: fetches, checks and splits its document, or makes a PDF of all
/// that was read.
///
/// # Errors
/// Any error of the backend, after patience has ended; the message is then received again.
pub async fn ingest_one(door: &Door, delivery: Delivery<DocumentMessage>) -> Result<()> {
    match delivery.message.job {
        DocumentJob::Split => split(door, delivery).await,
        DocumentJob::SearchablePdf => searchable::make(door, delivery).await,
    }
}

async fn split(door: &Door, delivery: Delivery<DocumentMessage>) -> Result<()> {
    let Delivery { message, attempt, lease, .. } = delivery;
    let tasks = &door.backend.tasks;
    let task = match retry_with_backoff(|| tasks.task(message.task_id)).await {
        Err(Error::NotFound { .. }) => {
            // Whoever fetched it may have died after the task was deleted.
            forget(door, &message).await?;
            return Ok(lease.acknowledge().await?);
        }
        task => task?,
    };
    let is_wanted = !task.status().ended() && !task.expired(now());
    let state = task.document(message.document).map(|document| document.state.clone());
    let completion = match state {
        Some(DocumentState::Pending { source }) if is_wanted => {
            let last = attempt >= QueueName::Documents.settings().max_receives;
            let state = match obtain(door, &task, message.document, &source, attempt).await? {
                Ok(split) => DocumentState::Split(split),
                Err(Miss::Transient { failure, after }) if !last => {
                    note(&task, &message, attempt, &failure);
                    return Ok(lease.release(after).await?);
                }
                Err(Miss::Transient { failure, .. } | Miss::Final(failure)) => {
                    note(&task, &message, attempt, &failure);
                    DocumentState::Failed(failure)
                }
            };
            let settle = || tasks.finish_document(message.task_id, message.document, state.clone());
            match retry_with_backoff(settle).await {
                Err(Error::NotFound { .. }) => {
                    forget(door, &message).await?;
                    return Ok(lease.acknowledge().await?);
                }
                settled => settled?,
            }
        }
        _ => Completion::Unchanged(task),
    };
    if completion.task().expired(now()) {
        forget(door, &message).await?;
    }
    if completion.changed() {
        charge_document(door, completion.task(), message.document).await;
    }
    // A document has several messages where an upload was announced, or told of twice: whoever split it sends its pages.
    // Only when that was an earlier attempt at this very message, it may have died before it did.
    if completion.changed() || attempt > 1 {
        send_pages_of(door, completion.task(), message.document).await?;
    }
    enqueue_callback(&door.backend, completion.task()).await?;
    Ok(lease.acknowledge().await?)
}

/// Removes what was stored of a document after its task was deleted.
async fn forget(door: &Door, message: &DocumentMessage) -> Result<()> {
    let key = ObjectKey::Document { task_id: message.task_id, document: message.document }.to_string();
    // What else begins like this is of the same task, and to go as well.
    retry_with_backoff(|| door.backend.objects.erase(&key)).await?;
    Ok(())
}

fn note(task: &Task, message: &DocumentMessage, attempt: u32, failure: &Failure) {
    let DocumentMessage { task_id, document, .. } = message;
    let (code, trace) = (failure.code.as_str(), trace_id(task));
    info!(
        task.id = %task_id, trace.id = trace, document, code, delivery.attempt = attempt,
        "the document was not to be had"
    );
}

fn trace_id(task: &Task) -> Option<String> {
    task.trace.map(|trace| trace.trace_id())
}

/// Sends the messages of a document's pages that nobody has read. Repeating it is harmless.
async fn send_pages_of(door: &Door, task: &Task, document: u32) -> Result<()> {
    let mut pages = queued_pages(&door.backend, task).await?;
    pages.retain(|message| message.page.document == document);
    Ok(send_pages(&door.backend, task, pages).await?)
}

/// Fetches and checks a document, and stores it when it is one. An error is the backend's.
async fn obtain(
    door: &Door,
    task: &Task,
    document: u32,
    source: &DocumentSource,
    attempt: u32,
) -> Result<Result<SplitDocument, Miss>> {
    let (_folder, file) = new_file(door, "fetch-").await?;
    let after = back_off(attempt, rand::random());
    let fetched = match source {
        DocumentSource::Url { url } => match fetch(door, url, &file).await {
            Ok(()) => Ok(()),
            Err(error) => Err(miss(error, after)?),
        },
        DocumentSource::Inbox { key, version } => download(door, key, version.as_deref(), &file).await?,
    };
    if let Err(miss) = fetched {
        return Ok(Err(miss));
    }
    let split = match inspect(door, &file).await {
        Ok(split) => split,
        Err(failure) if failure.code.retryable() => return Ok(Err(Miss::Transient { failure, after })),
        Err(failure) => return Ok(Err(Miss::Final(failure))),
    };
    let key = ObjectKey::Document { task_id: task.id, document }.to_string();
    retry_with_backoff(|| door.backend.objects.put_file(&key, &file)).await?;
    let trace = trace_id(task);
    info!(task.id = %task.id, trace.id = trace, document, document.pages = split.pages, "document fetched and split");
    Ok(Ok(split))
}

async fn fetch(door: &Door, url: &str, file: &Path) -> Result<(), FetchError> {
    // Checked at the door already, but the policy may have become stricter since.
    let url = door.egress.check(url)?;
    door.egress.fetch(&url, door.settings.limits.max_bytes, door.settings.fetch_limit, file).await?;
    Ok(())
}

fn miss(error: FetchError, after: Duration) -> Result<Miss> {
    let transient = error.is_transient();
    let code = match error {
        FetchError::Storage(error) => return Err(error).context("the spool cannot be written"),
        FetchError::Refused(_) => FailureCode::UrlRefused,
        FetchError::TooLarge { .. } => FailureCode::DocumentTooLarge,
        _ => FailureCode::FetchFailed,
    };
    let failure = Failure::new(code, format!("The document could not be fetched: {error}."));
    Ok(if transient { Miss::Transient { failure, after } } else { Miss::Final(failure) })
}

/// Writes what a customer uploaded to a file. An error is the backend's.
async fn download(door: &Door, key: &str, version: Option<&str>, file: &Path) -> Result<Result<(), Miss>> {
    let most = door.settings.limits.max_bytes;
    let download = retry_with_backoff(|| door.backend.objects.download(key, version, most, file));
    let downloaded = timeout(door.settings.fetch_limit, download).await;
    match downloaded.context("an upload could not be read from the store in time")? {
        Ok(Download::Whole { .. }) => Ok(Ok(())),
        Ok(Download::TooLarge { bytes }) => {
            let message = format!("The document has {bytes} bytes; at most {most} are taken.");
            Ok(Err(Miss::Final(Failure::new(FailureCode::DocumentTooLarge, message))))
        }
        Err(Error::NotFound { .. }) => {
            let failure =
                Failure::new(FailureCode::UploadMissing, "The document was not found where it was to be put.");
            Ok(Err(Miss::Transient { failure, after: UPLOAD_WAIT }))
        }
        Err(error) => Err(error.into()),
    }
}

/// A file to be, in a folder of the spool that goes when it is dropped.
pub(crate) async fn new_file(door: &Door, prefix: &'static str) -> Result<(TempDir, PathBuf)> {
    let spool = door.backend.objects.spool();
    let made = tokio::task::spawn_blocking(move || tempfile::Builder::new().prefix(prefix).tempdir_in(spool));
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
