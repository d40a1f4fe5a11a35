//! Queue messages: JSON with a schema version.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{PageRef, ReadAs, RedactPolicy, Task, TaskId, is_default};

/// Error: this version cannot decode the message. Decision: dead-letter it; a retry cannot succeed.
#[derive(Debug, thiserror::Error)]
pub enum MessageDecodeError {
    /// The message has an unknown version.
    #[error("unsupported message version {found}: the newest supported version is {known}")]
    Version {
        /// The message's version.
        found: u32,
        /// The newest supported version.
        known: u32,
    },
    /// The message is not valid JSON of its schema.
    #[error("malformed message: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// A message that can be sent to a queue.
///
/// ```
/// use quire_tasks::{CallbackMessage, Message, TaskId};
///
/// let message = CallbackMessage::for_round_end(TaskId::derive_from(&["example"]), 1);
/// let json = message.encode();
/// assert!(json.starts_with(r#"{"v":1,"#));
/// assert_eq!(CallbackMessage::decode(&json)?, message);
///
/// // A message of a later version is refused and not misread.
/// assert!(CallbackMessage::decode(&json.replace(r#""v":1"#, r#""v":9"#)).is_err());
/// # Ok::<(), quire_tasks::MessageDecodeError>(())
/// ```
pub trait Message: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The newest version that this program can decode. Default: 1.
    const VERSION: u32 = 1;

    /// Returns the version to encode: the oldest version that can express the message, so that older programs can
    /// still decode messages that do not use newer features. Default: 1.
    fn version(&self) -> u32 {
        1
    }

    /// Serializes the message to JSON, with its version in the field `v`.
    ///
    /// # Panics
    /// Never: messages hold plain data.
    fn encode(&self) -> String {
        let envelope = Envelope { v: self.version(), message: self };
        serde_json::to_string(&envelope).expect("plain data becomes JSON")
    }

    /// Deserializes a message.
    ///
    /// # Errors
    /// [`MessageDecodeError`] if its version is unknown or it is malformed.
    fn decode(text: &str) -> Result<Self, MessageDecodeError> {
        let Version { v } = serde_json::from_str(text)?;
        if !(1..=Self::VERSION).contains(&v) {
            return Err(MessageDecodeError::Version { found: v, known: Self::VERSION });
        }
        Ok(serde_json::from_str::<Envelope<Self>>(text)?.message)
    }
}

#[derive(Serialize, Deserialize)]
struct Envelope<M> {
    v: u32,
    #[serde(flatten)]
    message: M,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

/// A job for a task's documents: by default, fetch, validate and split one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentMessage {
    /// The task.
    pub task_id: TaskId,
    /// The document's number, from 1.
    pub document: u32,
    /// The task's round.
    pub round: u32,
    /// The job. Default: split.
    #[serde(default, skip_serializing_if = "is_default")]
    pub job: DocumentJob,
}

/// A job on the documents queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentJob {
    /// Fetch, validate and split the document.
    #[default]
    Split,
    /// Create a searchable PDF of an ended task: a [`crate::ObjectKey::Result`]. The message's `document` is 0.
    SearchablePdf,
}

/// The job of reading one page.
///
/// ```
/// use quire_tasks::{Message, PageMessage, PageRef, ReadAs, TaskId};
///
/// let page = PageRef { task_id: TaskId::derive_from(&["example"]), document: 1, page: 2 };
/// let message = PageMessage { page, round: 1, read_as: ReadAs::default(), redact: None };
/// assert_eq!(PageMessage::decode(&message.encode())?, message);
/// # Ok::<(), quire_tasks::MessageDecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageMessage {
    /// The page.
    #[serde(flatten)]
    pub page: PageRef,
    /// The task's round. An outcome of an earlier round is ignored.
    pub round: u32,
    /// The read options.
    #[serde(default, skip_serializing_if = "ReadAs::is_default")]
    pub read_as: ReadAs,
    /// The redaction policy: matches are removed before the text is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redact: Option<RedactPolicy>,
}

impl PageMessage {
    /// Returns the message for a page of a task, in the task's current round.
    pub fn new(task: &Task, page: PageRef) -> Self {
        Self { page, round: task.round, read_as: task.read_as.clone(), redact: task.redact.clone() }
    }
}

impl Task {
    /// Returns a message for each of its [`pages`](Task::pages).
    pub fn page_messages(&self) -> impl Iterator<Item = PageMessage> {
        self.pages().map(|page| PageMessage::new(self, page))
    }
}

/// The job of delivering a callback for a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackMessage {
    /// The task.
    pub task_id: TaskId,
    /// The round that ended, or that is in progress.
    pub round: u32,
    /// Number of the progress event in its round, from 1; `None` for the callback of the round's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<u32>,
}

impl CallbackMessage {
    /// Returns the message for the end of a round.
    pub const fn for_round_end(task_id: TaskId, round: u32) -> Self {
        Self { task_id, round, progress: None }
    }
}

impl Message for DocumentMessage {
    const VERSION: u32 = 2;

    /// A program that only knows splitting must not split a document for another job.
    fn version(&self) -> u32 {
        if is_default(&self.job) { 1 } else { 2 }
    }
}

impl Message for PageMessage {
    const VERSION: u32 = 2;

    /// A worker without redaction must not read a page whose text must be redacted.
    fn version(&self) -> u32 {
        if self.redact.is_some() { 2 } else { 1 }
    }
}

impl Message for CallbackMessage {}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::Mode;

    #[test]
    fn default_read_options_are_not_encoded() {
        let page = PageRef { task_id: TaskId::new(Uuid::from_u128(7)), document: 1, page: 3 };
        let default = PageMessage { page, round: 1, read_as: ReadAs::default(), redact: None };
        assert!(!default.encode().contains("read_as"));
        let mode = Mode::Translate { language: "English".to_owned() };
        let special = PageMessage { read_as: ReadAs { mode, ..ReadAs::default() }, ..default.clone() };
        for message in [default, special] {
            assert_eq!(PageMessage::decode(&message.encode()).ok(), Some(message));
        }
    }

    #[test]
    fn a_message_of_an_unknown_version_is_refused() {
        let text = r#"{"v":3,"something":"else"}"#;
        let error = PageMessage::decode(text).expect_err("version 3");
        assert_eq!(error.to_string(), "unsupported message version 3: the newest supported version is 2");
        assert!(PageMessage::decode("not json").is_err());
    }

    #[test]
    fn a_message_with_newer_features_has_a_newer_version() {
        let page = PageRef { task_id: TaskId::new(Uuid::from_u128(7)), document: 1, page: 3 };
        let default = PageMessage { page, round: 1, read_as: ReadAs::default(), redact: None };
        assert!(default.encode().starts_with(r#"{"v":1,"#));
        let redacted = PageMessage { redact: Some(RedactPolicy::default()), ..default };
        assert!(redacted.encode().starts_with(r#"{"v":2,"#));
        let other = DocumentMessage { task_id: page.task_id, document: 0, round: 1, job: DocumentJob::SearchablePdf };
        assert!(other.encode().starts_with(r#"{"v":2,"#));
        assert_eq!(DocumentMessage::decode(&other.encode()).ok(), Some(other));
    }
}
