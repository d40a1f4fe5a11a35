//! The event loop: moves all workers of a machine from event to event.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::{Duration, Instant},
};

use quire_pp_ocr::BatchPolicy;
use quire_worker::{BatchDue, BatchLimits, target_pages_in_flight};

use crate::{
    SimulatedMachine, SimulationReport,
    machine::ServerPool,
    pipeline::{ReadingStep, ReadyPage, SimulatedJob, SimulatedWorker},
    recording::{PageShape, Recording},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum SimulationEvent {
    PageArrives(usize),
    /// A CPU, or the device, has done a job.
    JobDone {
        job: SimulatedJob,
        by_cpu: bool,
    },
    /// The deadline of a worker's batch.
    BatchDeadline(usize),
}

pub(crate) struct EventLoop<'a> {
    policy: &'a BatchPolicy,
    machine: &'a SimulatedMachine,
    recording: &'a Recording,
    /// The batcher takes instants; only their distance from this one matters.
    origin: Instant,
    now: Duration,
    /// By time; events at the same time in the order in which they were scheduled.
    events: BinaryHeap<Reverse<(Duration, u64, SimulationEvent)>>,
    scheduled: u64,
    queue: VecDeque<usize>,
    workers: Vec<SimulatedWorker>,
    target_pages: u32,
    cpus: ServerPool<SimulatedJob>,
    device: ServerPool<SimulatedJob>,
    run_time: Duration,
    report: SimulationReport,
}

impl<'a> EventLoop<'a> {
    pub(crate) fn new(policy: &'a BatchPolicy, machine: &'a SimulatedMachine, recording: &'a Recording) -> Self {
        Self {
            policy,
            machine,
            recording,
            origin: Instant::now(),
            now: Duration::ZERO,
            events: BinaryHeap::new(),
            scheduled: 0,
            queue: VecDeque::new(),
            workers: (0..machine.workers).map(|_| SimulatedWorker::new(policy)).collect(),
            target_pages: target_pages_in_flight(BatchLimits::of(policy), policy.readers),
            cpus: ServerPool::new(machine.processors),
            device: ServerPool::new(usize::from(machine.has_device)),
            run_time: Duration::ZERO,
            report: SimulationReport::default(),
        }
    }

    pub(crate) fn run(mut self) -> SimulationReport {
        for (page, (at, _)) in self.recording.arrivals.iter().enumerate() {
            self.schedule(*at, SimulationEvent::PageArrives(page));
        }
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            self.now = at;
            match event {
                SimulationEvent::PageArrives(page) => self.queue.push_back(page),
                SimulationEvent::JobDone { job, by_cpu } => self.finish_job(job, by_cpu),
                SimulationEvent::BatchDeadline(_) => {}
            }
            // All events of the same time happen before any work is started.
            if self.events.peek().is_none_or(|Reverse((next, _, _))| *next > at) {
                self.start_work();
            }
        }
        self.into_report()
    }

    fn into_report(mut self) -> SimulationReport {
        let first_arrival = self.recording.arrivals.first().map_or(Duration::ZERO, |(at, _)| *at);
        let runners = if self.machine.has_device { 1 } else { self.machine.processors };
        let report = &mut self.report;
        report.pages = report.latency.len();
        report.duration = report.duration.saturating_sub(first_arrival);
        let capacity = report.duration.as_secs_f64() * runners as f64;
        report.busy = if capacity > 0.0 { self.run_time.as_secs_f64() / capacity } else { 0.0 };
        for durations in [&mut report.latency, &mut report.waited, &mut report.added] {
            durations.sort_unstable();
        }
        self.report
    }

    fn schedule(&mut self, at: Duration, event: SimulationEvent) {
        self.scheduled += 1;
        self.events.push(Reverse((at, self.scheduled, event)));
    }

    /// Starts everything that can start now.
    fn start_work(&mut self) {
        self.receive_pages();
        for worker in 0..self.workers.len() {
            while self.fill_batcher(worker) || self.send_batch(worker) {}
            if let BatchDue::At(deadline) = self.next_due(worker) {
                self.schedule(deadline - self.origin, SimulationEvent::BatchDeadline(worker));
            }
        }
        while let Some((duration, job)) = self.cpus.start_next() {
            self.schedule(self.now + duration, SimulationEvent::JobDone { job, by_cpu: true });
        }
        while let Some((duration, job)) = self.device.start_next() {
            self.schedule(self.now + duration, SimulationEvent::JobDone { job, by_cpu: false });
        }
    }

    /// Gives queued pages to the worker with the fewest pages in flight.
    fn receive_pages(&mut self) {
        while !self.queue.is_empty() {
            let in_flight = self.workers.iter().enumerate().map(|(index, worker)| (worker.pages_in_flight, index));
            let (pages_in_flight, index) = in_flight.min().unwrap_or((u32::MAX, 0));
            if pages_in_flight >= self.target_pages {
                return;
            }
            let worker = &mut self.workers[index];
            worker.to_render.extend(self.queue.pop_front());
            worker.pages_in_flight += 1;
        }
    }

    /// Starts rendering and fills the batcher. Returns whether the batcher changed.
    fn fill_batcher(&mut self, index: usize) -> bool {
        let worker = &mut self.workers[index];
        while worker.rendering < self.machine.renderers
            && let Some(page) = worker.to_render.pop_front()
        {
            worker.rendering += 1;
            self.cpus.enqueue(self.machine.render_time(), SimulatedJob::Render { worker: index, page });
        }
        let mut changed = false;
        while !worker.batcher.is_full()
            && let Some((since, page)) = worker.ready.pop_front()
        {
            let cost = self.recording.shape(page).pixels();
            worker.batcher.push(self.origin + self.now, cost, (since, page));
            changed = true;
        }
        changed
    }

    fn next_due(&self, index: usize) -> BatchDue {
        let worker = &self.workers[index];
        worker.batcher.next_due(self.origin + self.now, worker.has_idle_reader())
    }

    /// Takes a batch from the batcher, or gives one to a reader. Returns whether anything changed.
    fn send_batch(&mut self, index: usize) -> bool {
        let is_due = self.next_due(index) == BatchDue::Now;
        let worker = &mut self.workers[index];
        if worker.next_batch.is_none() && is_due {
            worker.next_batch = Some(worker.batcher.take());
            return true;
        }
        let Some(idle) = worker.readers.iter().position(super::pipeline::SimulatedReader::is_idle) else {
            return false;
        };
        let Some(batch) = worker.next_batch.take() else { return false };
        self.start_batch(index, idle, &batch);
        true
    }

    fn start_batch(&mut self, worker: usize, reader: usize, batch: &[ReadyPage]) {
        let free_since = self.workers[worker].readers[reader].free_since;
        for (since, _) in batch {
            self.report.waited.push(self.now.saturating_sub(*since));
            self.report.added.push(self.now.saturating_sub((*since).max(free_since)));
        }
        let pages: Vec<usize> = batch.iter().map(|(_, page)| *page).collect();
        let shapes: Vec<&PageShape> = pages.iter().map(|page| self.recording.shape(*page)).collect();
        self.report.batches.push(pages.len());
        self.report.batch_pixels.push(shapes.iter().map(|shape| shape.pixels()).sum());
        let runs = self.plan_runs(&shapes);
        let prepare = self.machine.outside_time() * pages.len() as u32 / runs.len().max(1) as u32;
        let steps = runs.into_iter().flat_map(|run| [ReadingStep::Prepare(prepare), ReadingStep::Run(run)]).collect();
        let reading = &mut self.workers[worker].readers[reader];
        reading.batch = pages;
        reading.steps = steps;
        self.start_next_step(worker, reader);
    }

    /// Returns the duration of each run of a batch: all detection passes, then all recognition passes.
    fn plan_runs(&mut self, shapes: &[&PageShape]) -> Vec<Duration> {
        let mut durations = Vec::new();
        let detection_passes = shapes.iter().map(|shape| shape.detection.len()).max().unwrap_or(0);
        for pass in 0..detection_passes {
            let mut sizes = Vec::new();
            let mut drawn = Vec::new();
            for shape in shapes {
                let Some(exact) = shape.detection.get(pass) else { continue };
                let (size, content) = self.policy.detection_shape((shape.width, shape.height), *exact);
                sizes.push(size);
                drawn.push(content);
            }
            for run in self.policy.pack_pages(&sizes) {
                let pixels = self.report.detection.add_pixels(&run, &drawn);
                durations.push(self.machine.detection_time(pixels));
            }
        }
        let recognition_passes = shapes.iter().map(|shape| shape.looks.len()).max().unwrap_or(0);
        for pass in 0..recognition_passes {
            let widths: Vec<usize> =
                shapes.iter().filter_map(|shape| shape.looks.get(pass)).flatten().copied().collect();
            for run in self.policy.pack_lines(&widths) {
                let columns = self.report.recognition.add_strips(&run, &widths);
                durations.push(self.machine.recognition_time(columns));
            }
        }
        durations
    }

    /// Starts the next step of a reader's batch, or ends the batch.
    fn start_next_step(&mut self, worker: usize, reader: usize) {
        let reading = &mut self.workers[worker].readers[reader];
        match reading.steps.pop_front() {
            Some(ReadingStep::Prepare(work)) => {
                let threads = if self.policy.processing_threads == 0 {
                    self.machine.processors
                } else {
                    self.policy.processing_threads
                };
                reading.busy_threads = threads;
                for _ in 0..threads {
                    self.cpus.enqueue(work / threads as u32, SimulatedJob::Prepare { worker, reader });
                }
            }
            Some(ReadingStep::Run(duration)) => {
                self.run_time += duration;
                let runner = if self.machine.has_device { &mut self.device } else { &mut self.cpus };
                runner.enqueue(duration, SimulatedJob::Run { worker, reader });
            }
            None => {
                reading.free_since = self.now;
                let pages = std::mem::take(&mut reading.batch);
                self.workers[worker].pages_in_flight -= pages.len() as u32;
                for page in pages {
                    let arrived = self.recording.arrivals[page].0;
                    self.report.latency.push(self.now.saturating_sub(arrived));
                }
                self.report.duration = self.now;
            }
        }
    }

    fn finish_job(&mut self, job: SimulatedJob, by_cpu: bool) {
        if by_cpu {
            self.cpus.finish_one();
        } else {
            self.device.finish_one();
        }
        match job {
            SimulatedJob::Render { worker, page } => {
                let worker = &mut self.workers[worker];
                worker.rendering -= 1;
                worker.ready.push_back((self.now, page));
            }
            SimulatedJob::Prepare { worker, reader } => {
                let reading = &mut self.workers[worker].readers[reader];
                reading.busy_threads -= 1;
                if reading.busy_threads == 0 {
                    self.start_next_step(worker, reader);
                }
            }
            SimulatedJob::Run { worker, reader } => self.start_next_step(worker, reader),
        }
    }
}
