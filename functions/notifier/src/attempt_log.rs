//! The delivery log of a task, for its customer.

use std::time::Duration;

use quire_platform::{Backend, Collection, Error, Result, now};
use quire_tasks::{DeliveryAttempt, Task};
use tokio::time::timeout;
use tracing::warn;

/// Number of attempts that remain when the log is trimmed.
const MAX_ENTRIES: usize = 100;
/// The log is trimmed after this many attempts. In between, it has fewer than 200 entries.
const TRIM_EVERY: u64 = 8;
/// Upper bound of the number of entries.
const LIST_LIMIT: usize = 250;
/// Timeout for writing an entry.
const WRITE_TIMEOUT: Duration = Duration::from_secs(3);

/// Appends an attempt, which is kept as long as its task. An error is only logged: the log is informational. If the
/// delivery waited for it, an unavailable log would cause endless retries of callbacks that were delivered.
pub(crate) async fn append_attempt(backend: &Backend, task: &Task, attempt: &DeliveryAttempt) {
    let error = match timeout(WRITE_TIMEOUT, write(backend, task, attempt)).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "timeout".to_owned(),
    };
    warn!(task.id = %task.id, error, "cannot write a delivery attempt to the delivery log");
}

async fn write(backend: &Backend, task: &Task, attempt: &DeliveryAttempt) -> Result<()> {
    let body = serde_json::to_string(attempt).expect("plain data becomes JSON");
    backend.records.set(Collection::Deliveries, &attempt.key(), body, Some(task.expires_at)).await?;
    if is_deleted(backend, task).await? {
        // A deletion expires the task first and then deletes its log, perhaps before this entry was written.
        backend.records.delete(Collection::Deliveries, &attempt.key(), None).await?;
    } else if needs_trim(task) {
        trim_log(backend, task).await?;
    }
    Ok(())
}

async fn is_deleted(backend: &Backend, task: &Task) -> Result<bool> {
    match backend.tasks.task(task.id).await {
        Ok(task) => Ok(task.expired(now())),
        Err(Error::NotFound { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Returns whether it is time to trim the log. Attempts and progress events count up within a round, and rounds count
/// up: between two trims there are at most eight rounds with fewer than eight attempts each.
fn needs_trim(task: &Task) -> bool {
    let callback = task.callback.as_ref();
    let attempts = callback.map_or(0, |callback| callback.attempts);
    let progress = callback.and_then(|callback| callback.progress).map_or(0, |progress| progress.number);
    (u64::from(task.round) + u64::from(attempts) + u64::from(progress)).is_multiple_of(TRIM_EVERY)
}

/// Deletes the oldest entries.
async fn trim_log(backend: &Backend, task: &Task) -> Result<()> {
    let records =
        backend.records.list_partition(Collection::Deliveries, &task.id.to_string(), None, LIST_LIMIT).await?;
    for record in records.iter().rev().skip(MAX_ENTRIES) {
        backend.records.delete(Collection::Deliveries, &record.key, None).await?;
    }
    Ok(())
}
