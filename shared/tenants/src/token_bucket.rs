//! The token bucket: pure, with the time passed in.

use quire_tasks::UnixMillis;
use serde::{Deserialize, Serialize};

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RefillRate {
    /// So many tokens come in a window, evenly.
    pub(crate) quota: u64,
    /// How long a window is.
    pub(crate) window_ms: u64,
    /// What fits in.
    pub(crate) capacity: f64,
}

impl RefillRate {
    fn tokens_in(&self, millis: i64) -> f64 {
        millis.max(0) as f64 * self.quota as f64 / self.window_ms as f64
    }

    /// In how many milliseconds so many tokens come.
    pub(crate) fn millis_for(&self, tokens: f64) -> i64 {
        (tokens.max(0.0) * self.window_ms as f64 / self.quota as f64).ceil() as i64
    }
}

/// What is left of a limit. It is kept as a record, so that all processes take from one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct TokenBucket {
    /// The tokens in it; below zero where more was used than there was.
    pub(crate) level: f64,
    /// When that was so.
    at: UnixMillis,
    /// When it was last found at least half full.
    ample_at: UnixMillis,
}

impl TokenBucket {
    /// A full one.
    pub(crate) fn full(rate: &RefillRate, now: UnixMillis) -> Self {
        Self { level: rate.capacity, at: now, ample_at: now }
    }

    /// With what has come in since. A clock that is behind those of others adds nothing, and takes nothing back.
    #[must_use]
    pub(crate) fn refilled(self, rate: &RefillRate, now: UnixMillis) -> Self {
        let level = (self.level + rate.tokens_in(now.0.saturating_sub(self.at.0))).min(rate.capacity);
        let at = self.at.max(now);
        let ample_at = if level >= rate.capacity / 2.0 { at } else { self.ample_at };
        Self { level, at, ample_at }
    }

    /// Takes up to so many whole tokens; how many there were.
    pub(crate) fn take(&mut self, wanted: u64) -> u64 {
        let taken = (self.level.max(0.0) as u64).min(wanted);
        self.level -= taken as f64;
        taken
    }

    /// Takes so many tokens, whether they are there or not.
    pub(crate) fn charge(&mut self, tokens: u64) {
        self.level -= tokens as f64;
    }

    /// Puts back what was taken and not used, as if it had never been taken. While the bucket is ample it is not put back:
    /// had it stayed in, the bucket might have overflowed in between, and nobody would miss it either.
    pub(crate) fn put_back(&mut self, tokens: u64, taken_at: UnixMillis) {
        if self.ample_at < taken_at {
            self.level += tokens as f64;
        }
    }
}

/// What a process has taken out of a bucket in advance, so that not every request writes a record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TokenBlock {
    pub(crate) left: u64,
    size: u64,
    pub(crate) taken_at: UnixMillis,
}

impl TokenBlock {
    /// What a process has before it has taken anything.
    pub(crate) const NONE: Self = Self::new(0, UnixMillis(0));

    pub(crate) const fn new(size: u64, taken_at: UnixMillis) -> Self {
        Self { left: size, size, taken_at }
    }

    /// Uses one of its tokens, where there is one that is not too old.
    pub(crate) fn take_one(&mut self, hold_ms: i64, now: UnixMillis) -> bool {
        let fresh = now.0.saturating_sub(self.taken_at.0) < hold_ms;
        let taken = fresh && self.left > 0;
        self.left -= u64::from(taken);
        taken
    }

    /// How large the next should be: twice as large where this one was used up before its time, else as large as what was
    /// used of it. Who asks seldom holds no more than others would miss.
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
    fn a_bucket_gives_what_it_holds_and_then_what_comes_in() {
        let mut bucket = TokenBucket::full(&RATE, at(0));
        assert_eq!(bucket.take(7), 7);
        assert_eq!(bucket.take(7), 3);
        assert_eq!(bucket.take(1), 0);
        let mut later = bucket.refilled(&RATE, at(2_500));
        assert_eq!(later.take(9), 2, "one comes in a second");
        assert_eq!(RATE.millis_for(1.0 - later.level), 500);
    }

    #[test]
    fn debt_is_paid_back_before_anything_is_given() {
        let mut bucket = TokenBucket::full(&RATE, at(0));
        bucket.charge(15);
        assert_eq!(bucket.refilled(&RATE, at(5_000)).take(1), 0);
        assert_eq!(bucket.refilled(&RATE, at(6_000)).take(9), 1);
    }

    #[test]
    fn a_clock_that_goes_back_adds_nothing() {
        let mut bucket = TokenBucket::full(&RATE, at(100_000));
        bucket.take(10);
        let back = bucket.refilled(&RATE, at(50_000));
        assert_eq!((back.level, back.at), (0.0, at(100_000)));
    }

    #[test]
    fn a_slow_bucket_loses_nothing_to_rounding() {
        let rate = RefillRate { quota: 1, window_ms: 86_400_000, capacity: 1.0 };
        let mut bucket = TokenBucket::full(&rate, at(0));
        bucket.take(1);
        for millis in (0..=86_400_000).step_by(1_000) {
            bucket = bucket.refilled(&rate, at(millis));
        }
        assert!((bucket.level - 1.0).abs() < 1e-6, "{}", bucket.level);
    }

    #[test]
    fn blocks_follow_what_is_asked_for() {
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
        /// Several processes, each with blocks of its own, never let more through in any stretch of time than the bucket
        /// holds and than comes in, with what comes in while a block is held.
        #[test]
        fn all_together_never_get_more_than_the_limit(
            asks in prop::collection::vec((0_usize..4, 0_i64..400), 1..600),
        ) {
            const HOLD: i64 = 1_000;
            let rate = RefillRate { quota: 600, window_ms: 60_000, capacity: 100.0 };
            let (mut bucket, mut now) = (TokenBucket::full(&rate, at(0)), 0);
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
