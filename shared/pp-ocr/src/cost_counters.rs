//! Counters of the cost of reading, for logs, metrics and benchmarks.

use std::{
    ops::AddAssign,
    time::{Duration, Instant},
};

use quire_inference::{ModelError, RunBuffer};
use serde::Serialize;
use tracing::warn;

use crate::model::{CtcStep, OcrModel};

/// Counters since the last call of [`Engine::take_costs`](crate::Engine::take_costs).
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CostCounters {
    /// Pages read.
    pub pages: u64,
    /// Total time of [`Engine::read`](crate::Engine::read).
    pub total: Duration,
    /// Detection runs; the unit of `drawn` and `padded` is the pixel.
    pub detection: RunCounters,
    /// Recognition runs; the unit of `drawn` and `padded` is the column of a line image.
    pub recognition: RunCounters,
}

/// Counters of the runs of one model.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RunCounters {
    /// Runs by batch size: 1, 2, up to 4, up to 8, … and more than 64. Items are pages, crops of pages, or line images.
    pub by_size: [u64; 8],
    /// Items in all runs.
    pub items: u64,
    /// Units with content.
    pub drawn: u64,
    /// Units that were computed, including padding.
    pub padded: u64,
    /// Time of the runs on the device.
    pub busy: Duration,
    /// Time in the queue of a shared device.
    pub waited: Duration,
}

impl CostCounters {
    /// Returns the time of pre- and post-processing: the total without runs and queues.
    pub fn processing_time(&self) -> Duration {
        let detection = self.detection.busy + self.detection.waited;
        let recognition = self.recognition.busy + self.recognition.waited;
        self.total.saturating_sub(detection + recognition)
    }
}

impl RunCounters {
    /// Returns the number of runs.
    pub fn count(&self) -> u64 {
        self.by_size.iter().sum()
    }

    /// Returns the share of padding in the computed units, between 0 and 1.
    pub fn padding_share(&self) -> f64 {
        if self.padded == 0 { 0.0 } else { 1.0 - self.drawn as f64 / self.padded as f64 }
    }

    fn add(&mut self, items: usize, drawn: usize, padded: usize, (busy, waited): (Duration, Duration)) {
        let class = items.max(1).next_power_of_two().trailing_zeros() as usize;
        self.by_size[class.min(self.by_size.len() - 1)] += 1;
        self.items += items as u64;
        self.drawn += drawn as u64;
        self.padded += padded as u64;
        self.busy += busy;
        self.waited += waited;
    }
}

impl AddAssign<&Self> for CostCounters {
    fn add_assign(&mut self, other: &Self) {
        self.pages += other.pages;
        self.total += other.total;
        self.detection += &other.detection;
        self.recognition += &other.recognition;
    }
}

impl AddAssign<&Self> for RunCounters {
    fn add_assign(&mut self, other: &Self) {
        self.by_size.iter_mut().zip(other.by_size).for_each(|(sum, count)| *sum += count);
        self.items += other.items;
        self.drawn += other.drawn;
        self.padded += other.padded;
        self.busy += other.busy;
        self.waited += other.waited;
    }
}

/// Counts the cost of a model's runs and keeps their buffers for reuse.
pub(crate) struct MeteredModel {
    model: Box<dyn OcrModel>,
    pub(crate) costs: CostCounters,
    detection: RunHistory,
    recognition: RunHistory,
}

/// What is remembered between runs of one kind.
struct RunHistory {
    run: RunBuffer,
    /// Limit of a run, in the units of [`RunCounters`], because a larger one ran out of memory.
    max_units: usize,
}

impl Default for RunHistory {
    fn default() -> Self {
        Self { run: RunBuffer::default(), max_units: usize::MAX }
    }
}

impl RunHistory {
    fn max_items(&self, each: usize) -> usize {
        1 << (self.max_units / each.max(1)).max(1).ilog2()
    }

    /// Halves the limit if a run of this size ran out of memory.
    fn record_memory_error<T>(&mut self, what: &str, size: usize, answer: &Result<T, ModelError>) {
        let Err(ModelError::Memory(reason)) = answer else { return };
        let half = size / 2;
        if half < self.max_units {
            warn!(what, size, max_units = half, reason, "out of memory in a model run; halving the batch limit");
            self.max_units = half;
        }
    }
}

impl MeteredModel {
    pub(crate) fn new(model: Box<dyn OcrModel>) -> Self {
        Self {
            model,
            costs: CostCounters::default(),
            detection: RunHistory::default(),
            recognition: RunHistory::default(),
        }
    }

    pub(crate) fn model(&self) -> &dyn OcrModel {
        self.model.as_ref()
    }

    /// Returns how many pages of this size fit into a run according to the memory limit: a power of two.
    pub(crate) fn max_pages(&self, (width, height): (u32, u32)) -> usize {
        self.detection.max_items(width as usize * height as usize)
    }

    /// Returns how many line images of this width fit into a run according to the memory limit: a power of two.
    pub(crate) fn max_lines(&self, width: usize) -> usize {
        self.recognition.max_items(width)
    }

    /// Takes the buffer for pages `[N, 3, H, W]` and their maps. Note: the input has the contents of the previous run.
    pub(crate) fn detection_buffer(&mut self, shape: [usize; 4]) -> RunBuffer {
        let [items, _, height, width] = shape;
        let run = std::mem::take(&mut self.detection.run);
        run.reshape(shape, items * height * width, &mut |len| self.model.allocate(len))
    }

    /// Takes the buffer for line images `[N, 3, 48, W]`. Note: the input has the contents of the previous run.
    pub(crate) fn recognition_buffer(&mut self, shape: [usize; 4]) -> RunBuffer {
        let run = std::mem::take(&mut self.recognition.run);
        run.reshape(shape, 0, &mut |len| self.model.allocate(len))
    }

    /// Runs detection; `drawn` is the number of pixels with content.
    pub(crate) fn detect(&mut self, run: &mut RunBuffer, drawn: usize) -> Result<(), ModelError> {
        let [items, _, height, width] = run.input_shape();
        let padded = items * height * width;
        let started = Instant::now();
        let answer = self.model.detect_buffered(run);
        self.costs.detection.add(items, drawn, padded, split_wait(run, started));
        self.detection.record_memory_error("detection", padded, &answer);
        answer
    }

    /// Runs recognition; `drawn` is the number of columns with content.
    pub(crate) fn recognize(&mut self, run: &mut RunBuffer, drawn: usize) -> Result<Vec<Vec<CtcStep>>, ModelError> {
        let [items, _, _, width] = run.input_shape();
        let started = Instant::now();
        let answer = self.model.recognize_buffered(run);
        self.costs.recognition.add(items, drawn, items * width, split_wait(run, started));
        self.recognition.record_memory_error("recognition", items * width, &answer);
        answer
    }

    pub(crate) fn return_detection_buffer(&mut self, run: RunBuffer) {
        self.detection.run = run;
    }

    pub(crate) fn return_recognition_buffer(&mut self, run: RunBuffer) {
        self.recognition.run = run;
    }
}

/// Returns the time of a run on the device, and the time that it waited in the queue.
fn split_wait(run: &mut RunBuffer, started: Instant) -> (Duration, Duration) {
    let all = started.elapsed();
    let busy = run.run_time.take().map_or(all, |busy| busy.min(all));
    (busy, all.saturating_sub(busy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_counted_by_batch_size() {
        let mut runs = RunCounters::default();
        for items in [1, 2, 3, 4, 5, 64, 65, 1000] {
            runs.add(items, 75 * items, 100 * items, (Duration::from_millis(2), Duration::from_millis(1)));
        }
        assert_eq!(runs.by_size, [1, 1, 2, 1, 0, 0, 1, 2]);
        assert_eq!((runs.count(), runs.items, runs.busy), (8, 1144, Duration::from_millis(16)));
        assert_eq!(runs.waited, Duration::from_millis(8));
        assert!((runs.padding_share() - 0.25).abs() < 1e-9);
        assert!(RunCounters::default().padding_share().abs() < 1e-9);
    }

    #[test]
    fn processing_time_is_never_negative() {
        let mut work = CostCounters { pages: 1, total: Duration::from_millis(10), ..CostCounters::default() };
        work.detection.add(1, 1, 1, (Duration::from_millis(3), Duration::from_millis(1)));
        assert_eq!(work.processing_time(), Duration::from_millis(6));
        let mut sum = work.clone();
        sum += &work;
        assert_eq!((sum.pages, sum.processing_time()), (2, Duration::from_millis(12)));
        work.recognition.add(1, 1, 1, (Duration::from_secs(1), Duration::ZERO));
        assert_eq!(work.processing_time(), Duration::ZERO);
    }
}
