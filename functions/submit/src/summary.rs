//! What is said of a task wherever it is shown: all but what was read.

use jiff::Timestamp;
use quire_callback::PageCounts;
use quire_tasks::{CallbackState, Mode, ModeName, ReadAs, Task, TaskId, TaskStatus, UnixMillis};
use serde::Serialize;

/// A task without its documents.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    task_id: TaskId,
    status: TaskStatus,
    #[serde(flatten)]
    read_as: ReadAsAnswer,
    created_at: String,
    ended_at: Option<String>,
    /// From when on there is no such task any more; `null` for one of before tasks expired.
    expires_at: Option<String>,
    tags: Vec<String>,
    /// Whether something was to be taken out of its text.
    redacted: bool,
    progress: PageCounts,
    callback: CallbackAnswer,
}

/// How it is read, in the words in which a request asks for it.
#[derive(Debug, Serialize)]
struct ReadAsAnswer {
    mode: ModeName,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    /// The engine that reads it first; `null` for a task of before engines were assigned.
    engine: Option<String>,
    /// Whether no other may.
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

impl Summary {
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

/// A time of ours, as RFC 3339 has it.
pub(crate) fn rfc3339(time: UnixMillis) -> String {
    time.to_rfc3339().unwrap_or_else(|| Timestamp::UNIX_EPOCH.to_string())
}

#[cfg(test)]
mod tests {
    use quire_tasks::Tenant;

    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(rfc3339(UnixMillis(1_700_000_000_123)), "2023-11-14T22:13:20.123Z");
    }

    #[test]
    fn a_task_of_before_tasks_expired_never_does() {
        let task = Task::new(TaskId::derive_from(&["a task"]), Tenant::default(), UnixMillis(0), Vec::new(), None);
        let shown = |task: &Task| serde_json::to_value(Summary::new(task)).expect("JSON")["expires_at"].clone();
        assert_eq!(shown(&task), "1970-01-08T00:00:00Z");
        let mut old = serde_json::to_value(&task).expect("JSON");
        old.as_object_mut().expect("an object").remove("expires_at");
        assert!(shown(&serde_json::from_value(old).expect("a task")).is_null());
    }
}
