//! Waits for a task.

use std::time::Duration;

use quire_platform::Result;
use quire_tasks::Task;
use tokio::time::Instant;

use crate::state::AppState;

/// Waits until `is_done` holds for the task, the timeout ends, or a shutdown begins. Returns the latest state of the
/// task.
pub(crate) async fn wait_until(
    app: &AppState,
    mut task: Task,
    limit: Duration,
    is_done: impl Fn(&Task) -> bool,
) -> Result<Task> {
    let deadline = Instant::now() + limit;
    while !is_done(&task) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        tokio::select! {
            changed = app.backend.tasks.wait_for_change(task.id, task.version, left) => task = changed?,
            () = app.closing.cancelled() => break,
        }
    }
    Ok(task)
}
