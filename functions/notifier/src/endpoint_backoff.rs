//! Waits for busy and failing endpoints. Pure: time and randomness are parameters.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Maximum concurrent calls to one endpoint: a fast endpoint handles hundreds per second with it, and a slow one
/// leaves most of the notifier's capacity to others.
pub(crate) const MAX_CONCURRENT_CALLS: usize = 8;
/// Maximum delay of a message, an SQS limit.
const MAX_WAIT: Duration = Duration::from_mins(15);
/// Maximum relative jitter, so that callbacks that were postponed together are not retried together.
const JITTER: f64 = 0.2;
/// Assumed duration of the first call.
const INITIAL_CALL_DURATION: Duration = Duration::from_millis(20);

/// The calls to one endpoint: those in flight, and the schedule of those postponed.
#[derive(Debug)]
pub(crate) struct EndpointBackoff {
    /// Moving average of the call duration.
    average_duration: Duration,
    started: BTreeMap<u64, Instant>,
    calls: u64,
    waiting: u32,
    /// Start of the next postponed call. Postponed calls get evenly spaced start times, so that they do not all find
    /// the endpoint busy again.
    next_start: Option<Instant>,
}

impl Default for EndpointBackoff {
    fn default() -> Self {
        Self {
            average_duration: INITIAL_CALL_DURATION,
            started: BTreeMap::new(),
            calls: 0,
            waiting: 0,
            next_start: None,
        }
    }
}

impl EndpointBackoff {
    /// Records the start of a call and returns its number.
    pub(crate) fn start_call(&mut self, now: Instant) -> u64 {
        self.calls += 1;
        self.started.insert(self.calls, now);
        self.calls
    }

    pub(crate) fn finish_call(&mut self, call: u64, now: Instant) {
        if let Some(began) = self.started.remove(&call) {
            self.average_duration = self.average_duration * 3 / 4 + now.saturating_duration_since(began) / 4;
        }
    }

    /// Records that a delivery waits for a slot.
    pub(crate) const fn start_waiting(&mut self) {
        self.waiting += 1;
    }

    pub(crate) const fn stop_waiting(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// Returns the expected wait of another delivery for a slot.
    pub(crate) fn expected_wait(&self, now: Instant) -> Duration {
        self.call_duration(now) * (self.waiting + 1) / MAX_CONCURRENT_CALLS as u32
    }

    /// Returns the expected call duration. A call in flight lasts at least as long as it has.
    fn call_duration(&self, now: Instant) -> Duration {
        let oldest = self.started.values().next().map_or(Duration::ZERO, |began| now.saturating_duration_since(*began));
        self.average_duration.max(oldest).max(Duration::from_millis(1))
    }

    /// Returns how long to postpone a call to an endpoint without a free slot.
    pub(crate) fn wait_when_busy(&mut self, now: Instant, random: f64) -> Duration {
        self.wait_until(now + self.call_duration(now), now, random)
    }

    /// Returns how long to postpone a call that must not start before `earliest`. `random` is from 0 to 1.
    pub(crate) fn wait_until(&mut self, earliest: Instant, now: Instant, random: f64) -> Duration {
        let random = random.clamp(0.0, 1.0);
        let start = self.next_start.map_or(earliest, |next| next.max(earliest));
        let wait = start.saturating_duration_since(now);
        if wait > MAX_WAIT {
            // The schedule is full. A random wait returns the call when slots may be free.
            return MAX_WAIT.mul_f64(1.0 - random / 2.0);
        }
        self.next_start = Some(start + self.call_duration(now) / MAX_CONCURRENT_CALLS as u32);
        wait.mul_f64(1.0 + JITTER * random).min(MAX_WAIT)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SLOW: Duration = Duration::from_secs(8);

    /// Returns the state of an endpoint whose calls take [`SLOW`].
    fn slow(now: Instant) -> EndpointBackoff {
        EndpointBackoff { average_duration: SLOW, ..EndpointBackoff::default() }.full(now)
    }

    impl EndpointBackoff {
        fn full(mut self, now: Instant) -> Self {
            for _ in 0..MAX_CONCURRENT_CALLS {
                self.start_call(now);
            }
            self
        }
    }

    #[test]
    fn postponed_calls_are_spaced_by_the_endpoint_s_rate() {
        let now = Instant::now();
        let mut backoff = slow(now);
        let waits: Vec<u64> = (0..4).map(|_| backoff.wait_when_busy(now, 0.0).as_secs()).collect();
        assert_eq!(waits, [8, 9, 10, 11], "eight concurrent calls of eight seconds are one per second");
    }

    #[test]
    fn ten_thousand_postponed_calls_each_wait_over_seven_minutes() {
        let now = Instant::now();
        let mut backoff = slow(now);
        let waits: Vec<Duration> =
            (0..10_000).map(|index| backoff.wait_when_busy(now, f64::from(index % 100) / 99.0)).collect();
        assert!(waits.iter().all(|wait| *wait <= MAX_WAIT));
        let late = waits.iter().filter(|wait| **wait >= MAX_WAIT / 2).count();
        assert!(late > 9_500, "{late}");
    }

    #[test]
    fn a_stuck_call_raises_the_expected_wait() {
        let now = Instant::now();
        let mut backoff = EndpointBackoff::default().full(now);
        assert!(backoff.expected_wait(now) < Duration::from_millis(10));
        assert_eq!(backoff.expected_wait(now + SLOW), SLOW / 8);
        backoff.start_waiting();
        assert_eq!(backoff.expected_wait(now + SLOW), SLOW / 4);
        backoff.stop_waiting();
        backoff.finish_call(1, now + SLOW);
        assert!(backoff.average_duration > Duration::from_secs(2), "{:?}", backoff.average_duration);
    }

    #[test]
    fn a_failing_endpoint_is_not_called_before_its_backoff_ends() {
        let now = Instant::now();
        let mut backoff = EndpointBackoff::default();
        let until = now + Duration::from_secs(10);
        for random in [0.0, 0.5, 1.0] {
            assert!(backoff.wait_until(until, now, random) >= Duration::from_secs(10));
        }
    }

    proptest! {
        #[test]
        fn no_wait_exceeds_the_queue_s_maximum(
            seconds in 0_u64..100_000, random in any::<f64>(), others in 0_usize..50,
        ) {
            let now = Instant::now();
            let mut backoff = slow(now);
            for _ in 0..others {
                let _ = backoff.wait_when_busy(now, 0.5);
            }
            prop_assert!(backoff.wait_until(now + Duration::from_secs(seconds), now, random) <= MAX_WAIT);
        }
    }
}
