//! What reading costs: counted at the model's door, for logs, metrics and benchmarks.

use std::{
    ops::AddAssign,
    time::{Duration, Instant},
};

use ndarray::{Array3, ArrayView4};
use serde::Serialize;

use crate::{Model, ModelError, Step};

/// Sums over everything read since they were last taken.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Work {
    /// Pages read.
    pub pages: u64,
    /// From getting the pages to giving back their text.
    pub total: Duration,
    /// Runs of detection; their unit is the pixel.
    pub detection: Runs,
    /// Runs of recognition; their unit is the column of a strip.
    pub recognition: Runs,
}

/// The runs of one model.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Runs {
    /// How many there were, by the number of pages or strips in one: 1, 2, up to 4, up to 8, … and more than 64.
    pub by_size: [u64; 8],
    /// How many pages or strips they had.
    pub items: u64,
    /// Units that show something.
    pub drawn: u64,
    /// Units that were run, padding included.
    pub padded: u64,
    /// From handing over the input to having the answer.
    pub busy: Duration,
}

impl Work {
    /// The time spent outside of model runs.
    pub fn outside(&self) -> Duration {
        self.total.saturating_sub(self.detection.busy + self.recognition.busy)
    }
}

impl Runs {
    /// How many runs there were.
    pub fn count(&self) -> u64 {
        self.by_size.iter().sum()
    }

    /// The share of what was run that showed nothing, between 0 and 1.
    pub fn waste(&self) -> f64 {
        if self.padded == 0 { 0.0 } else { 1.0 - self.drawn as f64 / self.padded as f64 }
    }

    fn add(&mut self, items: usize, drawn: usize, padded: usize, busy: Duration) {
        let class = items.max(1).next_power_of_two().trailing_zeros() as usize;
        self.by_size[class.min(self.by_size.len() - 1)] += 1;
        self.items += items as u64;
        self.drawn += drawn as u64;
        self.padded += padded as u64;
        self.busy += busy;
    }
}

impl AddAssign<&Self> for Work {
    fn add_assign(&mut self, other: &Self) {
        self.pages += other.pages;
        self.total += other.total;
        self.detection += &other.detection;
        self.recognition += &other.recognition;
    }
}

impl AddAssign<&Self> for Runs {
    fn add_assign(&mut self, other: &Self) {
        self.by_size.iter_mut().zip(other.by_size).for_each(|(sum, count)| *sum += count);
        self.items += other.items;
        self.drawn += other.drawn;
        self.padded += other.padded;
        self.busy += other.busy;
    }
}

/// A model, and what its runs have cost.
pub(crate) struct Metered {
    model: Box<dyn Model>,
    pub(crate) work: Work,
}

impl Metered {
    pub(crate) fn new(model: Box<dyn Model>) -> Self {
        Self { model, work: Work::default() }
    }

    pub(crate) fn model(&self) -> &dyn Model {
        self.model.as_ref()
    }

    pub(crate) fn detect(&mut self, pages: &ArrayView4<'_, f32>) -> Result<Array3<f32>, ModelError> {
        let (items, _, height, width) = pages.dim();
        let started = Instant::now();
        let answer = self.model.detect(pages.view());
        let pixels = items * height * width;
        self.work.detection.add(items, pixels, pixels, started.elapsed());
        answer
    }

    /// `drawn` columns of the strips show something.
    pub(crate) fn recognize(
        &mut self,
        strips: &ArrayView4<'_, f32>,
        drawn: usize,
    ) -> Result<Vec<Vec<Step>>, ModelError> {
        let (items, _, _, width) = strips.dim();
        let started = Instant::now();
        let answer = self.model.recognize(strips.view());
        self.work.recognition.add(items, drawn, items * width, started.elapsed());
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_counted_by_how_many_share_one() {
        let mut runs = Runs::default();
        for items in [1, 2, 3, 4, 5, 64, 65, 1000] {
            runs.add(items, 75 * items, 100 * items, Duration::from_millis(2));
        }
        assert_eq!(runs.by_size, [1, 1, 2, 1, 0, 0, 1, 2]);
        assert_eq!((runs.count(), runs.items, runs.busy), (8, 1144, Duration::from_millis(16)));
        assert!((runs.waste() - 0.25).abs() < 1e-9);
        assert!(Runs::default().waste().abs() < 1e-9);
    }

    #[test]
    fn what_is_outside_of_runs_is_never_negative() {
        let mut work = Work { pages: 1, total: Duration::from_millis(10), ..Work::default() };
        work.detection.add(1, 1, 1, Duration::from_millis(4));
        assert_eq!(work.outside(), Duration::from_millis(6));
        let mut sum = work.clone();
        sum += &work;
        assert_eq!((sum.pages, sum.outside()), (2, Duration::from_millis(12)));
        work.recognition.add(1, 1, 1, Duration::from_secs(1));
        assert_eq!(work.outside(), Duration::ZERO);
    }
}
