//! What travels on the queues: JSON, versioned from the first day.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{PageRef, ReadAs, RedactPolicy, Task, TaskId, is_default};

/// A message that this version cannot read. Decision: dead-letter it; no retry will help.
#[derive(Debug, thiserror::Error)]
pub enum MessageDecodeError {
    /// Of a version that we do not know.
    #[error("message of version {found}, but this program knows up to {known} only")]
    Version {
        /// The version that the message names.
        found: u32,
        /// The version that this program writes.
        known: u32,
    },
    /// Not the JSON that it should be.
    #[error("malformed message: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// What can be sent.
pub trait Message: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The newest version that this program knows.
    const VERSION: u32 = 1;

    /// The version written into this message: the oldest that says all that it says, so that who knows no more can read
    /// what asks for no more.
    fn version(&self) -> u32 {
        1
    }

    /// As it is sent.
    ///
    /// # Panics
    /// Never: messages hold plain data.
    fn encode(&self) -> String {
        let envelope = Envelope { v: self.version(), message: self };
        serde_json::to_string(&envelope).expect("plain data becomes JSON")
    }

    /// Reads what [`Message::encode`] wrote.
    ///
    /// # Errors
    /// [`MessageDecodeError`] when it is of another version or malformed.
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

/// Do something with a task's documents; as a rule, fetch, check and split this one. The task table has its URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentMessage {
    /// The task.
    pub task_id: TaskId,
    /// The document's number, from 1.
    pub document: u32,
    /// The task's round.
    pub round: u32,
    /// What is to be done.
    #[serde(default, skip_serializing_if = "is_default")]
    pub job: DocumentJob,
}

/// What is to be done with documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentJob {
    /// Fetch, check and split this one.
    #[default]
    Split,
    /// Make a searchable PDF of all of an ended task: a [`crate::ObjectKey::Result`]. The message's document is 0.
    SearchablePdf,
}

/// Read this page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageMessage {
    /// The page.
    #[serde(flatten)]
    pub page: PageRef,
    /// The task's round: an outcome of an earlier round no longer counts.
    pub round: u32,
    /// How the task is to be read.
    #[serde(default, skip_serializing_if = "ReadAs::is_default")]
    pub read_as: ReadAs,
    /// What must not be kept of what is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redact: Option<RedactPolicy>,
}

impl PageMessage {
    /// The message for a page of a task, in the round that the task is in.
    pub fn new(task: &Task, page: PageRef) -> Self {
        Self { page, round: task.round, read_as: task.read_as.clone(), redact: task.redact.clone() }
    }
}

/// Tell the customer how this task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackMessage {
    /// The task.
    pub task_id: TaskId,
    /// The round that ended.
    pub round: u32,
    /// Not of the end, but of how far it is: which of the round's progress events, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<u32>,
}

impl CallbackMessage {
    /// The message of a round's end.
    pub const fn for_round_end(task_id: TaskId, round: u32) -> Self {
        Self { task_id, round, progress: None }
    }
}

impl Message for DocumentMessage {
    const VERSION: u32 = 2;

    /// A program that knows of splitting only must not take another job for it.
    fn version(&self) -> u32 {
        if is_default(&self.job) { 1 } else { 2 }
    }
}

impl Message for PageMessage {
    const VERSION: u32 = 2;

    /// A worker that knows nothing of redaction must not read what is to be redacted.
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
    fn a_message_reads_back() {
        let page = PageRef { task_id: TaskId::new(Uuid::from_u128(7)), document: 1, page: 3 };
        let usual = PageMessage { page, round: 1, read_as: ReadAs::default(), redact: None };
        assert!(!usual.encode().contains("read_as"), "as it was before there was a choice");
        let mode = Mode::Translate { language: "English".to_owned() };
        let special = PageMessage { read_as: ReadAs { mode, ..ReadAs::default() }, ..usual.clone() };
        for message in [usual, special] {
            assert_eq!(PageMessage::decode(&message.encode()).ok(), Some(message));
        }
    }

    #[test]
    fn a_message_of_a_later_version_says_so() {
        let text = r#"{"v":3,"something":"else"}"#;
        let error = PageMessage::decode(text).expect_err("version 3");
        assert_eq!(error.to_string(), "message of version 3, but this program knows up to 2 only");
        assert!(PageMessage::decode("not json").is_err());
    }

    #[test]
    fn a_message_that_asks_for_more_is_refused_by_those_who_know_less() {
        let page = PageRef { task_id: TaskId::new(Uuid::from_u128(7)), document: 1, page: 3 };
        let usual = PageMessage { page, round: 1, read_as: ReadAs::default(), redact: None };
        assert!(usual.encode().starts_with(r#"{"v":1,"#));
        let redacted = PageMessage { redact: Some(RedactPolicy::default()), ..usual };
        assert!(redacted.encode().starts_with(r#"{"v":2,"#));
        let other = DocumentMessage { task_id: page.task_id, document: 0, round: 1, job: DocumentJob::SearchablePdf };
        assert!(other.encode().starts_with(r#"{"v":2,"#));
        assert_eq!(DocumentMessage::decode(&other.encode()).ok(), Some(other));
    }
}
