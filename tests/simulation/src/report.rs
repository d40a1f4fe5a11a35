//! The result of a simulation.

use std::{fmt, time::Duration};

use quire_pp_ocr::{DetectionRun, RecognitionRun};

/// The metrics of a simulation. The worker logs and emits the same ones for real micro-batches.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SimulationReport {
    /// Pages read.
    pub pages: usize,
    /// From the first page's arrival to the last page's end.
    pub duration: Duration,
    /// For each page, from its arrival to its end, ascending.
    pub latency: Vec<Duration>,
    /// For each page, from being rendered to the start of its micro-batch, ascending.
    pub waited: Vec<Duration>,
    /// For each page, how long of that its reader was idle: the latency that batching adds; ascending.
    pub added: Vec<Duration>,
    /// For each micro-batch, the number of its pages.
    pub batches: Vec<usize>,
    /// For each micro-batch, the pixels of its pages.
    pub batch_pixels: Vec<u64>,
    /// Detection runs: pixels with content, and all pixels.
    pub detection: PaddingStats,
    /// Recognition runs: columns with content, and all columns.
    pub recognition: PaddingStats,
    /// The share of time during which the device, or the CPUs, ran models; between 0 and 1.
    pub busy: f64,
}

/// The padding of one model's runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PaddingStats {
    /// The number of runs.
    pub runs: usize,
    /// Units with content.
    pub drawn: usize,
    /// Units that were run, padding included.
    pub padded: usize,
}

impl PaddingStats {
    /// Adds a run over images, by the size of each image's content. Returns the run's pixels.
    pub(crate) fn add_pixels(&mut self, run: &DetectionRun, drawn: &[(u32, u32)]) -> usize {
        let pixels = |(width, height): (u32, u32)| width as usize * height as usize;
        self.add(run.members.iter().map(|&page| pixels(drawn[page])).sum(), run.batch * pixels(run.size))
    }

    /// Adds a run over line images, by the width of each line. Returns the run's columns.
    pub(crate) fn add_strips(&mut self, run: &RecognitionRun, widths: &[usize]) -> usize {
        self.add(run.members.iter().map(|&strip| widths[strip]).sum(), run.batch * run.width)
    }

    fn add(&mut self, drawn: usize, padded: usize) -> usize {
        self.runs += 1;
        self.drawn += drawn;
        self.padded += padded;
        padded
    }

    /// Returns the share of units that were padding, between 0 and 1.
    pub fn padding_share(&self) -> f64 {
        if self.padded == 0 { 0.0 } else { 1.0 - self.drawn as f64 / self.padded as f64 }
    }
}

/// Returns the nearest-rank percentile of ascending values.
pub fn percentile(ascending: &[Duration], percent: usize) -> Duration {
    let last = ascending.len().saturating_sub(1);
    let rank = (ascending.len() * percent).div_ceil(100).saturating_sub(1).min(last);
    ascending.get(rank).copied().unwrap_or_default()
}

impl SimulationReport {
    /// The columns of a table of reports.
    pub const COLUMNS: &str = "pages/s | latency p50 / p95 / p99, s | wait p50 / p95, ms | added p50 / p95, ms | \
                               pages a batch, mean / most | detection, recognition padding | busy";

    /// Returns the pages per second.
    pub fn rate(&self) -> f64 {
        if self.duration.is_zero() { 0.0 } else { self.pages as f64 / self.duration.as_secs_f64() }
    }
}

impl fmt::Display for SimulationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let latency_secs = |percent| percentile(&self.latency, percent).as_secs_f64();
        let millis = |waits: &[Duration], percent| percentile(waits, percent).as_secs_f64() * 1e3;
        let mean = self.pages as f64 / self.batches.len().max(1) as f64;
        let most = self.batches.iter().max().copied().unwrap_or_default();
        write!(f, "{:.2} | ", self.rate())?;
        write!(f, "{:.2} / {:.2} / {:.2} | ", latency_secs(50), latency_secs(95), latency_secs(99))?;
        write!(f, "{:.0} / {:.0} | ", millis(&self.waited, 50), millis(&self.waited, 95))?;
        write!(f, "{:.0} / {:.0} | ", millis(&self.added, 50), millis(&self.added, 95))?;
        write!(f, "{mean:.1} / {most} | ")?;
        write!(f, "{:.1} %, {:.1} % | ", self.detection.padding_share() * 1e2, self.recognition.padding_share() * 1e2)?;
        write!(f, "{:.0} %", self.busy * 1e2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_of_the_input() {
        let values: Vec<Duration> = (1..=20).map(Duration::from_millis).collect();
        let found = [0, 50, 95, 99, 100].map(|percent| percentile(&values, percent).as_millis());
        assert_eq!(found, [1, 10, 19, 20, 20]);
        assert_eq!(percentile(&[], 95), Duration::ZERO);
    }
}
