//! The files of dead letters.

use std::{
    fmt,
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use quire_platform::{Backend, Error, Result, retry_with_backoff};
use quire_tasks::{ObjectKey, Task, TaskId, UnixMillis};
use quire_telemetry::metrics;
use serde::{Deserialize, Serialize};

/// The queue that a dead letter comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterKind {
    /// A page that nobody could read.
    Pages,
    /// A document that could not be fetched, checked or split.
    Documents,
    /// A callback that its receiver did not take.
    Callbacks,
}

/// A text names no kind of dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownDeadLetterKind;

impl DeadLetterKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pages, Self::Documents, Self::Callbacks];

    /// The name, as it is stored and shown.
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
        f.write_str("dead letters are of pages, documents or callbacks")
    }
}

impl std::error::Error for UnknownDeadLetterKind {}

/// A message past its last attempt, as it is filed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Where it comes from.
    pub queue: DeadLetterKind,
    /// Its name among these: made of what it is about, so that filing twice is filing once.
    pub name: String,
    /// The task it is about; none where nobody can read the message.
    pub task_id: Option<TaskId>,
    /// The message.
    pub body: String,
    /// Why it is here.
    pub reason: String,
    /// How often it was taken up, where that is known.
    pub receives: Option<u32>,
    /// When it was filed.
    pub filed_at: UnixMillis,
}

/// Puts a letter into its file.
pub(crate) async fn file_dead_letter(backend: &Backend, letter: &DeadLetter) -> Result<()> {
    let key = letter.queue.key(&letter.name);
    let json = serde_json::to_vec(letter).expect("plain data becomes JSON");
    retry_with_backoff(|| backend.objects.put(&key, json.clone().into())).await?;
    metrics::count("DeadLetters", 1);
    Ok(())
}

/// The trace of a task, for the log.
pub(crate) fn trace_id(task: &Task) -> Option<String> {
    task.trace.map(|trace| trace.trace_id())
}

/// Removes a dead letter that was sent again, unless it has come back meanwhile, under the same name.
pub(crate) async fn discard_dead_letter(backend: &Backend, letter: &DeadLetter) -> Result<()> {
    let filed_now = match show_dead_letter(backend, letter.queue, &letter.name).await {
        Ok(filed) => filed.filed_at,
        Err(Error::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    if filed_now != letter.filed_at {
        return Ok(());
    }
    let key = letter.queue.key(&letter.name);
    retry_with_backoff(|| backend.objects.delete(&key)).await
}

/// The dead letters of one kind, by name, which begins with the task's: the oldest tasks first.
///
/// # Errors
/// Of the backend.
pub async fn list_dead_letters(backend: &Backend, kind: DeadLetterKind) -> Result<Vec<DeadLetter>> {
    let prefix = ObjectKey::dead_letter_prefix(kind.as_str());
    let mut letters = Vec::new();
    for key in retry_with_backoff(|| backend.objects.list(&prefix)).await? {
        match read(backend, &key).await {
            Ok(letter) => letters.push(letter),
            // Redriven in the meantime.
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(letters)
}

/// One dead letter.
///
/// # Errors
/// [`Error::NotFound`] where there is none with this name, or another of the backend's.
pub async fn show_dead_letter(backend: &Backend, kind: DeadLetterKind, name: &str) -> Result<DeadLetter> {
    if !is_name(name) {
        return Err(Error::NotFound { what: format!("dead letter {name:?}") });
    }
    read(backend, &kind.key(name)).await
}

/// An operator types the name; nothing but a name may become a part of a key.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

async fn read(backend: &Backend, key: &str) -> Result<DeadLetter> {
    let json = retry_with_backoff(|| backend.objects.read(key)).await?;
    serde_json::from_slice(&json)
        .map_err(|error| Error::Failed { what: "reading a dead letter", why: format!("{key}: {error}") })
}

pub(crate) fn now() -> UnixMillis {
    UnixMillis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64)
}
