//! The retry schedule of callbacks.

use std::{str::FromStr, time::Duration};

/// Maximum `Retry-After` that is honored; a longer one is truncated.
pub const MAX_RETRY_AFTER: Duration = Duration::from_mins(10);
/// Maximum wait of a schedule: the maximum visibility timeout of SQS.
const MAX_WAIT: Duration = Duration::from_hours(12);
/// Maximum wait that is requested from a queue. SQS counts the 12 hours from the receive, so that a few minutes must
/// remain for the attempt itself.
const MAX_REQUESTED_WAIT: Duration = Duration::from_mins(12 * 60 - 5);
/// Relative jitter in both directions, so that callbacks that failed together are not retried together.
const JITTER: f64 = 0.2;

/// Error: the text is not a retry schedule. Decision: do not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a retry wait: must be a number and a unit (s, m or h), from 1s to 12h, separated by commas")]
pub struct InvalidSchedule(String);

/// A retry schedule: the waits before the second attempt, the third, and so on. After the last one the callback is
/// given up.
///
/// ```
/// use std::time::Duration;
///
/// use quire_callback::Schedule;
///
/// let schedule: Schedule = "1s,5s,15s".parse()?;
/// assert_eq!(schedule, Schedule::default());
/// assert_eq!(schedule.attempts(), 4);
///
/// // A random number of 0.5 is the middle of the jitter.
/// assert_eq!(schedule.next(2, None, 0.5), Some(Duration::from_secs(5)));
/// // `Retry-After` lengthens a wait. After the last attempt the callback is given up.
/// assert_eq!(schedule.next(2, Some(Duration::from_secs(30)), 0.5), Some(Duration::from_secs(30)));
/// assert_eq!(schedule.next(4, None, 0.5), None);
/// # Ok::<(), quire_callback::InvalidSchedule>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(Vec<Duration>);

impl Schedule {
    /// Returns the maximum number of attempts, including the first.
    pub fn attempts(&self) -> u32 {
        self.0.len() as u32 + 1
    }

    /// Returns the wait after `attempt` (from 1) has failed, or `None` after the last attempt. `random` (0 to 1)
    /// jitters the wait. A `retry_after` from the receiver lengthens the wait, up to [`MAX_RETRY_AFTER`].
    pub fn next(&self, attempt: u32, retry_after: Option<Duration>, random: f64) -> Option<Duration> {
        let scheduled = *self.0.get(attempt.checked_sub(1)? as usize)?;
        let wait = scheduled.mul_f64(1.0 + JITTER * (2.0 * random.clamp(0.0, 1.0) - 1.0));
        let requested = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
        Some(wait.max(requested).min(MAX_REQUESTED_WAIT))
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

/// Parses a schedule, e.g. `1s,5s,15s,5m`.
impl FromStr for Schedule {
    type Err = InvalidSchedule;

    fn from_str(text: &str) -> Result<Self, InvalidSchedule> {
        text.split(',').map(parse_wait).collect::<Result<_, _>>().map(Self)
    }
}

fn parse_wait(text: &str) -> Result<Duration, InvalidSchedule> {
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
    if (Duration::from_secs(1)..=MAX_WAIT).contains(&wait) { Ok(wait) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(schedule: &Schedule) -> Vec<u64> {
        schedule.0.iter().map(Duration::as_secs).collect()
    }

    #[test]
    fn a_schedule_is_parsed() {
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
    fn the_default_schedule_has_four_attempts() {
        let schedule = Schedule::default();
        let waits: Vec<Option<u64>> =
            (0..6).map(|attempt| schedule.next(attempt, None, 0.5).map(|wait| wait.as_secs())).collect();
        assert_eq!(waits, [None, Some(1), Some(5), Some(15), None, None]);
    }

    #[test]
    fn retry_after_lengthens_a_wait_up_to_a_limit() {
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
            prop_assert!(next <= MAX_REQUESTED_WAIT && next > Duration::ZERO);
        }

        #[test]
    fn more_jitter_or_retry_after_never_shortens_a_wait(
            wait in 1_u64..43_200,
            asked in 0_u64..1_000,
            more in 0_u64..1_000,
            low in 0.0_f64..=1.0,
            high in 0.0_f64..=1.0,
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
