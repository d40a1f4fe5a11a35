//! Fields that all callback bodies share.

use quire_tasks::{Counts, Task};
use serde::Serialize;

/// The `type` of a progress event.
pub const PROGRESS_EVENT: &str = "task.progress";
/// The `type` of a test event, sent on request.
pub const TEST_EVENT: &str = "webhook.test";

/// Number of pages by status, in callbacks and in the API. A document that is not split yet counts as one open page,
/// and one that cannot be split as one failed page.
#[derive(Debug, Serialize)]
pub struct PageCounts {
    pages: u32,
    open: u32,
    succeeded: u32,
    failed: u32,
    canceled: u32,
}

impl From<Counts> for PageCounts {
    fn from(counts: Counts) -> Self {
        let Counts { open, succeeded, failed, canceled } = counts;
        Self { pages: counts.total(), open, succeeded, failed, canceled }
    }
}

/// Returns the `type` of the event of a task's end: `task.` and its status, or `task.updated` after a correction.
pub fn completion_event(task: &Task) -> String {
    format!("task.{}", if task.updated { "updated" } else { task.status().as_str() })
}

/// Returns the URL of a task's result; `None` if the API's base URL is unknown.
pub(super) fn result_url(task: &Task) -> Option<String> {
    let base = task.callback.as_ref().map(|callback| callback.base_url.trim_end_matches('/'));
    base.filter(|base| !base.is_empty()).map(|base| format!("{base}/task/{}/result", task.id))
}

pub(super) fn to_json(event: &impl Serialize) -> String {
    serde_json::to_string(event).expect("plain data becomes JSON")
}
