//! Statistics of an engine, which can be summed over workers.

use serde::{Deserialize, Serialize};

/// Statistics of the pages that an engine was asked to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct EngineStats {
    /// Pages with a result: a text or a failure.
    pub pages: u64,
    /// Pages with a failure.
    pub failures: u64,
    /// Pages whose text is empty.
    pub empty: u64,
    /// Pages whose text has a confidence.
    pub sure_pages: u64,
    /// The sum of the confidences.
    pub confidence_sum: f64,
    /// The sum of the squares of the confidences.
    pub confidence_squares: f64,
    /// The sum of the times for pages with a text, in milliseconds.
    pub millis: u64,
}

impl EngineStats {
    /// Adds a page with a text.
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

    /// Adds a page with a failure.
    pub const fn failed(&mut self) {
        self.pages += 1;
        self.failures += 1;
    }

    /// Returns the sum of both.
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

    /// Returns the number of pages with a text.
    pub const fn answers(&self) -> u64 {
        self.pages - self.failures
    }

    /// Returns the mean confidence; `None` if no text has one.
    pub fn mean_confidence(&self) -> Option<f64> {
        (self.sure_pages > 0).then(|| self.confidence_sum / self.sure_pages as f64)
    }

    /// Returns the mean time for a page, in milliseconds; `None` without a text.
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
    fn statistics_of_several_workers_add_up() {
        let mut one = EngineStats::default();
        let mut other = EngineStats::default();
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
