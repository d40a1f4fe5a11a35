//! A task's callback (webhook): its URL, payload type, state and delivery attempts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{CallbackState, UnixMillis, is_default};

/// Minimum interval between two progress events of a task.
pub const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// A task's callback: the webhook that reports its end, and its progress if requested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// The receiver's URL.
    pub url: String,
    /// The state of the delivery in this round.
    pub state: CallbackState,
    /// Number of delivery attempts in this round.
    pub attempts: u32,
    /// Number of these attempts that precede the last redrive or resend. They do not count toward the retry schedule.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attempts_before: u32,
    /// The error of the last attempt.
    pub last_error: Option<String>,
    /// The payload type. Default: full.
    #[serde(default, skip_serializing_if = "is_default")]
    pub payload: CallbackPayload,
    /// The progress events sent so far; `None` if the customer did not request progress events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<CallbackProgress>,
    /// The base URL of the task's result, as the customer addressed the API; empty if unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub base_url: String,
}

impl Callback {
    /// Returns a pending callback without attempts. Default: full payload, no progress events.
    pub fn new(url: String) -> Self {
        Self {
            url,
            state: CallbackState::Pending,
            attempts: 0,
            attempts_before: 0,
            last_error: None,
            payload: CallbackPayload::Full,
            progress: None,
            base_url: String::new(),
        }
    }

    /// Returns the number of the next attempt, from 1, in the current retry schedule.
    pub const fn next_attempt(&self) -> u32 {
        self.attempts.saturating_sub(self.attempts_before).saturating_add(1)
    }

    /// Returns this callback as pending and without attempts, for a new round.
    #[must_use]
    pub fn reset(self) -> Self {
        let progress = self.progress.map(|_| CallbackProgress::default());
        Self { state: CallbackState::Pending, attempts: 0, attempts_before: 0, last_error: None, progress, ..self }
    }
}

/// The payload type of a callback.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackPayload {
    /// All pages with their text, up to the payload's size limit.
    #[default]
    Full,
    /// The final status and the URL of the result.
    Thin,
}

/// The progress events sent in this round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackProgress {
    /// Time of the last event.
    #[serde(rename = "told_at")]
    pub sent_at: Option<UnixMillis>,
    /// Number of events sent in this round.
    pub number: u32,
    /// The task version of the last event.
    pub version: u64,
}

impl CallbackProgress {
    /// Records the next event, caused by the change to the task's `version`. Returns `None` if the last event was
    /// sent less than [`PROGRESS_INTERVAL`] ago.
    #[must_use]
    pub fn next(self, version: u64, now: UnixMillis) -> Option<Self> {
        let too_soon = self.sent_at.is_some_and(|sent_at| sent_at.plus(PROGRESS_INTERVAL) > now);
        if too_soon { None } else { Some(Self { sent_at: Some(now), number: self.number + 1, version }) }
    }
}

/// A change to a callback: the result of an attempt, or a request to send it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallbackUpdate {
    /// The receiver accepted it.
    Delivered,
    /// The attempt failed; the callback is retried.
    Retrying {
        /// The error.
        error: String,
    },
    /// The last attempt failed; the callback is not retried.
    Exhausted {
        /// The error.
        error: String,
    },
    /// An operator redrives it.
    Redrive,
    /// The customer requests it again, even if it was delivered.
    Resend,
}

impl CallbackUpdate {
    /// Returns `callback` after this change, or `None` if the change comes too late: a delivered callback stays
    /// delivered, and an exhausted one is left only by [`CallbackUpdate::Redrive`] or by a delivery.
    /// [`CallbackUpdate::Resend`] leaves both states.
    pub fn apply(&self, callback: &Callback) -> Option<Callback> {
        use CallbackState::{Delivered, Exhausted, Pending, Retrying};
        let after_attempt = |state, last_error: Option<&String>| {
            let attempts = callback.attempts + 1;
            Some(Callback { state, attempts, last_error: last_error.cloned(), ..callback.clone() })
        };
        match (callback.state, self) {
            (CallbackState::None, Self::Resend) => None,
            (_, Self::Resend) | (Pending | Retrying | Exhausted, Self::Redrive) => {
                Some(Callback { state: Pending, attempts_before: callback.attempts, ..callback.clone() })
            }
            (Delivered | CallbackState::None, _) | (Exhausted, Self::Retrying { .. } | Self::Exhausted { .. }) => None,
            (_, Self::Delivered) => after_attempt(Delivered, None),
            (_, Self::Retrying { error }) => after_attempt(Retrying, Some(error)),
            (_, Self::Exhausted { error }) => after_attempt(Exhausted, Some(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_events_are_at_least_five_seconds_apart() {
        let first = CallbackProgress::default().next(2, UnixMillis(1_000)).expect("a first event");
        assert_eq!(first, CallbackProgress { sent_at: Some(UnixMillis(1_000)), number: 1, version: 2 });
        assert_eq!(first.next(3, UnixMillis(5_999)), None);
        assert_eq!(first.next(4, UnixMillis(6_000)).map(|next| next.number), Some(2));
    }

    #[test]
    fn a_delivered_callback_stays_delivered() {
        let pending = Callback::new("https://example.com".to_owned());
        let failed = CallbackUpdate::Retrying { error: "500".to_owned() };
        let retrying = failed.apply(&pending).expect("the first attempt is recorded");
        assert_eq!((retrying.state, retrying.attempts), (CallbackState::Retrying, 1));
        let delivered = CallbackUpdate::Delivered.apply(&retrying).expect("the second attempt is recorded");
        assert_eq!((delivered.state, delivered.last_error.as_ref()), (CallbackState::Delivered, None));
        for late in [failed, CallbackUpdate::Redrive, CallbackUpdate::Delivered] {
            assert_eq!(late.apply(&delivered), None);
        }
        let resent = CallbackUpdate::Resend.apply(&delivered).expect("a resend is allowed");
        assert_eq!((resent.state, resent.attempts), (CallbackState::Pending, 2));
        assert_eq!((retrying.next_attempt(), resent.next_attempt()), (2, 1), "the schedule starts again");
    }

    #[test]
    fn an_exhausted_callback_can_be_redriven() {
        let pending = Callback::new("https://example.com".to_owned());
        let exhausted = CallbackUpdate::Exhausted { error: "410".to_owned() }.apply(&pending).expect("an update");
        assert_eq!(CallbackUpdate::Retrying { error: "late".to_owned() }.apply(&exhausted), None);
        let again = CallbackUpdate::Redrive.apply(&exhausted).expect("a redrive is allowed");
        assert_eq!(again.state, CallbackState::Pending);
    }
}
