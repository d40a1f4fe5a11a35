//! Records of dead letters in the object store.

use std::{fmt, str::FromStr};

pub(crate) use quire_platform::now;
use quire_platform::{Backend, Error, Result, retry_with_backoff};
use quire_tasks::{ObjectKey, Task, TaskId, UnixMillis};
use quire_telemetry::metrics;
use serde::{Deserialize, Serialize};

/// The kind of a dead letter: the queue it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterKind {
    /// A page that could not be read.
    Pages,
    /// A document that could not be fetched, validated or split.
    Documents,
    /// A callback that could not be delivered.
    Callbacks,
}

/// Error: the text is not a kind of dead letter. Decision: refuse the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownDeadLetterKind;

impl DeadLetterKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Pages, Self::Documents, Self::Callbacks];

    /// Returns the name, as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pages => "pages",
            Self::Documents => "documents",
            Self::Callbacks => "callbacks",
        }
    }

    fn key(self, name: &str) -> String {
        ObjectKey::DeadLetter { queue: self.as_str(), name: name.to_owned() }.to_string()
    }
}

impl FromStr for DeadLetterKind {
    type Err = UnknownDeadLetterKind;

    fn from_str(text: &str) -> Result<Self, UnknownDeadLetterKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownDeadLetterKind)
    }
}

impl fmt::Display for DeadLetterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for UnknownDeadLetterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be pages, documents or callbacks")
    }
}

impl std::error::Error for UnknownDeadLetterKind {}

/// The record of a dead letter: a message past its last attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The queue it comes from.
    pub queue: DeadLetterKind,
    /// Its name in that queue. It is derived from the message, so that recording it is idempotent.
    pub name: String,
    /// The task; `None` if the message is malformed.
    pub task_id: Option<TaskId>,
    /// The message body.
    pub body: String,
    /// The reason of the failure.
    pub reason: String,
    /// The receive count, if known.
    pub receives: Option<u32>,
    /// Time of the record.
    pub filed_at: UnixMillis,
}

/// Writes the record of a dead letter.
pub(crate) async fn file_dead_letter(backend: &Backend, dead_letter: &DeadLetter) -> Result<()> {
    let key = dead_letter.queue.key(&dead_letter.name);
    let json = serde_json::to_vec(dead_letter).expect("plain data becomes JSON");
    retry_with_backoff(|| backend.objects.put(&key, json.clone().into())).await?;
    metrics::count("DeadLetters", 1);
    Ok(())
}

/// Returns the trace id of a task, for log fields.
pub(crate) fn trace_id(task: &Task) -> Option<String> {
    task.trace.map(|trace| trace.trace_id())
}

/// Deletes the record of a redriven dead letter, unless it was recorded again under the same name since.
pub(crate) async fn discard_dead_letter(backend: &Backend, dead_letter: &DeadLetter) -> Result<()> {
    let filed_now = match show_dead_letter(backend, dead_letter.queue, &dead_letter.name).await {
        Ok(filed) => filed.filed_at,
        Err(Error::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    if filed_now != dead_letter.filed_at {
        return Ok(());
    }
    let key = dead_letter.queue.key(&dead_letter.name);
    retry_with_backoff(|| backend.objects.delete(&key)).await
}

/// Returns the dead letters of one kind, ordered by name, which starts with the task id: oldest task first.
///
/// # Errors
/// An error of the backend.
pub async fn list_dead_letters(backend: &Backend, kind: DeadLetterKind) -> Result<Vec<DeadLetter>> {
    let prefix = ObjectKey::dead_letter_prefix(kind.as_str());
    let mut dead_letters = Vec::new();
    for key in retry_with_backoff(|| backend.objects.list(&prefix)).await? {
        match read(backend, &key).await {
            Ok(dead_letter) => dead_letters.push(dead_letter),
            // Redriven since the listing.
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(dead_letters)
}

/// Returns a dead letter.
///
/// # Errors
/// [`Error::NotFound`] if no dead letter has this name, or another error of the backend.
pub async fn show_dead_letter(backend: &Backend, kind: DeadLetterKind, name: &str) -> Result<DeadLetter> {
    if !is_name(name) {
        return Err(Error::NotFound { what: format!("dead letter {name:?}") });
    }
    read(backend, &kind.key(name)).await
}

/// Returns whether an operator's input is a valid name. Object keys must only be built from valid names.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

async fn read(backend: &Backend, key: &str) -> Result<DeadLetter> {
    let json = retry_with_backoff(|| backend.objects.read(key)).await?;
    serde_json::from_slice(&json)
        .map_err(|error| Error::Failed { what: "reading a dead letter", why: format!("{key}: {error}") })
}
