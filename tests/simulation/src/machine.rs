//! The speed of a machine, as data, and its CPUs and device as queues.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use quire_pp_ocr::Provider;
use serde::Deserialize;

const MACHINES: &str = include_str!("../machines.json");

/// A machine that reads with one provider. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedMachine {
    /// The number of CPUs.
    pub processors: usize,
    /// The number of workers that share the CPUs, each with its own batcher.
    pub workers: usize,
    /// Whether a device runs the models, one run after the other; otherwise the CPUs do.
    pub has_device: bool,
    /// Threads of a worker that decode and render pages.
    pub renderers: usize,
    /// The fixed cost of a run.
    pub run_ms: f64,
    /// The cost of detection per million pixels.
    pub megapixel_ms: f64,
    /// The cost of recognition per thousand columns.
    pub kilocolumn_ms: f64,
    /// CPU time per page outside of runs.
    pub outside_ms: f64,
    /// CPU time for decoding or rendering a page.
    pub render_ms: f64,
    /// The source of the numbers.
    pub source: String,
}

impl SimulatedMachine {
    /// Returns the machine of `machines.json` for this provider.
    ///
    /// # Panics
    /// When `machines.json` is invalid; a test reads all of it.
    pub fn of(provider: Provider) -> Self {
        let mut machines: BTreeMap<String, Self> = serde_json::from_str(MACHINES).expect("machines.json is valid");
        machines.remove(provider.as_str()).expect("machines.json has every provider")
    }

    pub(crate) fn detection_time(&self, pixels: usize) -> Duration {
        from_millis(self.run_ms + self.megapixel_ms * pixels as f64 / 1e6)
    }

    pub(crate) fn recognition_time(&self, columns: usize) -> Duration {
        from_millis(self.run_ms + self.kilocolumn_ms * columns as f64 / 1e3)
    }

    pub(crate) fn outside_time(&self) -> Duration {
        from_millis(self.outside_ms)
    }

    pub(crate) fn render_time(&self) -> Duration {
        from_millis(self.render_ms)
    }
}

fn from_millis(millis: f64) -> Duration {
    Duration::from_secs_f64(millis / 1e3)
}

/// Identical servers with one queue: first in, first out.
#[derive(Debug)]
pub(crate) struct ServerPool<J> {
    idle: usize,
    waiting: VecDeque<(Duration, J)>,
}

impl<J> ServerPool<J> {
    pub(crate) const fn new(servers: usize) -> Self {
        Self { idle: servers, waiting: VecDeque::new() }
    }

    /// Queues a job with the time it takes.
    pub(crate) fn enqueue(&mut self, duration: Duration, job: J) {
        self.waiting.push_back((duration, job));
    }

    /// Starts the next job if a server is idle, and returns it with the time it takes.
    pub(crate) fn start_next(&mut self) -> Option<(Duration, J)> {
        if self.idle == 0 {
            return None;
        }
        let started = self.waiting.pop_front()?;
        self.idle -= 1;
        Some(started)
    }

    /// Marks one server as idle again.
    pub(crate) const fn finish_one(&mut self) {
        self.idle += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_has_a_machine_with_a_source() {
        for provider in Provider::ALL {
            let machine = SimulatedMachine::of(provider);
            let times = [machine.run_ms, machine.megapixel_ms, machine.kilocolumn_ms, machine.outside_ms];
            assert!(times.iter().all(|time| (0.0..1e4).contains(time)), "{provider}: {times:?}");
            assert!(machine.processors > 0 && machine.workers > 0 && machine.renderers > 0, "{provider}");
            assert!(machine.source.ends_with('.'), "{provider}: {}", machine.source);
        }
    }
}
