//! How well an engine does, in numbers that can be added up.

use serde::{Deserialize, Serialize};

/// What is known of the pages that an engine was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct EngineStats {
    /// Pages that it has answered or failed on.
    pub pages: u64,
    /// Of these, failures.
    pub failures: u64,
    /// Of the answers, those without text.
    pub empty: u64,
    /// The answers that say how sure they are.
    pub sure_pages: u64,
    /// The sum of their confidences.
    pub confidence_sum: f64,
    /// The sum of the squares of their confidences.
    pub confidence_squares: f64,
    /// How long the answers took, in milliseconds, added up.
    pub millis: u64,
}

impl EngineStats {
    /// One answer more.
    pub fn answered(&mut self, confidence: Option<f32>, is_empty: bool, millis: u64) {
        self.pages += 1;
        self.millis += millis;
        self.empty += u64::from(is_empty);
        if let Some(confidence) = confidence.map(f64::from) {
            self.sure_pages += 1;
            self.confidence_sum += confidence;
            self.confidence_squares += confidence * confidence;
        }
    }

    /// One failure more.
    pub const fn failed(&mut self) {
        self.pages += 1;
        self.failures += 1;
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            pages: self.pages + other.pages,
            failures: self.failures + other.failures,
            empty: self.empty + other.empty,
            sure_pages: self.sure_pages + other.sure_pages,
            confidence_sum: self.confidence_sum + other.confidence_sum,
            confidence_squares: self.confidence_squares + other.confidence_squares,
            millis: self.millis + other.millis,
        }
    }

    /// Pages with an answer.
    pub const fn answers(&self) -> u64 {
        self.pages - self.failures
    }

    /// The mean confidence of the answers that have one.
    pub fn mean_confidence(&self) -> Option<f64> {
        (self.sure_pages > 0).then(|| self.confidence_sum / self.sure_pages as f64)
    }

    /// The mean time of an answer, in milliseconds.
    pub fn mean_millis(&self) -> Option<f64> {
        (self.answers() > 0).then(|| self.millis as f64 / self.answers() as f64)
    }

    /// The squared standard error of the mean confidence; NaN without a confidence.
    pub fn confidence_error(&self) -> f64 {
        let count = self.sure_pages as f64;
        let mean = self.confidence_sum / count;
        ((self.confidence_squares / count - mean * mean).max(0.0)) / count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_workers_count_adds_up() {
        let (mut one, mut other) = (EngineStats::default(), EngineStats::default());
        one.answered(Some(0.5), false, 100);
        one.failed();
        other.answered(Some(1.0), false, 300);
        other.answered(None, true, 200);
        let all = one.plus(other);
        assert_eq!((all.pages, all.failures, all.answers(), all.empty), (4, 1, 3, 1));
        assert_eq!((all.mean_confidence(), all.mean_millis()), (Some(0.75), Some(200.0)));
        assert_eq!((EngineStats::default().mean_confidence(), EngineStats::default().mean_millis()), (None, None));
    }
}
