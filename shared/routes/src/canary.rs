//! Whether a canary does worse than the engine it is to replace.

use quire_tasks::EngineStats;
use serde::Deserialize;

/// A difference must be this many standard deviations to be significant: by chance one in a few hundred equally good
/// canaries is rolled back.
const SIGNIFICANT_DEVIATIONS: f64 = 3.0;

/// How much worse a canary may be before it is rolled back. A difference must exceed its limit, and be significant.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CanaryLimits {
    /// A canary is not judged on fewer pages than this. Default: 30.
    pub min_pages: u64,
    /// The largest increase of the share of failures. Default: 0.02.
    pub failure_share: f64,
    /// The largest increase of the share of empty pages. Default: 0.05.
    pub empty_share: f64,
    /// The largest decrease of the mean confidence. Default: 0.02.
    pub confidence: f64,
    /// The largest ratio of the mean time per page. Default: 2.
    pub slowdown: f64,
}

/// Events among a number of pages.
#[derive(Clone, Copy)]
struct Proportion {
    count: u64,
    total: u64,
}

impl Proportion {
    fn share(self) -> f64 {
        self.count as f64 / self.total as f64
    }
}

impl Default for CanaryLimits {
    fn default() -> Self {
        Self { min_pages: 30, failure_share: 0.02, empty_share: 0.05, confidence: 0.02, slowdown: 2.0 }
    }
}

impl CanaryLimits {
    /// Returns why the canary must be rolled back; `None` if it does not do worse.
    pub fn rollback_reason(&self, stable: &EngineStats, canary: &EngineStats) -> Option<String> {
        if canary.pages < self.min_pages || stable.pages < self.min_pages {
            return None;
        }
        let stable_failures = Proportion { count: stable.failures, total: stable.pages };
        let canary_failures = Proportion { count: canary.failures, total: canary.pages };
        if let Some((before, after)) = significant_increase(stable_failures, canary_failures, self.failure_share) {
            return Some(format!("it fails on {after:.1} % of the pages, the stable version on {before:.1} %"));
        }
        let stable_empty = Proportion { count: stable.empty, total: stable.answers() };
        let canary_empty = Proportion { count: canary.empty, total: canary.answers() };
        if let Some((before, after)) = significant_increase(stable_empty, canary_empty, self.empty_share) {
            return Some(format!("{after:.1} % of its pages are empty, {before:.1} % of the stable version's"));
        }
        if let (Some(before), Some(after)) = (stable.mean_confidence(), canary.mean_confidence()) {
            let deviation = (stable.confidence_error() + canary.confidence_error()).sqrt();
            if before - after > self.confidence.max(SIGNIFICANT_DEVIATIONS * deviation) {
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

/// Returns both shares in percent if the second is larger than the first by more than `margin`, and significantly.
fn significant_increase(before: Proportion, after: Proportion, margin: f64) -> Option<(f64, f64)> {
    if before.total == 0 || after.total == 0 {
        return None;
    }
    // The two-proportion z-test with the pooled share.
    let pooled = Proportion { count: before.count + after.count, total: before.total + after.total }.share();
    let deviation = (pooled * (1.0 - pooled) * (1.0 / after.total as f64 + 1.0 / before.total as f64)).sqrt();
    let increase = after.share() - before.share();
    (increase > margin.max(SIGNIFICANT_DEVIATIONS * deviation)).then(|| (100.0 * before.share(), 100.0 * after.share()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stats(pages: u64, failures: u64, empty: u64, confidence: f64, millis: u64) -> EngineStats {
        let answers = pages - failures;
        EngineStats {
            pages,
            failures,
            empty,
            sure_pages: answers,
            confidence_sum: confidence * answers as f64,
            // A standard deviation of 0.05 around the mean.
            confidence_squares: (confidence * confidence + 0.0025) * answers as f64,
            millis: millis * answers,
        }
    }

    fn reason(canary: EngineStats) -> Option<String> {
        CanaryLimits::default().rollback_reason(&stats(1000, 5, 20, 0.95, 100), &canary)
    }

    #[test]
    fn a_canary_as_good_as_the_stable_version_stays() {
        assert_eq!(reason(stats(100, 1, 3, 0.94, 150)), None);
        assert_eq!(reason(stats(100, 0, 0, 0.99, 20)), None);
    }

    #[test]
    fn a_worse_canary_is_rolled_back_with_the_reason() {
        for (canary, expected) in [
            (stats(100, 20, 0, 0.95, 100), "fails"),
            (stats(100, 100, 0, 0.95, 100), "fails"),
            (stats(100, 0, 40, 0.95, 100), "empty"),
            (stats(100, 0, 2, 0.70, 100), "confidence"),
            (stats(100, 0, 2, 0.95, 500), "takes"),
        ] {
            let reason = reason(canary).unwrap_or_default();
            assert!(reason.contains(expected), "{expected}: {reason}");
        }
    }

    #[test]
    fn a_canary_is_not_judged_on_a_few_pages() {
        assert_eq!(reason(stats(29, 29, 0, 0.0, 100)), None);
        let limits = CanaryLimits::default();
        assert_eq!(limits.rollback_reason(&stats(3, 0, 0, 0.9, 100), &stats(100, 100, 0, 0.0, 100)), None);
    }

    proptest! {
        #[test]
        fn a_canary_that_does_the_same_is_never_rolled_back(
            pages in 1_u64..5000,
            failures in 0.0..1.0,
            empty in 0.0..1.0,
            confidence in 0.0..1.0,
            millis in 1_u64..10_000,
        ) {
            let failures = (failures * pages as f64) as u64;
            let empty = (empty * (pages - failures) as f64) as u64;
            let same = stats(pages, failures, empty, confidence, millis);
            prop_assert_eq!(CanaryLimits::default().rollback_reason(&same, &same), None);
        }
    }
}
