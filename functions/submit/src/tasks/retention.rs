//! Deletes expired tasks.

use futures_util::{StreamExt, stream};
use quire_platform::{Backend, Result, purge};
use quire_tasks::{Task, UnixMillis};
use quire_tenants::RateLimiter;
use tracing::{info, warn};

/// The number of tasks that a sweep reads at a time, with their documents in memory.
const SWEEP_BATCH: usize = 100;
/// The maximum number of batches of one sweep; the next one continues. It bounds the duration of a sweep.
const MAX_BATCHES: usize = 10;
/// The number of tasks that are deleted concurrently, to hide the latency of the store.
const PURGE_CONCURRENCY: usize = 4;

/// Deletes up to 1000 tasks that have expired by `now`. Returns their number.
///
/// # Errors
/// Any [`quire_platform::Error`]; the next sweep continues. A task that cannot be deleted does not block others.
pub async fn sweep_expired(backend: &Backend, now: UnixMillis) -> Result<usize> {
    let mut swept = 0;
    for _ in 0..MAX_BATCHES {
        let tasks = backend.tasks.list_expired(now, SWEEP_BATCH).await?;
        let is_last = tasks.len() < SWEEP_BATCH;
        let deleted = delete_tasks(backend, tasks).await?;
        swept += deleted;
        // If no task could be deleted, the next batch would be the same one.
        if is_last || deleted == 0 {
            break;
        }
    }
    Ok(swept)
}

/// Deletes these tasks and returns how many succeeded. Error: all of them failed.
async fn delete_tasks(backend: &Backend, tasks: Vec<Task>) -> Result<usize> {
    let allowance = &RateLimiter::new(backend.clone());
    let deletions = tasks.into_iter().map(async |task| {
        if let Err(error) = allowance.forget(&task).await {
            warn!(task.id = %task.id, %error, "cannot give back the bytes of an expired task");
        }
        let deleted = purge(backend, &task).await;
        match &deleted {
            Ok(()) => info!(task.id = %task.id, "expired task deleted"),
            Err(error) => warn!(task.id = %task.id, %error, "cannot delete an expired task; the next sweep retries"),
        }
        deleted
    });
    let all: Vec<_> = stream::iter(deletions).buffer_unordered(PURGE_CONCURRENCY).collect().await;
    let deleted = all.iter().filter(|deleted| deleted.is_ok()).count();
    match all.into_iter().find_map(Result::err) {
        Some(error) if deleted == 0 => Err(error),
        _ => Ok(deleted),
    }
}
