//! Ingest: the consumer of the documents queue, which fetches, validates and splits documents.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use quire_egress::{FetchError, Fetched};
use quire_fair_share::pool_size;
use quire_platform::{
    Completion, Consumer, Delivery, Download, Error, Lease, MalformedMessage, PageBatches, QueueName,
    consumer::{ConcurrencyLimits, run_concurrently},
    enqueue_callback, now, retry_with_backoff,
};
use quire_tasks::{
    DocumentJob, DocumentMessage, DocumentSource, DocumentState, Failure, FailureCode, ObjectKey, SplitDocument, Task,
};
use quire_tenants::{QuotaRefusal, ReserveError};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    documents::{
        searchable_pdf::make_searchable_pdf, spool::new_spool_file, task_watch::wait_until_pointless,
        transfer_rate::wait_until_too_slow, validation::inspect_file,
    },
    state::AppState,
    tasks::{charge, dispatch::send_queued_pages},
};

/// How long a graceful shutdown waits for documents in flight. The others are received again after their lease expires.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);
/// The backoff before the second attempt; each further one is twice as long.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// The maximum backoff.
const MAX_BACKOFF: Duration = Duration::from_secs(8);
/// The retry interval for an upload that has not arrived. With all attempts, an upload that starts at the last moment
/// has most of an hour.
const UPLOAD_RETRY_INTERVAL: Duration = Duration::from_mins(10);

/// Consumes the documents queue until `shutdown`, then finishes the documents in flight.
///
/// # Errors
/// If the queue fails permanently. Throttling and a full disk are retried.
pub async fn ingest(app: Arc<AppState>, shutdown: CancellationToken) -> Result<()> {
    // The maximum time to extend a lease: longer than all timeouts of a message, so that only a stuck one loses its
    // lease.
    let split_limit = app.settings.fetch_limit + app.settings.inspect_limit;
    let max_lease = split_limit.max(app.settings.result_limit) + Duration::from_mins(1);
    let consumer = Consumer::<DocumentMessage>::new(app.backend.queue(QueueName::Documents), max_lease);
    let limits = ConcurrencyLimits {
        max_in_flight: pool_size(app.settings.max_fetches),
        drain_timeout: DRAIN_TIMEOUT,
        error_pause: MAX_BACKOFF,
    };
    let is_fatal = |error: &Error| !matches!(error, Error::Busy { .. } | Error::Full { .. });
    run_concurrently(&consumer, limits, &shutdown, is_fatal, |delivery| process(Arc::clone(&app), delivery))
        .await
        .context("cannot receive from the documents queue")
}

/// Processes deliveries concurrently, within `limit`: for a Lambda function, which is invoked with a batch and killed
/// at its deadline. An interrupted message is received again.
pub async fn ingest_all(
    app: &Arc<AppState>,
    deliveries: Vec<Result<Delivery<DocumentMessage>, MalformedMessage>>,
    limit: Duration,
) {
    quire_telemetry::finish_within(limit, deliveries.into_iter().map(|delivery| process(Arc::clone(app), delivery)))
        .await;
}

async fn process(app: Arc<AppState>, delivery: Result<Delivery<DocumentMessage>, MalformedMessage>) {
    match delivery {
        Ok(delivery) => {
            let DocumentMessage { task_id, document, .. } = delivery.message;
            let attempt = delivery.attempt;
            if let Err(error) = ingest_one(&app, delivery).await {
                // The lease is dropped, so that the message is received again.
                let error = format!("{error:#}");
                error!(task.id = %task_id, document, delivery.attempt = attempt, error, "ingest failed");
            }
        }
        Err(MalformedMessage { error, lease, .. }) => {
            warn!(%error, "malformed document message");
            if let Err(error) = lease.dead_letter(&error.to_string()).await {
                error!(%error, "cannot move a malformed document message to the dead-letter queue");
            }
        }
    }
}

/// Why a document could not be obtained.
#[derive(Debug)]
enum ObtainError {
    /// Permanent: the document fails.
    Final(Failure),
    /// Transient: retry, up to the queue's maximum of receives.
    Transient {
        failure: Failure,
        /// The backoff before the next attempt.
        after: Duration,
    },
}

/// Processes a message, idempotently: fetches, validates and splits its document, or makes the task's searchable PDF.
///
/// # Errors
/// Any error of the backend after all retries. The lease is dropped, so that the message is received again.
pub async fn ingest_one(app: &AppState, delivery: Delivery<DocumentMessage>) -> Result<()> {
    match delivery.message.job {
        DocumentJob::Split => split(app, delivery).await,
        DocumentJob::SearchablePdf => make_searchable_pdf(app, delivery).await,
    }
}

async fn split(app: &AppState, delivery: Delivery<DocumentMessage>) -> Result<()> {
    let Delivery { message, attempt, lease, .. } = delivery;
    let tasks = &app.backend.tasks;
    let task = match retry_with_backoff(|| tasks.task(message.task_id)).await {
        Err(Error::NotFound { .. }) => {
            // An earlier attempt may have stored the document after the task was deleted.
            delete_document(app, &message).await?;
            return Ok(lease.acknowledge().await?);
        }
        task => task?,
    };
    let is_open = !task.status().ended() && !task.expired(now());
    let state = task.document(message.document).map(|document| document.state.clone());
    let completion = match state {
        Some(DocumentState::Pending { source }) if is_open => {
            let last = attempt >= QueueName::Documents.settings().max_receives;
            let obtained = tokio::select! {
                obtained = obtain(app, &task, message.document, &source, attempt) => obtained?,
                () = wait_until_pointless(&app.backend, &task, |task| task.status().ended()) => {
                    return abort(app, &task, &message, lease).await;
                }
            };
            let state = match obtained {
                Ok(split) => DocumentState::Split(split),
                Err(ObtainError::Transient { failure, after }) if !last => {
                    log_failure(&task, &message, attempt, &failure);
                    return Ok(lease.release(after).await?);
                }
                Err(ObtainError::Transient { failure, .. } | ObtainError::Final(failure)) => {
                    log_failure(&task, &message, attempt, &failure);
                    DocumentState::Failed(failure)
                }
            };
            let settle = || tasks.finish_document(message.task_id, message.document, state.clone());
            let settled = retry_with_backoff(settle).await;
            settle_reservation(app, &task, &message, &state, &settled).await;
            match settled {
                Err(Error::NotFound { .. }) => {
                    delete_document(app, &message).await?;
                    return Ok(lease.acknowledge().await?);
                }
                settled => settled?,
            }
        }
        _ => Completion::Unchanged(task),
    };
    if completion.task().expired(now()) {
        delete_document(app, &message).await?;
    }
    // An announced upload has several messages; the one that split the document sends its pages. A later attempt of
    // that message must send them too, because the earlier one may have crashed before it did.
    if completion.changed() || attempt > 1 {
        send_pages_of(app, completion.task(), message.document).await?;
    }
    enqueue_callback(&app.backend, completion.task()).await?;
    Ok(lease.acknowledge().await?)
}

/// Ends the work on a document of a task that was canceled or deleted meanwhile. Its fetch and validation are aborted
/// already.
async fn abort(app: &AppState, task: &Task, message: &DocumentMessage, lease: Lease) -> Result<()> {
    info!(task.id = %task.id, trace.id = trace_id(task), message.document, "document aborted: its task has ended");
    charge::settle(app, &task.tenant, &charge::of_document(task, message.document, 0, 0), false).await;
    match retry_with_backoff(|| app.backend.tasks.task(task.id)).await {
        Ok(task) if !task.expired(now()) => enqueue_callback(&app.backend, &task).await?,
        Ok(_) | Err(Error::NotFound { .. }) => delete_document(app, message).await?,
        Err(error) => return Err(error.into()),
    }
    Ok(lease.acknowledge().await?)
}

/// Deletes a document that was stored after its task was deleted.
async fn delete_document(app: &AppState, message: &DocumentMessage) -> Result<()> {
    let key = ObjectKey::Document { task_id: message.task_id, document: message.document }.to_string();
    // Keys with this prefix belong to the same task and are deleted as well.
    retry_with_backoff(|| app.backend.objects.erase(&key)).await?;
    Ok(())
}

fn log_failure(task: &Task, message: &DocumentMessage, attempt: u32, failure: &Failure) {
    let DocumentMessage { task_id, document, .. } = message;
    let trace = trace_id(task);
    let code = failure.code.as_str();
    info!(
        task.id = %task_id, trace.id = trace, document, code, delivery.attempt = attempt,
        "cannot obtain the document"
    );
}

fn trace_id(task: &Task) -> Option<String> {
    task.trace.map(|trace| trace.trace_id())
}

/// Sends the messages of a document's queued pages. Idempotent.
async fn send_pages_of(app: &AppState, task: &Task, document: u32) -> Result<()> {
    let pages = PageBatches::of_document(&app.backend, task.id, document);
    Ok(send_queued_pages(&app.backend, task, pages).await?)
}

/// Ends the reservation of a document that was split, or of one whose task was canceled meanwhile.
async fn settle_reservation(
    app: &AppState,
    task: &Task,
    message: &DocumentMessage,
    state: &DocumentState,
    settled: &quire_platform::Result<Completion>,
) {
    let DocumentState::Split(split) = state else { return };
    let exists = match settled {
        Ok(completion) => completion.changed(),
        Err(Error::NotFound { .. }) => false,
        // Unknown: it is resolved later.
        Err(_) => return,
    };
    let reservation = charge::of_document(task, message.document, split.pages, 0);
    charge::settle(app, &task.tenant, &reservation, exists).await;
}

/// Fetches, validates and stores a document. The outer error is the backend's.
async fn obtain(
    app: &AppState,
    task: &Task,
    document: u32,
    source: &DocumentSource,
    attempt: u32,
) -> Result<Result<SplitDocument, ObtainError>> {
    let (_folder, file) = new_spool_file(app, "fetch-").await?;
    let after = backoff(attempt, rand::random());
    let fetched = match source {
        DocumentSource::Url { url } => {
            let (min_rate, window) = (app.settings.min_fetch_rate, app.settings.fetch_rate_window);
            tokio::select! {
                fetched = fetch(app, url, &file) => match fetched {
                    Ok(fetched) => Ok(fetched.media_type),
                    Err(error) => Err(obtain_error(error, after)?),
                },
                () = wait_until_too_slow(&file, min_rate, window) => Err(slow_source_error(min_rate, window, after)),
            }
        }
        DocumentSource::Inbox { key, version } => download(app, key, version.as_deref(), &file).await?.map(|()| None),
    };
    let media_type = match fetched {
        Ok(media_type) => media_type,
        Err(error) => return Ok(Err(error)),
    };
    let inspected = inspect_file(app, &task.tenant, &file).await;
    let split = match inspected.map_err(|failure| name_received(failure, media_type)) {
        Ok(split) => split,
        Err(failure) if failure.code.retryable() => return Ok(Err(ObtainError::Transient { failure, after })),
        Err(failure) => return Ok(Err(ObtainError::Final(failure))),
    };
    let bytes = tokio::fs::metadata(&file).await.context("cannot read the spool")?.len();
    let reservation = charge::of_document(task, document, split.pages, bytes);
    match charge::reserve(app, &task.tenant, &reservation).await {
        Ok(()) => {}
        Err(ReserveError::Refused(QuotaRefusal::Crowded)) => anyhow::bail!(QuotaRefusal::Crowded),
        Err(ReserveError::Refused(refusal)) => return Ok(Err(ObtainError::Final(charge::failure_of(refusal)))),
        Err(ReserveError::Backend(error)) => return Err(error.into()),
    }
    let key = ObjectKey::Document { task_id: task.id, document }.to_string();
    retry_with_backoff(|| app.backend.objects.put_file(&key, &file)).await?;
    let trace = trace_id(task);
    info!(task.id = %task.id, trace.id = trace, document, document.pages = split.pages, "document fetched and split");
    Ok(Ok(split))
}

async fn fetch(app: &AppState, url: &str, file: &Path) -> Result<Fetched, FetchError> {
    // The API has checked the URL already, but the policy may have become stricter since.
    let url = app.egress.check(url)?;
    app.egress.fetch(&url, app.settings.limits.max_bytes, app.settings.fetch_limit, file).await
}

/// Adds what the server sent to the failure of a file that is no document: often a page that asks to sign in.
fn name_received(failure: Failure, media_type: Option<String>) -> Failure {
    match media_type {
        Some(media_type) if failure.code == FailureCode::UnsupportedFormat => {
            let message = format!("{} The fetch received {media_type}, expected a document.", failure.message);
            Failure::new(failure.code, message)
        }
        _ => failure,
    }
}

fn obtain_error(error: FetchError, after: Duration) -> Result<ObtainError> {
    let transient = error.is_transient();
    let code = match error {
        FetchError::Storage(error) => return Err(error).context("cannot write to the spool"),
        FetchError::Refused(_) => FailureCode::UrlRefused,
        FetchError::TooLarge { .. } => FailureCode::DocumentTooLarge,
        _ => FailureCode::FetchFailed,
    };
    let failure = Failure::new(code, format!("The document could not be fetched: {error}."));
    Ok(if transient { ObtainError::Transient { failure, after } } else { ObtainError::Final(failure) })
}

fn slow_source_error(min_rate: u64, window: Duration, after: Duration) -> ObtainError {
    let secs = window.as_secs();
    let message = format!(
        "The document could not be fetched: the source sent less than {min_rate} bytes per second for {secs} s."
    );
    ObtainError::Transient { failure: Failure::new(FailureCode::FetchFailed, message), after }
}

/// Downloads an upload from the bucket to a file. The outer error is the backend's.
async fn download(app: &AppState, key: &str, version: Option<&str>, file: &Path) -> Result<Result<(), ObtainError>> {
    let max_bytes = app.settings.limits.max_bytes;
    let download = retry_with_backoff(|| app.backend.objects.download(key, version, max_bytes, file));
    let downloaded = timeout(app.settings.fetch_limit, download).await;
    match downloaded.context("timeout: cannot download an upload")? {
        Ok(Download::Whole { .. }) => Ok(Ok(())),
        Ok(Download::TooLarge { bytes }) => {
            let message = format!("The document has {bytes} bytes; the maximum is {max_bytes}.");
            Ok(Err(ObtainError::Final(Failure::new(FailureCode::DocumentTooLarge, message))))
        }
        Err(Error::NotFound { .. }) => {
            let failure = Failure::new(FailureCode::UploadMissing, "The announced document was not uploaded.");
            Ok(Err(ObtainError::Transient { failure, after: UPLOAD_RETRY_INTERVAL }))
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns the exponential backoff after an attempt, with jitter from a random number in 0 to 1, so that retries of one
/// failing server are spread.
fn backoff(attempt: u32, random: f64) -> Duration {
    let doubled = FIRST_BACKOFF.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    doubled.min(MAX_BACKOFF).mul_f64(random.mul_add(0.5, 0.5))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_backoff_is_between_half_a_second_and_the_maximum(attempt in 0_u32.., random in 0.0..1.0) {
            let wait = backoff(attempt, random);
            prop_assert!(wait >= FIRST_BACKOFF / 2 && wait <= MAX_BACKOFF);
            prop_assert!(wait <= backoff(attempt.saturating_add(1), random));
        }
    }
}
