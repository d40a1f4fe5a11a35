//! What a machine takes for a page, as data, and its processors and device in a simulation.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use quire_pp_ocr::Provider;
use serde::Deserialize;

const MACHINES: &str = include_str!("../../machines.json");

/// A machine that reads with one provider. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// How many processors it has.
    pub processors: usize,
    /// How many workers share them, each with a batcher of its own.
    pub workers: usize,
    /// Whether models are run by a device beside the processors, one run after the other.
    pub has_device: bool,
    /// Threads of a worker that decode and render pages.
    pub renderers: usize,
    /// What any run takes, however small.
    pub run_ms: f64,
    /// What detection takes for a million pixels.
    pub megapixel_ms: f64,
    /// What recognition takes for a thousand columns.
    pub kilocolumn_ms: f64,
    /// Processor time for a page outside of runs.
    pub outside_ms: f64,
    /// Processor time for decoding or rendering a page.
    pub render_ms: f64,
    /// Where the figures come from.
    pub source: String,
}

impl Machine {
    /// The one whose figures come along.
    ///
    /// # Panics
    /// Where the file that comes along is wrong: a test reads all of it.
    pub fn of(provider: Provider) -> Self {
        let mut machines: BTreeMap<String, Self> = serde_json::from_str(MACHINES).expect("the file is right");
        machines.remove(provider.as_str()).expect("every provider has one")
    }

    pub(crate) fn detection(&self, pixels: usize) -> Duration {
        duration(self.run_ms + self.megapixel_ms * pixels as f64 / 1e6)
    }

    pub(crate) fn recognition(&self, columns: usize) -> Duration {
        duration(self.run_ms + self.kilocolumn_ms * columns as f64 / 1e3)
    }

    pub(crate) fn outside(&self) -> Duration {
        duration(self.outside_ms)
    }

    pub(crate) fn render(&self) -> Duration {
        duration(self.render_ms)
    }
}

fn duration(millis: f64) -> Duration {
    Duration::from_secs_f64(millis / 1e3)
}

/// So many of a kind that do one job each, in the order in which they were asked.
#[derive(Debug)]
pub(crate) struct Servers<J> {
    free: usize,
    waiting: VecDeque<(Duration, J)>,
    /// All the time they have worked.
    pub(crate) worked: Duration,
}

impl<J> Servers<J> {
    pub(crate) const fn new(count: usize) -> Self {
        Self { free: count, waiting: VecDeque::new(), worked: Duration::ZERO }
    }

    pub(crate) fn ask(&mut self, takes: Duration, job: J) {
        self.waiting.push_back((takes, job));
    }

    /// The next job that begins, if any does.
    pub(crate) fn begin(&mut self) -> Option<(Duration, J)> {
        if self.free == 0 {
            return None;
        }
        let (takes, job) = self.waiting.pop_front()?;
        self.free -= 1;
        self.worked += takes;
        Some((takes, job))
    }

    pub(crate) const fn end(&mut self) {
        self.free += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_has_a_machine_that_says_where_its_figures_come_from() {
        for provider in Provider::ALL {
            let machine = Machine::of(provider);
            let times = [machine.run_ms, machine.megapixel_ms, machine.kilocolumn_ms, machine.outside_ms];
            assert!(times.iter().all(|time| (0.0..1e4).contains(time)), "{provider}: {times:?}");
            assert!(machine.processors > 0 && machine.workers > 0 && machine.renderers > 0, "{provider}");
            assert!(machine.source.ends_with('.'), "{provider}: {}", machine.source);
        }
    }
}
