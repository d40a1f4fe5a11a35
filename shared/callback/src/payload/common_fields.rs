//! What the bodies of all callbacks share.

use jiff::Timestamp;
use quire_tasks::{Counts, Task, UnixMillis};
use serde::Serialize;

/// The `type` of an event that says how far a task is.
pub const PROGRESS_EVENT: &str = "task.progress";
/// The `type` of an event that somebody asked for in order to see it arrive.
pub const TEST_EVENT: &str = "webhook.test";

/// How far a task is, as its callbacks and its own answer say. A document that is not split yet counts as one open page, one
/// that could not be split as one failed page.
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

/// The `type` of the event of a task's end: `task.` and its status, or `task.updated` after a correction.
pub fn completion_event(task: &Task) -> String {
    format!("task.{}", if task.updated { "updated" } else { task.status().as_str() })
}

/// Where the result of a task is to be had; `None` where nobody knows how its customer calls us.
pub(super) fn result_url(task: &Task) -> Option<String> {
    let base = task.callback.as_ref().map(|callback| callback.base_url.trim_end_matches('/'));
    base.filter(|base| !base.is_empty()).map(|base| format!("{base}/task/{}/result", task.id))
}

pub(super) fn rfc3339(time: UnixMillis) -> Option<String> {
    Timestamp::from_millisecond(time.0).ok().map(|time| time.to_string())
}

pub(super) fn to_json(event: &impl Serialize) -> String {
    serde_json::to_string(event).expect("plain data becomes JSON")
}
