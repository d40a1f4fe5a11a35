//! Waiting for a task.

use std::time::Duration;

use quire_platform::Result;
use quire_tasks::Task;
use tokio::time::Instant;

use crate::state::AppState;

/// The task when `enough` is true of it, or as it is when the time is over or the door closes.
pub(crate) async fn wait_until(
    app: &AppState,
    mut task: Task,
    within: Duration,
    enough: impl Fn(&Task) -> bool,
) -> Result<Task> {
    let deadline = Instant::now() + within;
    while !enough(&task) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        tokio::select! {
            changed = app.backend.tasks.changed(task.id, task.version, left) => task = changed?,
            () = app.closing.cancelled() => break,
        }
    }
    Ok(task)
}
