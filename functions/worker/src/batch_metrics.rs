//! Costs of a micro-batch, for the log and the metrics.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use quire_pp_ocr::CostCounters;
use quire_tasks::EngineName;
use quire_telemetry::metrics::{self, Measure, Unit};
use tracing::info;

/// The window over which the device's busy share is computed: long enough for several micro-batches.
const WINDOW: Duration = Duration::from_secs(10);

/// The share of recent time during which the model was running. Pure: time is passed in.
#[derive(Debug)]
pub(crate) struct BusyShare {
    since: Instant,
    ended: VecDeque<(Instant, Duration)>,
}

impl BusyShare {
    pub(crate) const fn new(now: Instant) -> Self {
        Self { since: now, ended: VecDeque::new() }
    }

    /// Adds a micro-batch that has ended and returns the share of the last ten seconds, between 0 and 1. Readers that
    /// have a CPU each can be busy for more than the elapsed time together; the share is then 1.
    pub(crate) fn add(&mut self, now: Instant, work: &CostCounters) -> f64 {
        self.ended.push_back((now, work.detection.busy + work.recognition.busy));
        while self.ended.pop_front_if(|(at, _)| *at + WINDOW < now).is_some() {}
        let busy: Duration = self.ended.iter().map(|(_, busy)| *busy).sum();
        let elapsed = now.saturating_duration_since(self.since).min(WINDOW);
        if elapsed.is_zero() { 0.0 } else { (busy.as_secs_f64() / elapsed.as_secs_f64()).min(1.0) }
    }
}

/// The times of one micro-batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchTimes {
    /// When its reader ended the batch before.
    pub(crate) reader_free_since: Instant,
    pub(crate) started: Instant,
    pub(crate) ended: Instant,
}

/// The costs of one micro-batch.
#[derive(Debug)]
pub(crate) struct BatchMetrics<'a> {
    /// For each page, the milliseconds from being ready to being read.
    waited_ms: Vec<f64>,
    /// For each page, how many of them its reader was idle: the latency that batching has added.
    added_ms: Vec<f64>,
    duration: Duration,
    work: &'a CostCounters,
    busy_share: f64,
}

impl<'a> BatchMetrics<'a> {
    /// Computes the metrics of a batch from the times at which its pages were ready.
    pub(crate) fn new(ready_since: &[Instant], times: BatchTimes, work: &'a CostCounters, busy_share: f64) -> Self {
        let BatchTimes { reader_free_since, started, ended } = times;
        let until_start = |from: Instant| millis(started.saturating_duration_since(from));
        Self {
            waited_ms: ready_since.iter().map(|since| until_start(*since)).collect(),
            added_ms: ready_since.iter().map(|since| until_start((*since).max(reader_free_since))).collect(),
            duration: ended.saturating_duration_since(started),
            work,
            busy_share,
        }
    }

    /// Writes the log line and emits the metrics.
    pub(crate) fn emit(&self, engine: &EngineName) {
        let work = self.work;
        info!(
            engine.name,
            engine.version,
            batch.pages = self.waited_ms.len(),
            duration_ms = self.duration.as_millis() as u64,
            detection_ms = work.detection.busy.as_millis() as u64,
            recognition_ms = work.recognition.busy.as_millis() as u64,
            outside_ms = work.processing_time().as_millis() as u64,
            detection_runs = work.detection.count(),
            recognition_runs = work.recognition.count(),
            detection_padding_percent = percent(work.detection.padding_share()),
            recognition_padding_percent = percent(work.recognition.padding_share()),
            waited_ms = longest(&self.waited_ms),
            added_wait_ms = longest(&self.added_ms),
            device_busy_percent = percent(self.busy_share),
            "read"
        );
        metrics::measure(&self.measures());
    }

    /// Returns the same values as a simulation reports, in `CloudWatch` units.
    fn measures(&self) -> Vec<Measure> {
        let pages = self.waited_ms.len().max(1) as f64;
        let work = self.work;
        vec![
            Measure { name: "BatchPages", unit: Unit::Count, values: vec![self.waited_ms.len() as f64] },
            milliseconds("PageWait", self.waited_ms.clone()),
            milliseconds("AddedWait", self.added_ms.clone()),
            milliseconds("DetectionTime", vec![millis(work.detection.busy) / pages]),
            milliseconds("RecognitionTime", vec![millis(work.recognition.busy) / pages]),
            milliseconds("OutsideTime", vec![millis(work.processing_time()) / pages]),
            percentage("DetectionPadding", work.detection.padding_share()),
            percentage("RecognitionPadding", work.recognition.padding_share()),
            percentage("DeviceBusy", self.busy_share),
        ]
    }
}

const fn milliseconds(name: &'static str, values: Vec<f64>) -> Measure {
    Measure { name, unit: Unit::Milliseconds, values }
}

fn percentage(name: &'static str, share: f64) -> Measure {
    Measure { name, unit: Unit::Percent, values: vec![percent(share)] }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Returns a share in percent, rounded to tenths.
fn percent(share: f64) -> f64 {
    (share * 1e3).round() / 10.0
}

fn longest(waits: &[f64]) -> f64 {
    waits.iter().copied().fold(0.0, f64::max)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "small whole numbers, which are exact")]
mod tests {
    use super::*;

    fn work(detection_ms: u64, recognition_ms: u64) -> CostCounters {
        let mut work = CostCounters { total: Duration::from_millis(100), ..CostCounters::default() };
        work.detection.busy = Duration::from_millis(detection_ms);
        work.recognition.busy = Duration::from_millis(recognition_ms);
        (work.recognition.drawn, work.recognition.padded) = (750, 1_000);
        work
    }

    #[test]
    fn only_the_wait_for_more_pages_is_added_latency() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        // The first page was ready while the reader was busy, until 20; the second when the reader was idle.
        let work = work(10, 30);
        let times = BatchTimes { reader_free_since: at(20), started: at(30), ended: at(130) };
        let metrics = BatchMetrics::new(&[at(0), at(25)], times, &work, 0.5);
        assert_eq!((metrics.waited_ms.clone(), metrics.added_ms.clone()), (vec![30.0, 5.0], vec![10.0, 5.0]));
        let values = metrics.measures();
        let value = |name| values.iter().find(|measure| measure.name == name).map(|measure| measure.values.clone());
        assert_eq!(value("BatchPages"), Some(vec![2.0]));
        assert_eq!(value("AddedWait"), Some(vec![10.0, 5.0]));
        assert_eq!(value("RecognitionTime"), Some(vec![15.0]), "per page");
        assert_eq!(value("OutsideTime"), Some(vec![30.0]));
        assert_eq!((value("RecognitionPadding"), value("DeviceBusy")), (Some(vec![25.0]), Some(vec![50.0])));
    }

    #[test]
    fn the_busy_share_covers_the_last_ten_seconds() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut share = BusyShare::new(start);
        assert_eq!(share.add(start, &work(0, 0)), 0.0, "no time has passed");
        assert_eq!(share.add(at(2), &work(500, 500)), 0.5);
        assert_eq!(share.add(at(20), &work(1_000, 1_000)), 0.2, "earlier batches are outside the window");
        assert_eq!(share.add(at(21), &work(9_000, 9_000)), 1.0, "at most 1");
    }
}
