//! The workers of a machine, from event to event.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::{Duration, Instant},
};

use quire_pp_ocr::BatchPolicy;

use super::{Machine, Recording, Report, machine::Servers, recording::PageShape, report::Padding};
use crate::{
    batch::{BatchLimits, Batcher, Leaves},
    local,
};

/// What is done by a processor or the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    /// A page is rendered for a worker.
    Render { worker: usize, page: usize },
    /// One hand's part of what a reader prepares.
    Prepare { worker: usize, reader: usize },
    /// A reader's run.
    Run { worker: usize, reader: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives(usize),
    /// A processor, or else the device, has done it.
    Done {
        job: Job,
        by_processor: bool,
    },
    /// A worker's batch leaves unless it has left.
    Due(usize),
}

/// What a reader does next for its batch.
#[derive(Debug, Clone, Copy)]
enum Step {
    Prepare(Duration),
    Run(Duration),
}

struct Reader {
    /// The pages of its batch; none while it is idle.
    batch: Vec<usize>,
    steps: VecDeque<Step>,
    /// Hands that are still at the step.
    hands: usize,
    free_since: Duration,
}

struct Worker {
    in_hand: u32,
    rendering: usize,
    /// Taken up, not yet rendered.
    to_render: VecDeque<usize>,
    /// Rendered, and there is no room in the batcher.
    ready: VecDeque<(Duration, usize)>,
    batcher: Batcher<(Duration, usize)>,
    /// The channel of one between the batcher and the readers.
    next: Option<Vec<(Duration, usize)>>,
    readers: Vec<Reader>,
}

pub(crate) struct World<'a> {
    policy: &'a BatchPolicy,
    machine: &'a Machine,
    recording: &'a Recording,
    /// The batcher counts in instants; only their distance from this one is of any account.
    origin: Instant,
    now: Duration,
    /// By time, and what was said first of those at the same time.
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    said: u64,
    queue: VecDeque<usize>,
    workers: Vec<Worker>,
    appetite: u32,
    processors: Servers<Job>,
    device: Servers<Job>,
    ran: Duration,
    report: Report,
}

impl<'a> World<'a> {
    pub(crate) fn new(policy: &'a BatchPolicy, machine: &'a Machine, recording: &'a Recording) -> Self {
        let limits = BatchLimits::of(policy);
        let reader = || Reader { batch: Vec::new(), steps: VecDeque::new(), hands: 0, free_since: Duration::ZERO };
        let worker = || Worker {
            in_hand: 0,
            rendering: 0,
            to_render: VecDeque::new(),
            ready: VecDeque::new(),
            batcher: Batcher::new(limits),
            next: None,
            readers: (0..policy.readers).map(|_| reader()).collect(),
        };
        Self {
            policy,
            machine,
            recording,
            origin: Instant::now(),
            now: Duration::ZERO,
            events: BinaryHeap::new(),
            said: 0,
            queue: VecDeque::new(),
            workers: (0..machine.workers).map(|_| worker()).collect(),
            appetite: local::appetite(limits, policy.readers),
            processors: Servers::new(machine.processors),
            device: Servers::new(usize::from(machine.has_device)),
            ran: Duration::ZERO,
            report: Report {
                pages: 0,
                took: Duration::ZERO,
                latency: Vec::new(),
                waited: Vec::new(),
                added: Vec::new(),
                batches: Vec::new(),
                batch_pixels: Vec::new(),
                detection: Padding::default(),
                recognition: Padding::default(),
                busy: 0.0,
            },
        }
    }

    pub(crate) fn run(mut self) -> Report {
        for (page, (at, _)) in self.recording.arrivals.iter().enumerate() {
            self.say(*at, Event::Arrives(page));
        }
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            self.now = at;
            match event {
                Event::Arrives(page) => self.queue.push_back(page),
                Event::Done { job, by_processor } => self.done(job, by_processor),
                Event::Due(_) => {}
            }
            // What happens at the same time happens before anybody looks.
            if self.events.peek().is_none_or(|Reverse((next, _, _))| *next > at) {
                self.look_around();
            }
        }
        self.finished()
    }

    fn finished(mut self) -> Report {
        let first = self.recording.arrivals.first().map_or(Duration::ZERO, |(at, _)| *at);
        let runners = if self.machine.has_device { 1 } else { self.machine.processors };
        let report = &mut self.report;
        report.pages = report.latency.len();
        report.took = report.took.saturating_sub(first);
        let capacity = report.took.as_secs_f64() * runners as f64;
        report.busy = if capacity > 0.0 { self.ran.as_secs_f64() / capacity } else { 0.0 };
        for durations in [&mut report.latency, &mut report.waited, &mut report.added] {
            durations.sort_unstable();
        }
        self.report
    }

    fn say(&mut self, at: Duration, event: Event) {
        self.said += 1;
        self.events.push(Reverse((at, self.said, event)));
    }

    /// Lets everybody do what they can do now.
    fn look_around(&mut self) {
        self.take_up();
        for worker in 0..self.workers.len() {
            while self.fill(worker) || self.hand_out(worker) {}
            if let Leaves::At(due) = self.leaves(worker) {
                self.say(due - self.origin, Event::Due(worker));
            }
        }
        while let Some((takes, job)) = self.processors.begin() {
            self.say(self.now + takes, Event::Done { job, by_processor: true });
        }
        while let Some((takes, job)) = self.device.begin() {
            self.say(self.now + takes, Event::Done { job, by_processor: false });
        }
    }

    /// Pages go to whoever has the most hands free.
    fn take_up(&mut self) {
        while !self.queue.is_empty() {
            let (_, worker) = self
                .workers
                .iter()
                .enumerate()
                .map(|(index, worker)| (worker.in_hand, index))
                .min()
                .unwrap_or((u32::MAX, 0));
            if self.workers[worker].in_hand >= self.appetite {
                return;
            }
            let page = self.queue.pop_front().into_iter();
            self.workers[worker].to_render.extend(page);
            self.workers[worker].in_hand += 1;
        }
    }

    /// Renders, and fills the batcher; says whether anything changed.
    fn fill(&mut self, index: usize) -> bool {
        let (now, origin, render) = (self.now, self.origin, self.machine.render());
        let worker = &mut self.workers[index];
        while worker.rendering < self.machine.renderers
            && let Some(page) = worker.to_render.pop_front()
        {
            worker.rendering += 1;
            self.processors.ask(render, Job::Render { worker: index, page });
        }
        let mut changed = false;
        while !worker.batcher.is_full()
            && let Some((since, page)) = worker.ready.pop_front()
        {
            let cost = self.recording.shape(page).pixels();
            worker.batcher.push(origin + now, cost, (since, page));
            changed = true;
        }
        changed
    }

    fn leaves(&self, index: usize) -> Leaves {
        let worker = &self.workers[index];
        let idle = worker.readers.iter().filter(|reader| reader.batch.is_empty()).count();
        let has_idle_reader = idle > usize::from(worker.next.is_some());
        worker.batcher.leaves(self.origin + self.now, has_idle_reader)
    }

    /// Lets a batch leave, and a reader begin; says whether anything changed.
    fn hand_out(&mut self, index: usize) -> bool {
        let leaves = self.leaves(index) == Leaves::Now;
        let worker = &mut self.workers[index];
        if worker.next.is_none() && leaves {
            worker.next = Some(worker.batcher.take());
            return true;
        }
        let Some(idle) = worker.readers.iter().position(|reader| reader.batch.is_empty()) else { return false };
        let Some(batch) = worker.next.take() else { return false };
        self.begin(index, idle, &batch);
        true
    }

    fn begin(&mut self, worker: usize, reader: usize, batch: &[(Duration, usize)]) {
        let free_since = self.workers[worker].readers[reader].free_since;
        for (since, _) in batch {
            self.report.waited.push(self.now.saturating_sub(*since));
            self.report.added.push(self.now.saturating_sub((*since).max(free_since)));
        }
        let pages: Vec<usize> = batch.iter().map(|(_, page)| *page).collect();
        let shapes: Vec<&PageShape> = pages.iter().map(|page| self.recording.shape(*page)).collect();
        self.report.batches.push(pages.len());
        self.report.batch_pixels.push(shapes.iter().map(|shape| shape.pixels()).sum());
        let runs = self.runs(&shapes);
        let prepare = self.machine.outside() * pages.len() as u32 / runs.len().max(1) as u32;
        let steps = runs.into_iter().flat_map(|run| [Step::Prepare(prepare), Step::Run(run)]).collect();
        let reading = &mut self.workers[worker].readers[reader];
        (reading.batch, reading.steps) = (pages, steps);
        self.advance(worker, reader);
    }

    /// What each run of a batch takes: detection of all its pages, then what is read together, look by look.
    fn runs(&mut self, shapes: &[&PageShape]) -> Vec<Duration> {
        let mut takes = Vec::new();
        let looks = |of: &dyn Fn(&PageShape) -> usize| shapes.iter().map(|shape| of(shape)).max().unwrap_or(0);
        for look in 0..looks(&|shape| shape.detection.len()) {
            let seen = shapes.iter().filter_map(|shape| {
                let exact = shape.detection.get(look)?;
                Some(self.policy.detection_shape((shape.width, shape.height), *exact))
            });
            let (sizes, drawn): (Vec<_>, Vec<_>) = seen.unzip();
            for run in self.policy.pack_pages(&sizes) {
                takes.push(self.machine.detection(self.report.detection.add_pixels(&run, &drawn)));
            }
        }
        for look in 0..looks(&|shape| shape.looks.len()) {
            let strips = shapes.iter().filter_map(|shape| shape.looks.get(look)).flatten();
            let widths: Vec<usize> = strips.copied().collect();
            for run in self.policy.pack_lines(&widths) {
                takes.push(self.machine.recognition(self.report.recognition.add_strips(&run, &widths)));
            }
        }
        takes
    }

    /// The next step of a reader's batch, or its end.
    fn advance(&mut self, worker: usize, reader: usize) {
        let reading = &mut self.workers[worker].readers[reader];
        match reading.steps.pop_front() {
            Some(Step::Prepare(work)) => {
                let hands = if self.policy.processing_threads == 0 {
                    self.machine.processors
                } else {
                    self.policy.processing_threads
                };
                reading.hands = hands;
                for _ in 0..hands {
                    self.processors.ask(work / hands as u32, Job::Prepare { worker, reader });
                }
            }
            Some(Step::Run(takes)) => {
                self.ran += takes;
                let runner = if self.machine.has_device { &mut self.device } else { &mut self.processors };
                runner.ask(takes, Job::Run { worker, reader });
            }
            None => {
                reading.free_since = self.now;
                let pages = std::mem::take(&mut reading.batch);
                self.workers[worker].in_hand -= pages.len() as u32;
                let arrived = |page: usize| self.recording.arrivals[page].0;
                self.report.latency.extend(pages.iter().map(|page| self.now.saturating_sub(arrived(*page))));
                self.report.took = self.now;
            }
        }
    }

    fn done(&mut self, job: Job, by_processor: bool) {
        if by_processor {
            self.processors.end();
        } else {
            self.device.end();
        }
        match job {
            Job::Render { worker, page } => {
                let worker = &mut self.workers[worker];
                worker.rendering -= 1;
                worker.ready.push_back((self.now, page));
            }
            Job::Prepare { worker, reader } => {
                let reading = &mut self.workers[worker].readers[reader];
                reading.hands -= 1;
                if reading.hands == 0 {
                    self.advance(worker, reader);
                }
            }
            Job::Run { worker, reader } => self.advance(worker, reader),
        }
    }
}

impl Recording {
    fn shape(&self, page: usize) -> &PageShape {
        &self.shapes[self.arrivals[page].1]
    }
}

impl PageShape {
    /// What the batcher counts.
    fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}
