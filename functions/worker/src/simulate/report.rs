//! What came of a simulation.

use std::{fmt, time::Duration};

use quire_pp_ocr::{DetectionRun, RecognitionRun};

/// The figures of a simulation. The worker logs and measures the same of what it really does.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Pages read.
    pub pages: usize,
    /// From the first page's arrival to the last one's end.
    pub took: Duration,
    /// For each page, from its arrival to its end, ascending.
    pub latency: Vec<Duration>,
    /// For each page, from being rendered to the beginning of its micro-batch, ascending.
    pub waited: Vec<Duration>,
    /// For each page, how long of that its reader had nothing else to do: what batching adds; ascending.
    pub added: Vec<Duration>,
    /// For each micro-batch, its pages.
    pub batches: Vec<usize>,
    /// For each micro-batch, the pixels of its pages.
    pub batch_pixels: Vec<u64>,
    /// Runs of detection: pixels that show something, and all.
    pub detection: Padding,
    /// Runs of recognition: columns that show something, and all.
    pub recognition: Padding,
    /// The share of the time in which the device, or the processors, ran models; between 0 and 1.
    pub busy: f64,
}

/// What the runs of one model were made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Padding {
    /// How many there were.
    pub runs: usize,
    /// Units that show something.
    pub drawn: usize,
    /// Units that were run.
    pub padded: usize,
}

impl Padding {
    /// Of what is drawn of each picture; says how many pixels the run has.
    pub(crate) fn add_pixels(&mut self, run: &DetectionRun, drawn: &[(u32, u32)]) -> usize {
        let pixels = |(width, height): (u32, u32)| width as usize * height as usize;
        self.add(run.members.iter().map(|&page| pixels(drawn[page])).sum(), run.batch * pixels(run.size))
    }

    /// Likewise of each strip; says how many columns the run has.
    pub(crate) fn add_strips(&mut self, run: &RecognitionRun, widths: &[usize]) -> usize {
        self.add(run.members.iter().map(|&strip| widths[strip]).sum(), run.batch * run.width)
    }

    fn add(&mut self, drawn: usize, padded: usize) -> usize {
        self.runs += 1;
        self.drawn += drawn;
        self.padded += padded;
        padded
    }

    /// The share of what was run that showed nothing, between 0 and 1.
    pub fn waste(&self) -> f64 {
        if self.padded == 0 { 0.0 } else { 1.0 - self.drawn as f64 / self.padded as f64 }
    }
}

/// The value that `percent` of ascending ones do not exceed.
pub fn percentile(ascending: &[Duration], percent: usize) -> Duration {
    let last = ascending.len().saturating_sub(1);
    ascending.get((ascending.len() * percent).div_ceil(100).saturating_sub(1).min(last)).copied().unwrap_or_default()
}

impl Report {
    /// Pages a second.
    pub fn rate(&self) -> f64 {
        if self.took.is_zero() { 0.0 } else { self.pages as f64 / self.took.as_secs_f64() }
    }

    /// The columns of a table of reports.
    pub const COLUMNS: &str = "pages/s | latency p50 / p95 / p99, s | wait p50 / p95, ms | added p50 / p95, ms | \
                               pages a batch, mean / most | detection, recognition padding | busy";
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = |percent| percentile(&self.latency, percent).as_secs_f64();
        let millis = |waits: &[Duration], percent| percentile(waits, percent).as_secs_f64() * 1e3;
        let mean = self.pages as f64 / self.batches.len().max(1) as f64;
        let most = self.batches.iter().max().copied().unwrap_or_default();
        write!(f, "{:.2} | {:.2} / {:.2} / {:.2} | ", self.rate(), secs(50), secs(95), secs(99))?;
        write!(f, "{:.0} / {:.0} | ", millis(&self.waited, 50), millis(&self.waited, 95))?;
        write!(f, "{:.0} / {:.0} | ", millis(&self.added, 50), millis(&self.added, 95))?;
        write!(f, "{mean:.1} / {most} | ")?;
        write!(f, "{:.1} %, {:.1} % | ", self.detection.waste() * 1e2, self.recognition.waste() * 1e2)?;
        write!(f, "{:.0} %", self.busy * 1e2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_there() {
        let values: Vec<Duration> = (1..=20).map(Duration::from_millis).collect();
        let found = [0, 50, 95, 99, 100].map(|percent| percentile(&values, percent).as_millis());
        assert_eq!(found, [1, 10, 19, 20, 20]);
        assert_eq!(percentile(&[], 95), Duration::ZERO);
    }
}
