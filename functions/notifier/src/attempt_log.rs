//! The log of attempts, for customers to look at.

use std::time::Duration;

use quire_platform::{Backend, Collection, Error, Result};
use quire_tasks::{DeliveryAttempt, Task};
use tokio::time::timeout;
use tracing::warn;

use crate::now;

/// Attempts of a task that are kept when its log is trimmed.
const KEPT: usize = 100;
/// How often it is trimmed: once in so many attempts. Between, it has fewer than 200 in all.
const TRIM_EVERY: u64 = 8;
/// More than there can be.
const ALL: usize = 250;
/// How long an entry is waited for.
const LIMIT: Duration = Duration::from_secs(3);

/// Keeps an attempt for as long as its task is kept. An entry that cannot be written is given up: it is for people to look
/// at, and the table, which decides whether a receiver is told again, must not wait for it. If it did, a log that is out
/// of order would have receivers told again for ever of what they took.
pub(crate) async fn append_attempt(backend: &Backend, task: &Task, attempt: &DeliveryAttempt) {
    let written = timeout(LIMIT, write(backend, task, attempt)).await;
    if let Err(error) =
        written.map_err(|_| "the time is over".to_owned()).and_then(|written| written.map_err(|e| e.to_string()))
    {
        warn!(task.id = %task.id, error, "an attempt at a callback is missing in its task's log");
    }
}

async fn write(backend: &Backend, task: &Task, attempt: &DeliveryAttempt) -> Result<()> {
    let body = serde_json::to_string(attempt).expect("plain data becomes JSON");
    backend.records.set(Collection::Deliveries, &attempt.key(), body, Some(task.expires_at)).await?;
    if is_deleted(backend, task).await? {
        // Whoever deletes a task lets it expire first and then clears its log, perhaps before this entry was there.
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

/// Whether so much has happened since the log was trimmed last. Attempts and progress count up within a round, and rounds
/// count up themselves: eight rounds of fewer than eight attempts each lie between two trims at most.
fn needs_trim(task: &Task) -> bool {
    let callback = task.callback.as_ref();
    let attempts = callback.map_or(0, |callback| callback.attempts);
    let progress = callback.and_then(|callback| callback.progress).map_or(0, |progress| progress.number);
    (u64::from(task.round) + u64::from(attempts) + u64::from(progress)).is_multiple_of(TRIM_EVERY)
}

/// Drops the oldest.
async fn trim_log(backend: &Backend, task: &Task) -> Result<()> {
    let records = backend.records.list_partition(Collection::Deliveries, &task.id.to_string(), None, ALL).await?;
    for record in records.iter().rev().skip(KEPT) {
        backend.records.delete(Collection::Deliveries, &record.key, None).await?;
    }
    Ok(())
}
