//! Identifiers and records of callback deliveries.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{InvalidId, TaskId, UnixMillis};

/// Identifies one event of a task: the `webhook-id` header, equal on every attempt, so that a receiver can
/// deduplicate (Standard Webhooks).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebhookId {
    /// The task.
    pub task_id: TaskId,
    /// The round.
    pub round: u32,
    /// Number of the progress event in its round, from 1; `None` for the event of the round's end.
    pub progress: Option<u32>,
}

impl WebhookId {
    const PREFIX: &str = "msg_";

    /// Returns the id of the event that reports the end of a round.
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
        let parse_parts = || {
            let mut parts = text.strip_prefix(Self::PREFIX)?.split('_');
            let task_id = TaskId::parse_digits(parts.next()?)?;
            let round = parts.next()?.parse().ok()?;
            let progress = parts.next().map(str::parse).transpose().ok()?;
            let id = Self { task_id, round, progress };
            // Only the canonical notation is valid, so that one event has one id.
            let is_canonical = parts.next().is_none() && id.to_string() == text;
            if is_canonical { Some(id) } else { None }
        };
        parse_parts().ok_or(InvalidId::new("delivery"))
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

/// One delivery attempt, as recorded in the delivery log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryAttempt {
    /// The event.
    pub webhook_id: WebhookId,
    /// The event's `type`, e.g. `task.succeeded`.
    pub event: String,
    /// Number of the attempt in its retry schedule, from 1.
    pub attempt: u32,
    /// Start time.
    pub at: UnixMillis,
    /// Duration in milliseconds.
    pub duration_ms: u64,
    /// The result.
    #[serde(rename = "ending")]
    pub result: AttemptResult,
    /// The HTTP status of the response, if there was one.
    pub status: Option<u16>,
    /// The error, if it was not delivered.
    pub error: Option<String>,
    /// The first bytes of the response body, at most 1 kB.
    #[serde(rename = "answer")]
    pub response: Option<String>,
    /// Time of the next attempt, if it is retried.
    pub next_at: Option<UnixMillis>,
}

/// The result of a delivery attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptResult {
    /// The receiver accepted it.
    Delivered,
    /// It failed and is retried.
    Retrying,
    /// It failed and is not retried, except by a redrive or resend.
    GivenUp,
}

impl DeliveryAttempt {
    /// Returns its record key in the deliveries collection. Keys of one task sort by start time.
    pub fn key(&self) -> String {
        format!("{}/{:014}-{}", self.webhook_id.task_id, self.at.0, self.webhook_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_id_has_one_notation() {
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
    fn keys_of_attempts_sort_by_time() {
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
