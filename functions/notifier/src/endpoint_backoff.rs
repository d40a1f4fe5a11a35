//! When an endpoint is called next that is busy. Pure: the time and chance are passed in.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Calls to one endpoint at once: a fast one takes hundreds a second by that, and a slow one leaves the others most of
/// what a notifier has in hand.
pub(crate) const MAX_CONCURRENT_CALLS: usize = 8;
/// No queue takes a message anew for later than that.
const MAX_WAIT: Duration = Duration::from_mins(15);
/// How much a wait is lengthened at most, so that those who were put off together do not come back together.
const JITTER: f64 = 0.2;
/// What a call is taken to last of which nobody knows anything.
const INITIAL_CALL_DURATION: Duration = Duration::from_millis(20);

/// The calls to one endpoint: those under way, and when those that are put off have their turn.
#[derive(Debug)]
pub(crate) struct EndpointBackoff {
    /// What a call lasts, the latest ones above all.
    typical: Duration,
    started: BTreeMap<u64, Instant>,
    calls: u64,
    waiting: u32,
    /// When the next that is put off has its turn: each has one of its own, so that they do not all come back to find the
    /// endpoint as busy as before.
    next_start: Option<Instant>,
}

impl Default for EndpointBackoff {
    fn default() -> Self {
        Self { typical: INITIAL_CALL_DURATION, started: BTreeMap::new(), calls: 0, waiting: 0, next_start: None }
    }
}

impl EndpointBackoff {
    /// A call begins; its number.
    pub(crate) fn start_call(&mut self, now: Instant) -> u64 {
        self.calls += 1;
        self.started.insert(self.calls, now);
        self.calls
    }

    pub(crate) fn finish_call(&mut self, call: u64, now: Instant) {
        if let Some(began) = self.started.remove(&call) {
            self.typical = self.typical * 3 / 4 + now.saturating_duration_since(began) / 4;
        }
    }

    /// Somebody waits in hand for a call to end.
    pub(crate) const fn start_waiting(&mut self) {
        self.waiting += 1;
    }

    pub(crate) const fn stop_waiting(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// How long one more would wait in hand.
    pub(crate) fn expected_wait(&self, now: Instant) -> Duration {
        self.call_duration(now) * (self.waiting + 1) / MAX_CONCURRENT_CALLS as u32
    }

    /// What a call lasts: one that has not ended yet lasts at least as long as it has.
    fn call_duration(&self, now: Instant) -> Duration {
        let oldest = self.started.values().next().map_or(Duration::ZERO, |began| now.saturating_duration_since(*began));
        self.typical.max(oldest).max(Duration::from_millis(1))
    }

    /// How long one is put off that finds every place taken.
    pub(crate) fn wait_when_busy(&mut self, now: Instant, random: f64) -> Duration {
        self.wait_until(now + self.call_duration(now), now, random)
    }

    /// How long one is put off that must not come before `earliest`. `random` is from 0 to 1.
    pub(crate) fn wait_until(&mut self, earliest: Instant, now: Instant, random: f64) -> Duration {
        let random = random.clamp(0.0, 1.0);
        let start = self.next_start.map_or(earliest, |next| next.max(earliest));
        let wait = start.saturating_duration_since(now);
        if wait > MAX_WAIT {
            // Behind a quarter of an hour of others: who comes back then takes what is free by then.
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

    /// At an endpoint whose calls last [`SLOW`].
    fn slow(now: Instant) -> EndpointBackoff {
        EndpointBackoff { typical: SLOW, ..EndpointBackoff::default() }.full(now)
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
    fn those_that_are_put_off_have_a_turn_each_as_fast_as_the_endpoint_takes_them() {
        let now = Instant::now();
        let mut turns = slow(now);
        let waits: Vec<u64> = (0..4).map(|_| turns.wait_when_busy(now, 0.0).as_secs()).collect();
        assert_eq!(waits, [8, 9, 10, 11], "eight at once of eight seconds each: one a second");
    }

    #[test]
    fn ten_thousand_that_are_put_off_are_looked_at_no_more_often_than_every_seven_minutes_each() {
        let now = Instant::now();
        let mut turns = slow(now);
        let waits: Vec<Duration> =
            (0..10_000).map(|index| turns.wait_when_busy(now, f64::from(index % 100) / 99.0)).collect();
        assert!(waits.iter().all(|wait| *wait <= MAX_WAIT));
        let late = waits.iter().filter(|wait| **wait >= MAX_WAIT / 2).count();
        assert!(late > 9_500, "{late}");
    }

    #[test]
    fn a_call_that_does_not_end_makes_the_others_expect_the_worst() {
        let now = Instant::now();
        let mut turns = EndpointBackoff::default().full(now);
        assert!(turns.expected_wait(now) < Duration::from_millis(10));
        assert_eq!(turns.expected_wait(now + SLOW), SLOW / 8);
        turns.start_waiting();
        assert_eq!(turns.expected_wait(now + SLOW), SLOW / 4);
        turns.stop_waiting();
        turns.finish_call(1, now + SLOW);
        assert!(turns.typical > Duration::from_secs(2), "{:?}", turns.typical);
    }

    #[test]
    fn an_endpoint_that_is_left_alone_is_not_asked_before_its_time() {
        let now = Instant::now();
        let mut turns = EndpointBackoff::default();
        let until = now + Duration::from_secs(10);
        for random in [0.0, 0.5, 1.0] {
            assert!(turns.wait_until(until, now, random) >= Duration::from_secs(10));
        }
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_a_queue_takes(seconds in 0_u64..100_000, random in any::<f64>(), others in 0_usize..50) {
            let now = Instant::now();
            let mut turns = slow(now);
            for _ in 0..others {
                let _ = turns.wait_when_busy(now, 0.5);
            }
            prop_assert!(turns.wait_until(now + Duration::from_secs(seconds), now, random) <= MAX_WAIT);
        }
    }
}
