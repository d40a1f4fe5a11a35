//! Whether a new version does worse than the one it is to replace.

use quire_tasks::EngineStats;
use serde::Deserialize;

/// So many standard deviations are no chance: one in a few hundred canaries that are as good is rolled back by it.
const SURE: f64 = 3.0;

/// What a canary may do worse before it is rolled back. A difference must be larger than this, and too large for chance.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CanaryLimits {
    /// Of fewer pages than this nothing is said.
    pub min_pages: u64,
    /// By how much its share of failures may be larger.
    pub failure_share: f64,
    /// By how much its share of empty pages may be larger.
    pub empty_share: f64,
    /// By how much its mean confidence may be lower.
    pub confidence: f64,
    /// How many times as long it may take for a page.
    pub slowdown: f64,
}

impl Default for CanaryLimits {
    fn default() -> Self {
        Self { min_pages: 30, failure_share: 0.02, empty_share: 0.05, confidence: 0.02, slowdown: 2.0 }
    }
}

impl CanaryLimits {
    /// Why the canary is to be rolled back, if it is.
    pub fn verdict(&self, stable: &EngineStats, canary: &EngineStats) -> Option<String> {
        if canary.pages < self.min_pages || stable.pages < self.min_pages {
            return None;
        }
        let failures = (stable.failures, stable.pages, canary.failures, canary.pages);
        if let Some((before, after)) = risen(failures, self.failure_share) {
            return Some(format!("it fails on {after:.1} % of the pages, the stable version on {before:.1} %"));
        }
        let empty = (stable.empty, stable.answers(), canary.empty, canary.answers());
        if let Some((before, after)) = risen(empty, self.empty_share) {
            return Some(format!("{after:.1} % of its pages are empty, {before:.1} % of the stable version's"));
        }
        if let (Some(before), Some(after)) = (stable.mean_confidence(), canary.mean_confidence()) {
            let error = (stable.confidence_error() + canary.confidence_error()).sqrt();
            if before - after > self.confidence.max(SURE * error) {
                return Some(format!("its mean confidence is {after:.3}, the stable version's {before:.3}"));
            }
        }
        match (stable.mean_millis(), canary.mean_millis()) {
            (Some(before), Some(after)) if after > before * self.slowdown && canary.answers() >= self.min_pages => {
                Some(format!("a page takes it {after:.0} ms, the stable version {before:.0} ms"))
            }
            _ => None,
        }
    }
}

/// The two shares in percent, where the second is larger than the first by more than `margin` and than chance allows.
fn risen((before, of_before, after, of_after): (u64, u64, u64, u64), margin: f64) -> Option<(f64, f64)> {
    if of_before == 0 || of_after == 0 {
        return None;
    }
    let (count, others) = (of_after as f64, of_before as f64);
    let (old, new) = (before as f64 / others, after as f64 / count);
    // The test of two proportions with their pooled share.
    let pooled = (before + after) as f64 / (count + others);
    let error = (pooled * (1.0 - pooled) * (1.0 / count + 1.0 / others)).sqrt();
    (new - old > margin.max(SURE * error)).then_some((100.0 * old, 100.0 * new))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stats(pages: u64, failures: u64, empty: u64, confidence: f64, millis: u64) -> EngineStats {
        let answers = pages - failures;
        let sum = confidence * answers as f64;
        EngineStats {
            pages,
            failures,
            empty,
            sure_pages: answers,
            confidence_sum: sum,
            // A deviation of 0.05 around the mean.
            confidence_squares: (confidence * confidence + 0.0025) * answers as f64,
            millis: millis * answers,
        }
    }

    fn verdict(canary: EngineStats) -> Option<String> {
        CanaryLimits::default().verdict(&stats(1000, 5, 20, 0.95, 100), &canary)
    }

    #[test]
    fn a_canary_as_good_as_the_stable_version_stays() {
        assert_eq!(verdict(stats(100, 1, 3, 0.94, 150)), None);
        assert_eq!(verdict(stats(100, 0, 0, 0.99, 20)), None);
    }

    #[test]
    fn a_worse_canary_is_found_by_what_is_worse() {
        for (canary, what) in [
            (stats(100, 20, 0, 0.95, 100), "fails"),
            (stats(100, 100, 0, 0.95, 100), "fails"),
            (stats(100, 0, 40, 0.95, 100), "empty"),
            (stats(100, 0, 2, 0.70, 100), "confidence"),
            (stats(100, 0, 2, 0.95, 500), "takes"),
        ] {
            let said = verdict(canary).unwrap_or_default();
            assert!(said.contains(what), "{what}: {said}");
        }
    }

    #[test]
    fn of_a_few_pages_nothing_is_said() {
        assert_eq!(verdict(stats(29, 29, 0, 0.0, 100)), None);
        let limits = CanaryLimits::default();
        assert_eq!(limits.verdict(&stats(3, 0, 0, 0.9, 100), &stats(100, 100, 0, 0.0, 100)), None);
    }

    proptest! {
        #[test]
        fn a_canary_that_does_the_same_is_never_rolled_back(
            pages in 1_u64..5000, failures in 0.0..1.0, empty in 0.0..1.0, confidence in 0.0..1.0, millis in 1_u64..10_000,
        ) {
            let failures = (failures * pages as f64) as u64;
            let empty = (empty * (pages - failures) as f64) as u64;
            let same = stats(pages, failures, empty, confidence, millis);
            prop_assert_eq!(CanaryLimits::default().verdict(&same, &same), None);
        }
    }
}
