//! The state of a simulated worker: its pages, its batcher and its readers.

use std::{collections::VecDeque, time::Duration};

use quire_pp_ocr::BatchPolicy;
use quire_worker::{BatchLimits, Batcher};

/// A page that is rendered: when, and its index among the arrivals.
pub(crate) type ReadyPage = (Duration, usize);

/// A job of a CPU or of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SimulatedJob {
    /// Renders a page for a worker.
    Render { worker: usize, page: usize },
    /// One thread's part of what a reader prepares before a run.
    Prepare { worker: usize, reader: usize },
    /// A reader's run.
    Run { worker: usize, reader: usize },
}

/// What a reader does next for its batch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ReadingStep {
    Prepare(Duration),
    Run(Duration),
}

#[derive(Default)]
pub(crate) struct SimulatedReader {
    /// The pages of the current batch; empty while the reader is idle.
    pub(crate) batch: Vec<usize>,
    pub(crate) steps: VecDeque<ReadingStep>,
    /// Threads that have not finished the current step.
    pub(crate) busy_threads: usize,
    pub(crate) free_since: Duration,
}

impl SimulatedReader {
    pub(crate) const fn is_idle(&self) -> bool {
        self.batch.is_empty()
    }
}

pub(crate) struct SimulatedWorker {
    pub(crate) pages_in_flight: u32,
    pub(crate) rendering: usize,
    /// Received and not yet rendered.
    pub(crate) to_render: VecDeque<usize>,
    /// Rendered; the batcher is full.
    pub(crate) ready: VecDeque<ReadyPage>,
    pub(crate) batcher: Batcher<ReadyPage>,
    /// The channel of one between the batcher and the readers.
    pub(crate) next_batch: Option<Vec<ReadyPage>>,
    pub(crate) readers: Vec<SimulatedReader>,
}

impl SimulatedWorker {
    pub(crate) fn new(policy: &BatchPolicy) -> Self {
        Self {
            pages_in_flight: 0,
            rendering: 0,
            to_render: VecDeque::new(),
            ready: VecDeque::new(),
            batcher: Batcher::new(BatchLimits::of(policy)),
            next_batch: None,
            readers: (0..policy.readers).map(|_| SimulatedReader::default()).collect(),
        }
    }

    /// Returns whether a reader is idle and no batch is on its way to it.
    pub(crate) fn has_idle_reader(&self) -> bool {
        let idle = self.readers.iter().filter(|reader| reader.is_idle()).count();
        idle > usize::from(self.next_batch.is_some())
    }
}
