//! The end of a task's time: all that was kept for it goes.

use futures_util::{StreamExt, stream};
use quire_platform::{Backend, Result, purge};
use quire_tasks::{Task, UnixMillis};
use tracing::{info, warn};

/// How many tasks a sweep takes from the table at a time: their documents' records are held in memory.
const SWEEP_BATCH: usize = 100;
/// How many batches one sweep takes: the next one goes on, and meanwhile others have their turn.
const MOST_BATCHES: usize = 10;
/// How many tasks are purged at a time: enough to hide the store's latency.
const PURGE_AT_A_TIME: usize = 4;

/// Removes what has expired by `now`, up to a thousand tasks; says how many they were.
///
/// # Errors
/// Any [`quire_platform::Error`]; the next sweep goes on where this one ended. Tasks that cannot be removed do not keep
/// others from being removed.
pub async fn sweep_expired(backend: &Backend, now: UnixMillis) -> Result<usize> {
    let mut swept = 0;
    for _ in 0..MOST_BATCHES {
        let tasks = backend.tasks.list_expired(now, SWEEP_BATCH).await?;
        let is_last = tasks.len() < SWEEP_BATCH;
        let removed = remove(backend, tasks).await?;
        swept += removed;
        // Those that could not be removed would be the next batch again.
        if is_last || removed == 0 {
            break;
        }
    }
    Ok(swept)
}

/// Removes these tasks; how many of them it could. An error where there are some, and none could be.
async fn remove(backend: &Backend, tasks: Vec<Task>) -> Result<usize> {
    let removals = tasks.into_iter().map(async |task| {
        let removed = purge(backend, &task).await;
        match &removed {
            Ok(()) => info!(task.id = %task.id, "an expired task was removed"),
            Err(error) => warn!(task.id = %task.id, %error, "an expired task could not be removed; it is tried again"),
        }
        removed
    });
    let all: Vec<_> = stream::iter(removals).buffer_unordered(PURGE_AT_A_TIME).collect().await;
    let removed = all.iter().filter(|removed| removed.is_ok()).count();
    match all.into_iter().find_map(Result::err) {
        Some(error) if removed == 0 => Err(error),
        _ => Ok(removed),
    }
}
