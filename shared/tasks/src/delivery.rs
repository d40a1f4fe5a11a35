//! What is told to a receiver, and how each attempt at it went.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{InvalidId, TaskId, UnixMillis};

/// Names what is told of a task: the `webhook-id`, the same on every attempt, so that a receiver can tell a repetition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebhookId {
    /// The task.
    pub task_id: TaskId,
    /// The round.
    pub round: u32,
    /// Which of the round's progress events, from 1; `None` for the round's end.
    pub progress: Option<u32>,
}

impl WebhookId {
    const PREFIX: &str = "msg_";

    /// The name of a round's end.
    pub const fn for_round_end(task_id: TaskId, round: u32) -> Self {
        Self { task_id, round, progress: None }
    }
}

impl fmt::Display for WebhookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task_id, round, progress } = self;
        write!(f, "{}{}_{round}", Self::PREFIX, task_id.digits())?;
        progress.map_or(Ok(()), |number| write!(f, "_{number}"))
    }
}

impl FromStr for WebhookId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let parse = || {
            let mut parts = text.strip_prefix(Self::PREFIX)?.split('_');
            let task_id = TaskId::parse_digits(parts.next()?)?;
            let round = parts.next()?.parse().ok()?;
            let progress = parts.next().map(str::parse).transpose().ok()?;
            let id = Self { task_id, round, progress };
            // One name, one notation.
            (parts.next().is_none() && id.to_string() == text).then_some(id)
        };
        parse().ok_or(InvalidId::new("delivery"))
    }
}

impl TryFrom<String> for WebhookId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<WebhookId> for String {
    fn from(id: WebhookId) -> Self {
        id.to_string()
    }
}

/// One attempt at telling a receiver: a record of the deliveries' log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryAttempt {
    /// What was told.
    pub webhook_id: WebhookId,
    /// The event's `type`: `task.succeeded`, say.
    pub event: String,
    /// Which attempt at this since it was last asked for, from 1.
    pub attempt: u32,
    /// When it began.
    pub at: UnixMillis,
    /// How long it took.
    pub duration_ms: u64,
    /// What came of it.
    #[serde(rename = "ending")]
    pub result: AttemptResult,
    /// The status of the answer, where there was one.
    pub status: Option<u16>,
    /// Why it was not delivered.
    pub error: Option<String>,
    /// The beginning of the answer's body: at most 1 kB.
    #[serde(rename = "answer")]
    pub response: Option<String>,
    /// When it is tried again.
    pub next_at: Option<UnixMillis>,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptResult {
    /// The receiver took it.
    Delivered,
    /// It did not; it is tried again.
    Retrying,
    /// It did not; it is not tried again unless somebody asks for it.
    GivenUp,
}

impl DeliveryAttempt {
    /// Its key on the shelf of deliveries: behind those of the same task that came before it.
    pub fn key(&self) -> String {
        format!("{}/{:014}-{}", self.webhook_id.task_id, self.at.0, self.webhook_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_id_reads_back_in_its_one_notation() {
        let task_id = TaskId::derive_from(&["a task"]);
        let end = WebhookId::for_round_end(task_id, 3);
        let progress = WebhookId { progress: Some(12), ..end };
        for id in [end, progress] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        let text = end.to_string();
        for wrong in ["", "msg_", "msg_12_1", &text.replace("_3", "_03"), &format!("{text}_1_2"), &text[4..]] {
            assert!(wrong.parse::<WebhookId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn later_attempts_lie_behind_earlier_ones() {
        let attempt = |at, round| DeliveryAttempt {
            webhook_id: WebhookId::for_round_end(TaskId::derive_from(&["a task"]), round),
            event: "task.succeeded".to_owned(),
            attempt: 1,
            at: UnixMillis(at),
            duration_ms: 1,
            result: AttemptResult::Delivered,
            status: Some(200),
            error: None,
            response: None,
            next_at: None,
        };
        assert!(attempt(999_999_999_999, 9).key() < attempt(1_000_000_000_000, 10).key());
    }
}
