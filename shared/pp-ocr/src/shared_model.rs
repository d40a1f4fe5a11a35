//! Shares one device between several readers: a thread owns the model and runs their requests in order (FIFO), while
//! the readers prepare and post-process.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ndarray::{Array3, ArrayView4};
use quire_inference::{HostBuffer, ModelError, RunBuffer};
use quire_tasks::EngineName;
use quire_telemetry::panic_message;

use crate::{
    alphabet::Alphabet,
    model::{CtcStep, OcrModel},
};

/// A model that several readers share, each with a clone. While one reader prepares its next batch, the device runs
/// another reader's.
///
/// The thread ends when the last clone is dropped, which waits for it.
#[derive(Clone)]
pub struct SharedModel {
    owner: Arc<DeviceThreadHandle>,
    name: EngineName,
    alphabet: Arc<Alphabet>,
}

impl std::fmt::Debug for SharedModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedModel").field("name", &self.name).finish_non_exhaustive()
    }
}

struct DeviceThreadHandle {
    /// `None` only while it is dropped.
    jobs: Option<SyncSender<DeviceRequest>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for DeviceThreadHandle {
    fn drop(&mut self) {
        // Closing the channel ends the thread. Wait for it, because a process that exits earlier unloads the libraries
        // under a run.
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A request to the thread. The buffer is moved there and back.
enum DeviceRequest {
    Detect(RunBuffer, SyncSender<RunOutcome<()>>),
    Recognize(RunBuffer, SyncSender<RunOutcome<Vec<Vec<CtcStep>>>>),
    HostBuffer(usize, SyncSender<HostBuffer>),
}

/// The result of a run.
struct RunOutcome<T> {
    run: RunBuffer,
    answer: Result<T, ModelError>,
    busy: Duration,
}

impl SharedModel {
    /// Starts the thread, creates the model on it with `make`, and lets at most `waiting` requests wait in its queue
    /// (backpressure); one per reader suffices.
    ///
    /// # Errors
    /// The error of `make`, or an I/O error if the thread cannot be started or panics.
    pub fn start<M, E>(waiting: usize, make: impl FnOnce() -> Result<M, E> + Send + 'static) -> Result<Self, E>
    where
        M: OcrModel + 'static,
        E: From<std::io::Error> + Send + 'static,
    {
        let (jobs, queue) = sync_channel(waiting.max(1));
        let (started, start) = sync_channel(1);
        let own = move || {
            let mut model = match make() {
                Ok(model) => model,
                Err(error) => return drop(started.send(Err(error))),
            };
            let named = (model.name(), Arc::new(model.alphabet().clone()));
            if started.send(Ok(named)).is_ok() {
                own(&mut model, &queue);
            }
        };
        let thread = thread::Builder::new().name("device".to_owned()).spawn(own)?;
        let died = || E::from(std::io::Error::other("the device's thread died while it started"));
        let (name, alphabet) = start.recv().map_err(|_| died())??;
        Ok(Self { owner: Arc::new(DeviceThreadHandle { jobs: Some(jobs), thread: Some(thread) }), name, alphabet })
    }

    fn ask<T>(&self, job: impl FnOnce(SyncSender<T>) -> DeviceRequest) -> Result<T, ModelError> {
        // One channel per request: when the thread dies, the sender is dropped and the caller returns with an error
        // instead of waiting forever.
        let (answer, answered) = sync_channel(1);
        let gone = || ModelError::Run("the device's thread has ended".to_owned());
        let jobs = self.owner.jobs.as_ref().ok_or_else(gone)?;
        jobs.send(job(answer)).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())
    }

    fn run<T>(
        &self,
        run: &mut RunBuffer,
        job: impl FnOnce(RunBuffer, SyncSender<RunOutcome<T>>) -> DeviceRequest,
    ) -> Result<T, ModelError> {
        let taken = std::mem::take(run);
        let ran = self.ask(|answer| job(taken, answer))?;
        *run = ran.run;
        run.run_time = Some(ran.busy);
        ran.answer
    }
}

/// Runs requests until all senders are dropped.
fn own(model: &mut dyn OcrModel, queue: &Receiver<DeviceRequest>) {
    while let Ok(job) = queue.recv() {
        // A send fails if the reader is gone; ignore it.
        match job {
            DeviceRequest::Detect(run, answer) => {
                let _ = answer.send(timed(run, |run| model.detect_buffered(run)));
            }
            DeviceRequest::Recognize(run, answer) => {
                let _ = answer.send(timed(run, |run| model.recognize_buffered(run)));
            }
            DeviceRequest::HostBuffer(len, answer) => {
                let _ = answer.send(model.allocate(len));
            }
        }
    }
}

/// A panic becomes an error of this run; it must not stop the other readers.
fn timed<T>(mut run: RunBuffer, work: impl FnOnce(&mut RunBuffer) -> Result<T, ModelError>) -> RunOutcome<T> {
    let started = Instant::now();
    let answer = catch_unwind(AssertUnwindSafe(|| work(&mut run)));
    let busy = started.elapsed();
    let answer =
        answer.unwrap_or_else(|panic| Err(ModelError::Run(format!("it panicked: {}", panic_message(&*panic)))));
    RunOutcome { run, answer, busy }
}

impl OcrModel for SharedModel {
    fn name(&self) -> EngineName {
        self.name.clone()
    }

    fn alphabet(&self) -> &Alphabet {
        &self.alphabet
    }

    fn detect(&mut self, pages: ArrayView4<'_, f32>) -> Result<Array3<f32>, ModelError> {
        let mut run = RunBuffer::from_input(&pages);
        self.detect_buffered(&mut run)?;
        Ok(run.output().to_owned())
    }

    fn recognize(&mut self, strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<CtcStep>>, ModelError> {
        self.recognize_buffered(&mut RunBuffer::from_input(&strips))
    }

    fn allocate(&mut self, len: usize) -> HostBuffer {
        self.ask(|answer| DeviceRequest::HostBuffer(len, answer)).unwrap_or_else(|_| HostBuffer::heap(len))
    }

    fn detect_buffered(&mut self, run: &mut RunBuffer) -> Result<(), ModelError> {
        self.run(run, DeviceRequest::Detect)
    }

    fn recognize_buffered(&mut self, run: &mut RunBuffer) -> Result<Vec<Vec<CtcStep>>, ModelError> {
        self.run(run, DeviceRequest::Recognize)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;

    /// Returns its input, and panics on 13.
    struct EchoModel(Alphabet, thread::ThreadId);

    impl EchoModel {
        fn made() -> Self {
            Self(Alphabet::from_metadata("a"), thread::current().id())
        }
    }

    impl OcrModel for EchoModel {
        fn name(&self) -> EngineName {
            EngineName { name: "echo".to_owned(), version: "1".to_owned() }
        }

        fn alphabet(&self) -> &Alphabet {
            &self.0
        }

        fn detect(&mut self, pages: ArrayView4<'_, f32>) -> Result<Array3<f32>, ModelError> {
            assert_eq!(thread::current().id(), self.1, "a model is run where it was made");
            assert!(pages[[0, 0, 0, 0]] < 13.0, "thirteen");
            Ok(pages.index_axis(ndarray::Axis(1), 0).to_owned())
        }

        fn recognize(&mut self, strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<CtcStep>>, ModelError> {
            Ok(strips
                .outer_iter()
                .map(|strip| vec![CtcStep { class: strip[[0, 0, 0]] as u32, probability: 1.0 }])
                .collect())
        }
    }

    fn pages(value: f32) -> Array4<f32> {
        Array4::from_elem((2, 3, 4, 5), value)
    }

    #[test]
    fn readers_on_several_threads_each_get_their_own_answers() {
        let model = SharedModel::start(1, || Ok::<_, std::io::Error>(EchoModel::made())).expect("it starts");
        let readers: Vec<_> = (0..4_u8).map(|index| (index, model.clone())).collect();
        drop(model);
        thread::scope(|scope| {
            for (index, mut model) in readers {
                scope.spawn(move || {
                    for _ in 0..50 {
                        let value = f32::from(index);
                        let map = model.detect(pages(value).view()).expect("an answer");
                        assert_eq!(map, Array3::from_elem((2, 4, 5), value));
                        let steps = model.recognize(pages(value).view()).expect("an answer");
                        assert_eq!(steps, vec![vec![CtcStep { class: u32::from(index), probability: 1.0 }]; 2]);
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_is_its_runs_failure_and_the_buffer_comes_back() {
        let mut model = SharedModel::start(1, || Ok::<_, std::io::Error>(EchoModel::made())).expect("it starts");
        let mut run = RunBuffer::from_input(&pages(13.0).view());
        let failed = model.detect_buffered(&mut run).expect_err("thirteen");
        assert!(failed.to_string().contains("thirteen"), "{failed}");
        assert_eq!(run.input().dim(), (2, 3, 4, 5));
        assert!(model.detect(pages(1.0).view()).is_ok(), "the next run is done");
    }

    #[test]
    fn a_model_that_cannot_be_made_says_why() {
        let made = SharedModel::start(1, || Err::<EchoModel, _>(std::io::Error::other("no such device")));
        assert_eq!(made.expect_err("none").to_string(), "no such device");
        let died = SharedModel::start(1, || -> Result<EchoModel, std::io::Error> { panic!("while it is made") });
        assert!(died.expect_err("none").to_string().contains("died"));
    }

    /// A panic payload that panics when it is dropped on the device thread, which kills the thread.
    struct PanicOnDrop;

    impl Drop for PanicOnDrop {
        fn drop(&mut self) {
            assert!(thread::current().name() != Some("device"), "it goes off");
        }
    }

    struct DyingModel(EchoModel);

    impl OcrModel for DyingModel {
        fn name(&self) -> EngineName {
            self.0.name()
        }

        fn alphabet(&self) -> &Alphabet {
            self.0.alphabet()
        }

        fn detect(&mut self, _pages: ArrayView4<'_, f32>) -> Result<Array3<f32>, ModelError> {
            std::panic::panic_any(PanicOnDrop)
        }

        fn recognize(&mut self, _strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<CtcStep>>, ModelError> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn the_death_of_the_thread_is_a_failure_for_everybody_and_nobody_hangs() {
        let mut model =
            SharedModel::start(1, || Ok::<_, std::io::Error>(DyingModel(EchoModel::made()))).expect("it starts");
        let mut other = model.clone();
        assert!(model.detect(pages(1.0).view()).is_err());
        for _ in 0..3 {
            let gone = other.recognize(pages(1.0).view()).expect_err("nobody is there");
            assert!(gone.to_string().contains("has ended"), "{gone}");
            assert_eq!(other.allocate(7).values().len(), 7);
        }
    }
}
