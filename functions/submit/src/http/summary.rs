//! The summary of a task: everything but its text.

use quire_callback::PageCounts;
use quire_tasks::{CallbackState, Mode, ModeName, ReadAs, Task, TaskId, TaskStatus};
use serde::Serialize;

use crate::time::rfc3339;

/// A task without its documents.
#[derive(Debug, Serialize)]
pub(crate) struct TaskSummary {
    task_id: TaskId,
    status: TaskStatus,
    #[serde(flatten)]
    read_as: ReadAsAnswer,
    created_at: String,
    ended_at: Option<String>,
    /// When the task expires; `null` for a task from before tasks expired.
    expires_at: Option<String>,
    tags: Vec<String>,
    /// Whether the task has a redaction policy.
    redacted: bool,
    progress: PageCounts,
    callback: CallbackAnswer,
}

/// How the task is read, with the field names of a request.
#[derive(Debug, Serialize)]
struct ReadAsAnswer {
    mode: ModeName,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    /// The assigned engine; `null` for a task from before engines were assigned.
    engine: Option<String>,
    /// Whether no other engine may read it.
    pinned: bool,
}

impl ReadAsAnswer {
    fn new(read_as: &ReadAs) -> Self {
        let (keys, language) = match &read_as.mode {
            Mode::Fields { keys } => (Some(keys.clone()), None),
            Mode::Translate { language } => (None, Some(language.clone())),
            _ => (None, None),
        };
        let engine = read_as.engine.as_ref().map(ToString::to_string);
        Self { mode: read_as.mode.name(), keys, language, engine, pinned: read_as.pinned }
    }
}

#[derive(Debug, Serialize)]
struct CallbackAnswer {
    state: CallbackState,
    attempts: u32,
    last_error: Option<String>,
}

impl TaskSummary {
    pub(crate) fn new(task: &Task) -> Self {
        let callback = task.callback.as_ref();
        Self {
            task_id: task.id,
            status: task.status(),
            read_as: ReadAsAnswer::new(&task.read_as),
            created_at: rfc3339(task.created_at),
            ended_at: task.ended_at.map(rfc3339),
            expires_at: task.expires_at.to_rfc3339(),
            tags: task.tags.clone(),
            redacted: task.redact.is_some(),
            progress: task.counts.into(),
            callback: CallbackAnswer {
                state: task.callback_state(),
                attempts: callback.map_or(0, |callback| callback.attempts),
                last_error: callback.and_then(|callback| callback.last_error.clone()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use quire_tasks::{Tenant, UnixMillis};

    use super::*;

    fn expires_at(task: &Task) -> serde_json::Value {
        serde_json::to_value(TaskSummary::new(task)).expect("JSON")["expires_at"].clone()
    }

    #[test]
    fn a_task_from_before_tasks_expired_never_does() {
        let task = Task::new(TaskId::derive_from(&["a task"]), Tenant::default(), UnixMillis(0), Vec::new(), None);
        assert_eq!(expires_at(&task), "1970-01-08T00:00:00Z");
        let mut old = serde_json::to_value(&task).expect("JSON");
        old.as_object_mut().expect("an object").remove("expires_at");
        assert!(expires_at(&serde_json::from_value(old).expect("a task")).is_null());
    }
}
