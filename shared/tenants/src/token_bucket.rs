//! The token bucket algorithm, without a clock: the time is a parameter.

use quire_tasks::UnixMillis;
use serde::{Deserialize, Serialize};

/// The refill rate and the capacity of a token bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RefillRate {
    /// Tokens per window, refilled evenly.
    pub(crate) quota: u64,
    /// Length of the window in milliseconds.
    pub(crate) window_ms: u64,
    /// Maximum number of tokens.
    pub(crate) capacity: f64,
}

impl RefillRate {
    fn tokens_in(&self, millis: i64) -> f64 {
        millis.max(0) as f64 * self.quota as f64 / self.window_ms as f64
    }

    /// Returns the milliseconds until this many tokens are refilled.
    pub(crate) fn millis_for(&self, tokens: f64) -> i64 {
        (tokens.max(0.0) * self.window_ms as f64 / self.quota as f64).ceil() as i64
    }
}

/// The state of a token bucket. It is stored as a record that all processes share.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct TokenBucket {
    /// Available tokens; negative in debt.
    pub(crate) level: f64,
    /// Time of `level`.
    at: UnixMillis,
    /// Last time at which the bucket was at least half full.
    ample_at: UnixMillis,
}

impl TokenBucket {
    /// Returns a full bucket.
    pub(crate) fn full(rate: &RefillRate, now: UnixMillis) -> Self {
        Self { level: rate.capacity, at: now, ample_at: now }
    }

    /// Refills the bucket up to `now`. A clock that is behind changes nothing.
    #[must_use]
    pub(crate) fn refilled(self, rate: &RefillRate, now: UnixMillis) -> Self {
        let level = (self.level + rate.tokens_in(now.0.saturating_sub(self.at.0))).min(rate.capacity);
        let at = self.at.max(now);
        let ample_at = if level >= rate.capacity / 2.0 { at } else { self.ample_at };
        Self { level, at, ample_at }
    }

    /// Takes up to `wanted` whole tokens and returns how many were taken.
    pub(crate) fn take(&mut self, wanted: u64) -> u64 {
        let taken = (self.level.max(0.0) as u64).min(wanted);
        self.level -= taken as f64;
        taken
    }

    /// Takes tokens even if they are not available: the bucket goes into debt.
    pub(crate) fn charge(&mut self, tokens: u64) {
        self.level -= tokens as f64;
    }

    /// Returns unused prefetched tokens. If the bucket was at least half full since they were taken, they are
    /// dropped: it might have overflowed with them, and it has enough.
    pub(crate) fn put_back(&mut self, tokens: u64, taken_at: UnixMillis) {
        if self.ample_at < taken_at {
            self.level += tokens as f64;
        }
    }
}

/// Tokens that a process has prefetched, so that not every request writes a record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TokenBlock {
    pub(crate) left: u64,
    size: u64,
    pub(crate) taken_at: UnixMillis,
}

impl TokenBlock {
    /// An empty block.
    pub(crate) const NONE: Self = Self::new(0, UnixMillis(0));

    pub(crate) const fn new(size: u64, taken_at: UnixMillis) -> Self {
        Self { left: size, size, taken_at }
    }

    /// Takes one token, unless the block is empty or expired.
    pub(crate) fn take_one(&mut self, max_age_ms: i64, now: UnixMillis) -> bool {
        let fresh = now.0.saturating_sub(self.taken_at.0) < max_age_ms;
        let taken = fresh && self.left > 0;
        self.left -= u64::from(taken);
        taken
    }

    /// Returns the size of the next block: twice as large if this one was used up, otherwise as large as what was
    /// used. A process with few requests so prefetches few tokens.
    pub(crate) fn next_size(&self, most: u64) -> u64 {
        let used = self.size - self.left;
        let wanted = if self.left == 0 { self.size * 2 } else { used };
        wanted.clamp(1, most)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: RefillRate = RefillRate { quota: 60, window_ms: 60_000, capacity: 10.0 };

    fn at(millis: i64) -> UnixMillis {
        UnixMillis(millis)
    }

    #[test]
    fn a_bucket_starts_full_and_refills_evenly() {
        let mut bucket = TokenBucket::full(&RATE, at(0));
        assert_eq!(bucket.take(7), 7);
        assert_eq!(bucket.take(7), 3);
        assert_eq!(bucket.take(1), 0);
        let mut later = bucket.refilled(&RATE, at(2_500));
        assert_eq!(later.take(9), 2, "one comes in a second");
        assert_eq!(RATE.millis_for(1.0 - later.level), 500);
    }

    #[test]
    fn debt_is_repaid_first() {
        let mut bucket = TokenBucket::full(&RATE, at(0));
        bucket.charge(15);
        assert_eq!(bucket.refilled(&RATE, at(5_000)).take(1), 0);
        assert_eq!(bucket.refilled(&RATE, at(6_000)).take(9), 1);
    }

    #[test]
    fn a_clock_that_is_behind_refills_nothing() {
        let mut bucket = TokenBucket::full(&RATE, at(100_000));
        bucket.take(10);
        let back = bucket.refilled(&RATE, at(50_000));
        assert_eq!((back.level, back.at), (0.0, at(100_000)));
    }

    #[test]
    fn a_slow_bucket_has_no_rounding_error() {
        let rate = RefillRate { quota: 1, window_ms: 86_400_000, capacity: 1.0 };
        let mut bucket = TokenBucket::full(&rate, at(0));
        bucket.take(1);
        for millis in (0..=86_400_000).step_by(1_000) {
            bucket = bucket.refilled(&rate, at(millis));
        }
        assert!((bucket.level - 1.0).abs() < 1e-6, "{}", bucket.level);
    }

    #[test]
    fn block_sizes_follow_the_request_rate() {
        let mut block = TokenBlock::new(1, at(0));
        assert!(block.take_one(1_000, at(5)));
        assert!(!block.take_one(1_000, at(5)));
        assert_eq!(block.next_size(50), 2);
        let mut large = TokenBlock::new(32, at(0));
        assert!((0..3).all(|_| large.take_one(1_000, at(10))));
        assert!(!large.take_one(1_000, at(1_000)), "it is too old");
        assert_eq!((large.left, large.next_size(50)), (29, 3));
        assert_eq!(TokenBlock::new(32, at(0)).next_size(50), 1, "nothing was used of it");
    }

    proptest! {
        /// Several processes with prefetched blocks: in any interval, the allowed requests never exceed the capacity
        /// and the refill of the interval plus the maximum age of a block.
        #[test]
        fn all_processes_together_never_exceed_the_limit(
            asks in prop::collection::vec((0_usize..4, 0_i64..400), 1..600),
        ) {
            const HOLD: i64 = 1_000;
            let rate = RefillRate { quota: 600, window_ms: 60_000, capacity: 100.0 };
            let mut bucket = TokenBucket::full(&rate, at(0));
            let mut now = 0;
            let mut blocks = [TokenBlock::NONE; 4];
            let mut allowed = Vec::new();
            for (process, wait) in asks {
                now += wait;
                let block = &mut blocks[process];
                if !block.take_one(HOLD, at(now)) {
                    bucket = bucket.refilled(&rate, at(now));
                    bucket.put_back(block.left, block.taken_at);
                    *block = TokenBlock::new(bucket.take(block.next_size(5)), at(now));
                    if !block.take_one(HOLD, at(now)) {
                        continue;
                    }
                }
                allowed.push(now);
            }
            for (first, from) in allowed.iter().enumerate() {
                for (last, to) in allowed.iter().enumerate().skip(first) {
                    let most = rate.capacity + rate.tokens_in(to - from + HOLD);
                    prop_assert!((last - first + 1) as f64 <= most + 1e-6);
                }
            }
        }
    }
}
