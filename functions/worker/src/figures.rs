//! What a micro-batch has cost, for the log and the metrics.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use quire_pp_ocr::CostCounters;
use quire_tasks::EngineName;
use quire_telemetry::metrics::{self, Measure, Unit};
use tracing::info;

/// How far back the device's share of time is counted: long enough for several micro-batches.
const WINDOW: Duration = Duration::from_secs(10);

/// How much of the time the model was run, lately. Pure: time is passed in.
#[derive(Debug)]
pub(crate) struct BusyShare {
    since: Instant,
    ended: VecDeque<(Instant, Duration)>,
}

impl BusyShare {
    pub(crate) const fn new(now: Instant) -> Self {
        Self { since: now, ended: VecDeque::new() }
    }

    /// Adds a micro-batch that has ended, and says the share of the last ten seconds, between 0 and 1. Readers that each
    /// have a processor of their own may be busier than one can be: it is then the whole.
    pub(crate) fn add(&mut self, now: Instant, work: &CostCounters) -> f64 {
        self.ended.push_back((now, work.detection.busy + work.recognition.busy));
        while self.ended.pop_front_if(|(at, _)| *at + WINDOW < now).is_some() {}
        let busy: Duration = self.ended.iter().map(|(_, busy)| *busy).sum();
        let passed = now.saturating_duration_since(self.since).min(WINDOW);
        if passed.is_zero() { 0.0 } else { (busy.as_secs_f64() / passed.as_secs_f64()).min(1.0) }
    }
}

/// The figures of one micro-batch.
#[derive(Debug)]
pub(crate) struct BatchFigures<'a> {
    /// For each page, from being ready to being read, in milliseconds.
    waited_ms: Vec<f64>,
    /// For each page, how long of that its reader had nothing else to do: what batching has added.
    added_ms: Vec<f64>,
    took: Duration,
    work: &'a CostCounters,
    busy: f64,
}

impl<'a> BatchFigures<'a> {
    /// Of pages that were ready `since`, and were read by a reader that was free since `free_since`.
    pub(crate) fn new(
        since: &[Instant],
        free_since: Instant,
        started: Instant,
        ended: Instant,
        work: &'a CostCounters,
        busy: f64,
    ) -> Self {
        let until_start = |from: Instant| millis(started.saturating_duration_since(from));
        Self {
            waited_ms: since.iter().map(|since| until_start(*since)).collect(),
            added_ms: since.iter().map(|since| until_start((*since).max(free_since))).collect(),
            took: ended.saturating_duration_since(started),
            work,
            busy,
        }
    }

    /// Logs them, and measures them.
    pub(crate) fn tell(&self, engine: &EngineName) {
        let work = self.work;
        info!(
            engine.name,
            engine.version,
            batch.pages = self.waited_ms.len(),
            duration_ms = self.took.as_millis() as u64,
            detection_ms = work.detection.busy.as_millis() as u64,
            recognition_ms = work.recognition.busy.as_millis() as u64,
            outside_ms = work.processing_time().as_millis() as u64,
            detection_runs = work.detection.count(),
            recognition_runs = work.recognition.count(),
            detection_padding_percent = percent(work.detection.padding_share()),
            recognition_padding_percent = percent(work.recognition.padding_share()),
            waited_ms = longest(&self.waited_ms),
            added_wait_ms = longest(&self.added_ms),
            device_busy_percent = percent(self.busy),
            "read"
        );
        metrics::measure(&self.measures());
    }

    /// The same figures as a simulation has, in `CloudWatch`'s units.
    fn measures(&self) -> Vec<Measure> {
        let pages = self.waited_ms.len().max(1) as f64;
        let work = self.work;
        let one = |name, unit, value| Measure { name, unit, values: vec![value] };
        let per_page = |name, spent: Duration| one(name, Unit::Milliseconds, millis(spent) / pages);
        let waits = |name, waits: &[f64]| Measure { name, unit: Unit::Milliseconds, values: waits.to_vec() };
        vec![
            one("BatchPages", Unit::Count, self.waited_ms.len() as f64),
            waits("PageWait", &self.waited_ms),
            waits("AddedWait", &self.added_ms),
            per_page("DetectionTime", work.detection.busy),
            per_page("RecognitionTime", work.recognition.busy),
            per_page("OutsideTime", work.processing_time()),
            one("DetectionPadding", Unit::Percent, percent(work.detection.padding_share())),
            one("RecognitionPadding", Unit::Percent, percent(work.recognition.padding_share())),
            one("DeviceBusy", Unit::Percent, percent(self.busy)),
        ]
    }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// In tenths, which is what anybody reads.
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
    fn only_the_wait_for_company_is_an_added_one() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        // The first came while the reader was at work, until 20; the second when it was free.
        let work = work(10, 30);
        let figures = BatchFigures::new(&[at(0), at(25)], at(20), at(30), at(130), &work, 0.5);
        assert_eq!((figures.waited_ms.clone(), figures.added_ms.clone()), (vec![30.0, 5.0], vec![10.0, 5.0]));
        let values = figures.measures();
        let value = |name| values.iter().find(|measure| measure.name == name).map(|measure| measure.values.clone());
        assert_eq!(value("BatchPages"), Some(vec![2.0]));
        assert_eq!(value("AddedWait"), Some(vec![10.0, 5.0]));
        assert_eq!(value("RecognitionTime"), Some(vec![15.0]), "a page");
        assert_eq!(value("OutsideTime"), Some(vec![30.0]));
        assert_eq!((value("RecognitionPadding"), value("DeviceBusy")), (Some(vec![25.0]), Some(vec![50.0])));
    }

    #[test]
    fn the_device_s_share_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut share = BusyShare::new(start);
        assert_eq!(share.add(start, &work(0, 0)), 0.0, "no time has passed");
        assert_eq!(share.add(at(2), &work(500, 500)), 0.5);
        assert_eq!(share.add(at(20), &work(1_000, 1_000)), 0.2, "the earlier ones are forgotten");
        assert_eq!(share.add(at(21), &work(9_000, 9_000)), 1.0, "at most the whole");
    }
}
