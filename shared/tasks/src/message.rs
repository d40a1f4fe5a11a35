//! What travels on the queues: JSON, versioned from the first day.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{PageRef, ReadAs, Task, TaskId};

/// A message that this version cannot read. Decision: dead-letter it; no retry will help.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableMessage {
    /// Of a version that we do not know.
    #[error("message of version {found}, but this program knows {known} only")]
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
    /// The version written into each message.
    const VERSION: u32 = 1;

    /// As it is sent.
    ///
    /// # Panics
    /// Never: messages hold plain data.
    fn encode(&self) -> String {
        let envelope = Envelope { v: Self::VERSION, message: self };
        serde_json::to_string(&envelope).expect("plain data becomes JSON")
    }

    /// Reads what [`Message::encode`] wrote.
    ///
    /// # Errors
    /// [`UnreadableMessage`] when it is of another version or malformed.
    fn decode(text: &str) -> Result<Self, UnreadableMessage> {
        let Version { v } = serde_json::from_str(text)?;
        if v != Self::VERSION {
            return Err(UnreadableMessage::Version { found: v, known: Self::VERSION });
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

/// Fetch, check and split this document. The task table has its URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentMessage {
    /// The task.
    pub task_id: TaskId,
    /// The document's number, from 1.
    pub document: u32,
    /// The task's round.
    pub round: u32,
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
    #[serde(default, skip_serializing_if = "ReadAs::is_usual")]
    pub read_as: ReadAs,
}

impl PageMessage {
    /// The message for a page of a task, in the round that the task is in.
    pub fn new(task: &Task, page: PageRef) -> Self {
        Self { page, round: task.round, read_as: task.read_as.clone() }
    }
}

/// Tell the customer how this task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackMessage {
    /// The task.
    pub task_id: TaskId,
    /// The round that ended.
    pub round: u32,
}

impl Message for DocumentMessage {}
impl Message for PageMessage {}
impl Message for CallbackMessage {}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::Mode;

    #[test]
    fn a_message_reads_back() {
        let page = PageRef { task_id: TaskId::new(Uuid::from_u128(7)), document: 1, page: 3 };
        let usual = PageMessage { page, round: 1, read_as: ReadAs::default() };
        assert!(!usual.encode().contains("read_as"), "as it was before there was a choice");
        let mode = Mode::Translate { language: "English".to_owned() };
        let special = PageMessage { read_as: ReadAs { mode, ..ReadAs::default() }, ..usual.clone() };
        for message in [usual, special] {
            assert_eq!(PageMessage::decode(&message.encode()).ok(), Some(message));
        }
    }

    #[test]
    fn a_message_of_a_later_version_says_so() {
        let text = r#"{"v":2,"something":"else"}"#;
        let error = PageMessage::decode(text).expect_err("version 2");
        assert_eq!(error.to_string(), "message of version 2, but this program knows 1 only");
        assert!(PageMessage::decode("not json").is_err());
    }
}
