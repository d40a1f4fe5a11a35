//! A task's callback: where it goes, how much it tells, and how far it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{CallbackState, UnixMillis, is_default};

/// No two progress events of a task are closer together.
pub const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// A task's callback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// Where it goes.
    pub url: String,
    /// How far it is.
    pub state: CallbackState,
    /// How often it was tried in this round.
    pub attempts: u32,
    /// How many of these attempts were made before somebody asked for it anew: they do not count for the schedule.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attempts_before: u32,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// How much it tells.
    #[serde(default, skip_serializing_if = "is_default")]
    pub payload: CallbackPayload,
    /// What its customer is told while the task goes on, if that is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<CallbackProgress>,
    /// What the address of the task's result begins with, as its customer called us; empty where that is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub base_url: String,
}

impl Callback {
    /// A callback that nobody has tried yet.
    pub fn new(url: String) -> Self {
        let (state, attempts, attempts_before) = (CallbackState::Pending, 0, 0);
        let (last_error, payload, progress, base_url) = (None, CallbackPayload::Full, None, String::new());
        Self { url, state, attempts, attempts_before, last_error, payload, progress, base_url }
    }

    /// Which attempt the next one is, from 1, since it was last asked for.
    pub const fn next_attempt(&self) -> u32 {
        self.attempts.saturating_sub(self.attempts_before).saturating_add(1)
    }

    /// The same, in a new round.
    #[must_use]
    pub fn reset(self) -> Self {
        let progress = self.progress.map(|_| CallbackProgress::default());
        Self { state: CallbackState::Pending, attempts: 0, attempts_before: 0, last_error: None, progress, ..self }
    }
}

/// How much a callback tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackPayload {
    /// Every page with its text, as long as that is not too much.
    #[default]
    Full,
    /// How it ended, and where the result is.
    Thin,
}

/// How far a customer has been told of, who wants to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackProgress {
    /// When, last.
    #[serde(rename = "told_at")]
    pub sent_at: Option<UnixMillis>,
    /// How often in this round.
    pub number: u32,
    /// The version of the task that was told of last.
    pub version: u64,
}

impl CallbackProgress {
    /// With the event that a page's end owes, which makes the task's `version`; `None` where the last was just now.
    #[must_use]
    pub fn next(self, version: u64, now: UnixMillis) -> Option<Self> {
        let soon = self.sent_at.is_some_and(|sent_at| sent_at.plus(PROGRESS_INTERVAL) > now);
        (!soon).then_some(Self { sent_at: Some(now), number: self.number + 1, version })
    }
}

/// How an attempt at a callback ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallbackUpdate {
    /// The receiver took it.
    Delivered,
    /// It did not, and will be asked again.
    Retrying {
        /// Why.
        error: String,
    },
    /// It did not, and will not be asked again.
    Exhausted {
        /// Why.
        error: String,
    },
    /// An operator wants it tried again.
    Redrive,
    /// Its customer wants it sent again, even one that was taken.
    Resend,
}

impl CallbackUpdate {
    /// `callback` after this, or `None` where the update comes too late: a delivered callback stays delivered, and an
    /// exhausted one is only left by [`CallbackUpdate::Redrive`] or by a delivery; but [`CallbackUpdate::Resend`] leaves both.
    pub fn apply(&self, callback: &Callback) -> Option<Callback> {
        use CallbackState::{Delivered, Exhausted, Pending, Retrying};
        let after = |state, last_error: Option<&String>| {
            let (attempts, last_error) = (callback.attempts + 1, last_error.cloned());
            Some(Callback { state, attempts, last_error, ..callback.clone() })
        };
        match (callback.state, self) {
            (CallbackState::None, Self::Resend) => None,
            (_, Self::Resend) | (Pending | Retrying | Exhausted, Self::Redrive) => {
                Some(Callback { state: Pending, attempts_before: callback.attempts, ..callback.clone() })
            }
            (Delivered | CallbackState::None, _) | (Exhausted, Self::Retrying { .. } | Self::Exhausted { .. }) => None,
            (_, Self::Delivered) => after(Delivered, None),
            (_, Self::Retrying { error }) => after(Retrying, Some(error)),
            (_, Self::Exhausted { error }) => after(Exhausted, Some(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_sent_at_most_every_five_seconds() {
        let first = CallbackProgress::default().next(2, UnixMillis(1_000)).expect("the first is due at once");
        assert_eq!(first, CallbackProgress { sent_at: Some(UnixMillis(1_000)), number: 1, version: 2 });
        assert_eq!(first.next(3, UnixMillis(5_999)), None);
        assert_eq!(first.next(4, UnixMillis(6_000)).map(|next| next.number), Some(2));
    }

    #[test]
    fn a_delivered_callback_stays_delivered() {
        let owed = Callback::new("https://example.com".to_owned());
        let failed = CallbackUpdate::Retrying { error: "500".to_owned() };
        let retrying = failed.apply(&owed).expect("a first attempt counts");
        assert_eq!((retrying.state, retrying.attempts), (CallbackState::Retrying, 1));
        let delivered = CallbackUpdate::Delivered.apply(&retrying).expect("a second attempt counts");
        assert_eq!((delivered.state, delivered.last_error.as_ref()), (CallbackState::Delivered, None));
        for late in [failed, CallbackUpdate::Redrive, CallbackUpdate::Delivered] {
            assert_eq!(late.apply(&delivered), None);
        }
        let resent = CallbackUpdate::Resend.apply(&delivered).expect("its customer may");
        assert_eq!((resent.state, resent.attempts), (CallbackState::Pending, 2));
        assert_eq!((retrying.next_attempt(), resent.next_attempt()), (2, 1), "a new schedule begins");
    }

    #[test]
    fn an_exhausted_callback_can_be_owed_again() {
        let owed = Callback::new("https://example.com".to_owned());
        let exhausted = CallbackUpdate::Exhausted { error: "410".to_owned() }.apply(&owed).expect("counts");
        assert_eq!(CallbackUpdate::Retrying { error: "late".to_owned() }.apply(&exhausted), None);
        let again = CallbackUpdate::Redrive.apply(&exhausted).expect("an operator may");
        assert_eq!(again.state, CallbackState::Pending);
    }
}
