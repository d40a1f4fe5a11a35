//! The preparation of a searchable PDF: requested once, made by a consumer of the documents queue, and polled for.
//!
//! Its state is an object beside the result, so that all processes share it and it is deleted with the task.

use std::time::Duration;

use quire_platform::{Backend, Error, QueueName, Result, now, retry_with_backoff, send};
use quire_tasks::{DocumentJob, DocumentMessage, Failure, ObjectKey, Task, UnixMillis};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::state::AppState;

/// The maximum poll interval.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The first poll interval; each further one is twice as long.
const FIRST_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The time beyond the timeout after which a request is considered lost and is repeated. It covers the wait in the
/// queue.
const QUEUE_TIME: Duration = Duration::from_mins(15);
/// The time after which a retryable failure is retried.
const RETRY_AFTER: Duration = Duration::from_mins(10);

/// The state of a searchable PDF.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub(crate) enum PdfPreparation {
    /// Its message was sent.
    #[serde(rename = "asked")]
    Requested {
        /// When.
        at: UnixMillis,
    },
    /// It is stored.
    Ready {
        /// Its size.
        bytes: u64,
    },
    /// It could not be made.
    Failed {
        /// When.
        at: UnixMillis,
        /// Why.
        failure: Failure,
    },
}

impl PdfPreparation {
    /// Returns the key of the PDF of the task's round.
    pub(crate) fn pdf_key(task: &Task) -> ObjectKey {
        ObjectKey::Result { task_id: task.id, round: task.round, ending: "pdf" }
    }

    fn state_key(task: &Task) -> String {
        ObjectKey::Result { task_id: task.id, round: task.round, ending: "pdf.json" }.to_string()
    }

    /// Reads the state; `None` if the PDF was never requested.
    pub(crate) async fn read(backend: &Backend, task: &Task) -> Result<Option<Self>> {
        let key = Self::state_key(task);
        let json = match retry_with_backoff(|| backend.objects.read(&key)).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            json => json?,
        };
        let malformed = |_| Error::Failed { what: "the state of a searchable PDF", why: "malformed".to_owned() };
        serde_json::from_slice(&json).map(Some).map_err(malformed)
    }

    /// Writes the state.
    pub(crate) async fn write(&self, backend: &Backend, task: &Task) -> Result<()> {
        let key = Self::state_key(task);
        let json = self.serialize_json();
        retry_with_backoff(|| backend.objects.put(&key, json.clone().into())).await
    }

    fn serialize_json(&self) -> String {
        serde_json::to_string(self).expect("plain data serializes to JSON")
    }

    /// Whether the PDF must be requested again: the request is lost, or a retryable failure is old enough.
    fn is_expired(&self, timeout: Duration, now: UnixMillis) -> bool {
        match self {
            Self::Requested { at } => at.plus(timeout + QUEUE_TIME) <= now,
            Self::Ready { .. } => false,
            Self::Failed { at, failure } => failure.code.retryable() && at.plus(RETRY_AFTER) <= now,
        }
    }
}

/// Requests the PDF unless it was requested already, and polls for it until `wait` has passed or a shutdown begins.
pub(crate) async fn prepare_pdf(app: &AppState, task: &Task, wait: Duration) -> Result<PdfPreparation> {
    let deadline = Instant::now() + wait;
    let mut preparation = match PdfPreparation::read(&app.backend, task).await? {
        Some(known) if !known.is_expired(app.settings.result_limit, now()) => known,
        known => request_pdf(&app.backend, task, known.is_some()).await?,
    };
    let mut interval = FIRST_POLL_INTERVAL;
    while matches!(preparation, PdfPreparation::Requested { .. }) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        tokio::select! {
            () = sleep(interval.min(left)) => interval = (2 * interval).min(MAX_POLL_INTERVAL),
            () = app.closing.cancelled() => break,
        }
        preparation = PdfPreparation::read(&app.backend, task).await?.unwrap_or(preparation);
    }
    Ok(preparation)
}

async fn request_pdf(backend: &Backend, task: &Task, is_repeated: bool) -> Result<PdfPreparation> {
    let requested = PdfPreparation::Requested { at: now() };
    if is_repeated {
        requested.write(backend, task).await?;
    } else if !backend.objects.put_new(&PdfPreparation::state_key(task), requested.serialize_json().into()).await? {
        // Lost a race with another request.
        return Ok(PdfPreparation::read(backend, task).await?.unwrap_or(requested));
    }
    let message = DocumentMessage { task_id: task.id, document: 0, round: task.round, job: DocumentJob::SearchablePdf };
    let queue = backend.queue(QueueName::Documents);
    if let Err(error) = retry_with_backoff(|| send(queue.as_ref(), task, [message.clone()])).await {
        // Without this, no request would send the message until the state expires.
        let key = PdfPreparation::state_key(task);
        retry_with_backoff(|| backend.objects.delete(&key)).await?;
        return Err(error);
    }
    Ok(requested)
}

#[cfg(test)]
mod tests {
    use quire_tasks::FailureCode;

    use super::*;

    #[test]
    fn a_ready_pdf_and_a_permanent_failure_are_not_requested_again() {
        let limit = Duration::from_mins(15);
        let late = UnixMillis(i64::MAX);
        let failed = |code| PdfPreparation::Failed { at: UnixMillis(0), failure: Failure::new(code, "why") };
        assert!(!PdfPreparation::Ready { bytes: 1 }.is_expired(limit, late));
        assert!(!failed(FailureCode::DocumentTooLarge).is_expired(limit, late));
        assert!(failed(FailureCode::TimedOut).is_expired(limit, late));
        assert!(!failed(FailureCode::TimedOut).is_expired(limit, UnixMillis(0)));
        let requested = PdfPreparation::Requested { at: UnixMillis(0) };
        assert!(requested.is_expired(limit, late) && !requested.is_expired(limit, UnixMillis(60_000)));
    }
}
