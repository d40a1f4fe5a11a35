//! What a policy makes of pages that arrive, without a model and without a clock.
//!
//! Time passes from event to event. The batcher and the arithmetic of runs are those that workers use; what a run takes is
//! a [`Machine`]'s data, and what pages there are and when they come is a [`Recording`]. The same input has the same
//! report, to the last digit.

mod machine;
mod recording;
mod report;
mod world;

use quire_pp_ocr::BatchPolicy;

pub use machine::Machine;
pub use recording::{InvalidRecording, Recording};
pub use report::{Padding, Report, percentile};

/// Reads the recorded pages on this machine, batched by this policy.
pub fn simulate(policy: &BatchPolicy, machine: &Machine, recording: &Recording) -> Report {
    world::World::new(policy, machine, recording).run()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use quire_pp_ocr::Provider;

    use super::*;

    fn recorded(name: &str) -> Recording {
        let text = match name {
            "trickle" => include_str!("../recordings/trickle.jsonl"),
            "burst" => include_str!("../recordings/burst.jsonl"),
            _ => include_str!("../recordings/full.jsonl"),
        };
        Recording::parse(text).expect("it is right")
    }

    fn with_default(provider: Provider, recording: &Recording) -> Report {
        simulate(&BatchPolicy::for_provider(provider), &Machine::of(provider), recording)
    }

    #[test]
    fn a_full_queue_adds_no_wait_and_fills_the_batches() {
        let full = recorded("full");
        for provider in Provider::ALL {
            let (policy, report) = (BatchPolicy::for_provider(provider), with_default(provider, &full));
            assert_eq!(report.added.last(), Some(&Duration::ZERO), "{provider}");
            // At the beginning whoever is idle takes what there is, and at the end what is left; and what has waited long
            // enough leaves while others are being rendered. Pages in hand are counted as A4 at 200 dpi.
            let full = (policy.max_batch_pixels / (1_654 * 2_339)).max(1) as f64;
            let mean = report.pages as f64 / report.batches.len() as f64;
            assert!(mean >= 0.75 * full, "{provider}: {:?}", report.batches);
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
        assert!(percentile(&gpu.waited, 95) < Duration::from_millis(50), "it is mostly idle: {gpu}");
    }

    #[test]
    fn no_page_is_lost_and_no_batch_is_over_its_budget() {
        for (recording, provider) in [("trickle", 0), ("burst", 1), ("full", 2), ("burst", 3)] {
            let (recording, provider) = (recorded(recording), Provider::ALL[provider]);
            let (policy, report) = (BatchPolicy::for_provider(provider), with_default(provider, &recording));
            assert_eq!(report.pages, recording.pages());
            assert_eq!(report.batches.iter().sum::<usize>(), recording.pages());
            for (pages, pixels) in report.batches.iter().zip(&report.batch_pixels) {
                assert!(*pages == 1 || *pixels <= policy.max_batch_pixels, "{provider}: {pages} of {pixels} pixels");
            }
            assert!(report.busy > 0.0 && report.busy <= 1.0, "{provider}: {report}");
        }
    }

    #[test]
    fn the_same_input_has_the_same_report() {
        let burst = recorded("burst");
        assert_eq!(with_default(Provider::Cuda, &burst), with_default(Provider::Cuda, &burst));
    }

    #[test]
    fn a_gpu_s_batches_grow_with_what_waits() {
        let mean = |report: Report| report.pages as f64 / report.batches.len() as f64;
        let [trickle, full] = ["trickle", "full"].map(|name| mean(with_default(Provider::Cuda, &recorded(name))));
        assert!(trickle < 1.5 && full > 8.0, "{trickle} {full}");
    }

    /// Two pages, a reader and a device; 1 ms to render, 4 to prepare and 10 for each of three runs: all of it can be said
    /// beforehand.
    #[test]
    fn every_millisecond_is_accounted_for() {
        let machine = Machine {
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
        let report = simulate(&policy, &machine, &recording.expect("it is right"));
        // Rendered at 6 and read until 40 in three runs; the other is rendered at 7, and waits until then.
        let page = 3.0 * 10.0 + 4.0;
        let millis =
            |durations: &[Duration]| durations.iter().map(|d| (d.as_secs_f64() * 1e3).round()).collect::<Vec<_>>();
        assert_eq!(millis(&report.latency), [1.0 + page, 1.0 + page + page - 1.0]);
        assert_eq!(millis(&report.waited), [0.0, page - 1.0]);
        assert_eq!(report.added, [Duration::ZERO; 2]);
        assert_eq!((report.detection.runs, report.recognition.runs), (2, 4));
        assert!((report.recognition.waste() - 8.0 / 168.0).abs() < 1e-9, "{:?}", report.recognition);
        assert!((report.busy - 60.0 / 69.0).abs() < 0.01, "{report}");
    }
}
