//! When a callback is tried again.

use std::{str::FromStr, time::Duration};

/// A receiver may ask us to wait this long; whoever asks for more is asked again earlier than it likes.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(10);
/// No queue holds a message back for longer.
const LONGEST_WAIT: Duration = Duration::from_hours(12);
/// The longest wait that is asked of a queue: it counts from when it handed the message out.
const LONGEST_ASKED_FOR: Duration = Duration::from_mins(12 * 60 - 5);
/// By this share the waits vary each way, so that callbacks that failed together do not come back together.
const JITTER: f64 = 0.2;

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no wait between two attempts: write such as 5s, 2m or 1h, from 1s to 12h, set apart by commas")]
pub struct InvalidSchedule(String);

/// The waits before the second attempt, the third, and so on. After the last of them it is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(Vec<Duration>);

impl Schedule {
    /// How often a callback is tried, the first time included.
    pub fn attempts(&self) -> u32 {
        self.0.len() as u32 + 1
    }

    /// How long to wait after `attempt` (from 1) has failed, or `None` when it was the last. `random` is from 0 to 1.
    /// What the receiver asked for as `retry_after` lengthens the wait, up to [`LONGEST_RETRY_AFTER`].
    pub fn next(&self, attempt: u32, retry_after: Option<Duration>, random: f64) -> Option<Duration> {
        let scheduled = *self.0.get(attempt.checked_sub(1)? as usize)?;
        let wait = scheduled.mul_f64(1.0 + JITTER * (2.0 * random.clamp(0.0, 1.0) - 1.0));
        let asked_for = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        Some(wait.max(asked_for).min(LONGEST_ASKED_FOR))
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self::from_iter([1, 5, 15].map(Duration::from_secs))
    }
}

impl FromIterator<Duration> for Schedule {
    fn from_iter<I: IntoIterator<Item = Duration>>(waits: I) -> Self {
        Self(waits.into_iter().collect())
    }
}

/// Reads such as `1s,5s,15s,5m`.
impl FromStr for Schedule {
    type Err = InvalidSchedule;

    fn from_str(text: &str) -> Result<Self, InvalidSchedule> {
        text.split(',').map(wait).collect::<Result<_, _>>().map(Self)
    }
}

fn wait(text: &str) -> Result<Duration, InvalidSchedule> {
    let invalid = || InvalidSchedule(text.to_owned());
    let (number, unit) = text.trim().split_at_checked(text.trim().len().saturating_sub(1)).ok_or_else(invalid)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        _ => return Err(invalid()),
    };
    let number: u64 = number.parse().map_err(|_| invalid())?;
    let wait = Duration::from_secs(number.saturating_mul(seconds));
    if (Duration::from_secs(1)..=LONGEST_WAIT).contains(&wait) { Ok(wait) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(schedule: &Schedule) -> Vec<u64> {
        schedule.0.iter().map(Duration::as_secs).collect()
    }

    #[test]
    fn a_schedule_is_read_from_text() {
        assert_eq!("1s,5s,15s".parse(), Ok(Schedule::default()));
        let long: Schedule = "5s, 5m,2h, 12h".parse().expect("a schedule");
        assert_eq!(seconds(&long), [5, 300, 7200, 43_200]);
        assert_eq!(long.attempts(), 5);
        for wrong in
            ["", "5", "s", "0s", "13h", "-1s", "1s,,5s", "1d", "é", "99999999999999999999s", "18446744073709551615h"]
        {
            assert!(wrong.parse::<Schedule>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn by_default_a_callback_is_tried_four_times() {
        let schedule = Schedule::default();
        let waits: Vec<Option<u64>> =
            (0..6).map(|attempt| schedule.next(attempt, None, 0.5).map(|wait| wait.as_secs())).collect();
        assert_eq!(waits, [None, Some(1), Some(5), Some(15), None, None]);
    }

    #[test]
    fn a_receiver_can_ask_for_patience_but_not_for_haste_and_not_forever() {
        let next =
            |asked| Schedule::default().next(2, Some(Duration::from_secs(asked)), 0.5).map(|wait| wait.as_secs());
        assert_eq!(next(0), Some(5));
        assert_eq!(next(60), Some(60));
        assert_eq!(next(86_400), Some(600));
    }

    proptest! {
        #[test]
        fn jitter_stays_within_a_fifth(wait in 1_u64..36_000, random in 0.0_f64..=1.0) {
            let scheduled = Duration::from_secs(wait);
            let next = Schedule(vec![scheduled]).next(1, None, random).expect("one retry");
            prop_assert!(next >= scheduled.mul_f64(0.799_999) && next <= scheduled.mul_f64(1.200_001));
        }

        #[test]
        fn no_wait_is_longer_than_a_queue_can_hold(
            wait in 1_u64..=43_200, asked in prop::option::of(any::<u64>()), random in any::<f64>(),
        ) {
            let schedule = Schedule(vec![Duration::from_secs(wait)]);
            let next = schedule.next(1, asked.map(Duration::from_secs), random).expect("one retry");
            prop_assert!(next <= LONGEST_ASKED_FOR && next > Duration::ZERO);
        }

        #[test]
        fn more_chance_and_more_asking_never_shorten_a_wait(
            wait in 1_u64..43_200, asked in 0_u64..1_000, more in 0_u64..1_000, low in 0.0_f64..=1.0, high in 0.0_f64..=1.0,
        ) {
            let schedule = Schedule(vec![Duration::from_secs(wait)]);
            let next = |asked, random| schedule.next(1, Some(Duration::from_secs(asked)), random);
            prop_assert!(next(asked, low.min(high)) <= next(asked, low.max(high)));
            prop_assert!(next(asked, low) <= next(asked + more, low));
        }

        #[test]
        fn later_waits_of_a_growing_schedule_are_not_shorter(mut waits in prop::collection::vec(1_u64..43_200, 1..9)) {
            waits.sort_unstable();
            let schedule = Schedule(waits.into_iter().map(Duration::from_secs).collect());
            let next: Vec<_> = (1..schedule.attempts()).map(|attempt| schedule.next(attempt, None, 0.5)).collect();
            prop_assert!(next.is_sorted());
            prop_assert_eq!(schedule.next(schedule.attempts(), None, 0.5), None);
        }
    }
}
