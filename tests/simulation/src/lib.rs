//! Simulates the worker's micro-batching: what a batching policy makes of recorded arrivals of pages.
//!
//! A discrete-event simulation without a model and without a clock. The batcher and the arithmetic of runs are those of
//! the worker and the engine; the duration of a run is a [`SimulatedMachine`]'s data, and the pages and their arrivals
//! are a [`Recording`]. Deterministic: the same input gives the same report, to the last digit.

mod event_loop;
mod machine;
mod pipeline;
mod recording;
mod report;

use quire_pp_ocr::BatchPolicy;

pub use machine::SimulatedMachine;
pub use recording::{InvalidRecording, Recording};
pub use report::{PaddingStats, SimulationReport, percentile};

/// Simulates reading the recorded pages on this machine with this batching policy.
pub fn simulate(policy: &BatchPolicy, machine: &SimulatedMachine, recording: &Recording) -> SimulationReport {
    event_loop::EventLoop::new(policy, machine, recording).run()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use quire_pp_ocr::Provider;

    use super::*;

    const A4_PAGE_PIXELS: u64 = 1_654 * 2_339;

    fn recorded(name: &str) -> Recording {
        let text = match name {
            "trickle" => include_str!("../recordings/trickle.jsonl"),
            "burst" => include_str!("../recordings/burst.jsonl"),
            _ => include_str!("../recordings/full.jsonl"),
        };
        Recording::parse(text).expect("a valid recording")
    }

    fn with_default(provider: Provider, recording: &Recording) -> SimulationReport {
        simulate(&BatchPolicy::for_provider(provider), &SimulatedMachine::of(provider), recording)
    }

    #[test]
    fn a_full_queue_adds_no_wait_and_fills_the_batches() {
        let full = recorded("full");
        for provider in Provider::ALL {
            let policy = BatchPolicy::for_provider(provider);
            let report = with_default(provider, &full);
            assert_eq!(report.added.last(), Some(&Duration::ZERO), "{provider}");
            // Not all batches are full: at the beginning an idle reader takes the few pages there are, at the end the
            // last ones remain, and a batch leaves after max_wait while pages are still being rendered.
            let pages_per_batch = (policy.max_batch_pixels / A4_PAGE_PIXELS).max(1) as f64;
            let mean = report.pages as f64 / report.batches.len() as f64;
            assert!(mean >= 0.75 * pages_per_batch, "{provider}: {:?}", report.batches);
        }
    }

    #[test]
    fn a_trickle_adds_less_than_50_ms() {
        let trickle = recorded("trickle");
        for provider in Provider::ALL {
            let report = with_default(provider, &trickle);
            assert!(percentile(&report.added, 95) < Duration::from_millis(50), "{provider}: {report}");
        }
        let gpu = with_default(Provider::Cuda, &trickle);
        assert!(percentile(&gpu.waited, 95) < Duration::from_millis(50), "the GPU is mostly idle: {gpu}");
    }

    #[test]
    fn no_page_is_lost_and_no_batch_exceeds_the_cost_limit() {
        for (recording, provider) in [("trickle", 0), ("burst", 1), ("full", 2), ("burst", 3)] {
            let recording = recorded(recording);
            let provider = Provider::ALL[provider];
            let policy = BatchPolicy::for_provider(provider);
            let report = with_default(provider, &recording);
            assert_eq!(report.pages, recording.pages());
            assert_eq!(report.batches.iter().sum::<usize>(), recording.pages());
            for (pages, pixels) in report.batches.iter().zip(&report.batch_pixels) {
                assert!(*pages == 1 || *pixels <= policy.max_batch_pixels, "{provider}: {pages} of {pixels} pixels");
            }
            assert!(report.busy > 0.0 && report.busy <= 1.0, "{provider}: {report}");
        }
    }

    #[test]
    fn the_same_input_gives_the_same_report() {
        let burst = recorded("burst");
        assert_eq!(with_default(Provider::Cuda, &burst), with_default(Provider::Cuda, &burst));
    }

    #[test]
    fn batches_of_a_gpu_grow_with_the_queue() {
        let mean = |report: SimulationReport| report.pages as f64 / report.batches.len() as f64;
        let [trickle, full] = ["trickle", "full"].map(|name| mean(with_default(Provider::Cuda, &recorded(name))));
        assert!(trickle < 1.5 && full > 8.0, "{trickle} {full}");
    }

    /// Two pages, one reader and a device; 1 ms to render, 4 ms to prepare and 10 ms for each of three runs: every time
    /// can be computed by hand.
    #[test]
    fn every_millisecond_is_accounted_for() {
        let machine = SimulatedMachine {
            processors: 2,
            workers: 1,
            has_device: true,
            renderers: 1,
            run_ms: 10.0,
            megapixel_ms: 0.0,
            kilocolumn_ms: 0.0,
            outside_ms: 4.0,
            render_ms: 1.0,
            source: String::new(),
        };
        let recording = Recording::parse(
            r#"{"page": "a", "width": 100, "height": 100, "detection": [[32, 32]], "looks": [[60, 100]]}
               {"t_ms": 5, "page": "a"}
               {"t_ms": 6, "page": "a"}"#,
        );
        let policy =
            BatchPolicy { readers: 1, processing_threads: 1, ..BatchPolicy::for_provider(Provider::OnnxRuntime) };
        let report = simulate(&policy, &machine, &recording.expect("a valid recording"));
        // The first page is rendered at 6 and read until 40 in three runs; the second is rendered at 7 and waits until
        // 40.
        let page = 3.0 * 10.0 + 4.0;
        let millis =
            |durations: &[Duration]| durations.iter().map(|d| (d.as_secs_f64() * 1e3).round()).collect::<Vec<_>>();
        assert_eq!(millis(&report.latency), [1.0 + page, 1.0 + page + page - 1.0]);
        assert_eq!(millis(&report.waited), [0.0, page - 1.0]);
        assert_eq!(report.added, [Duration::ZERO; 2]);
        assert_eq!((report.detection.runs, report.recognition.runs), (2, 4));
        assert!((report.recognition.padding_share() - 8.0 / 168.0).abs() < 1e-9, "{:?}", report.recognition);
        assert!((report.busy - 60.0 / 69.0).abs() < 0.01, "{report}");
    }
}
