//! Notices that work has become pointless, because its task was canceled or deleted.

use std::time::Duration;

use quire_platform::{Backend, Error, now};
use quire_tasks::Task;
use tracing::warn;

/// The longest time between two looks at the task: cancellation must free resources within about a second.
const MAX_INTERVAL: Duration = Duration::from_secs(1);
/// The pause after the backend could not be read.
const ERROR_PAUSE: Duration = Duration::from_secs(5);

/// Returns once `is_pointless` of the task, or once the task is expired or deleted.
pub(crate) async fn wait_until_pointless(backend: &Backend, task: &Task, is_pointless: impl Fn(&Task) -> bool) {
    let mut seen = task.version;
    loop {
        match backend.tasks.wait_for_change(task.id, seen, MAX_INTERVAL).await {
            Ok(current) if current.expired(now()) || is_pointless(&current) => return,
            Ok(current) => seen = current.version,
            Err(Error::NotFound { .. }) => return,
            Err(error) => {
                warn!(task.id = %task.id, %error, "cannot check whether a task is canceled; continuing its work");
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
    }
}
