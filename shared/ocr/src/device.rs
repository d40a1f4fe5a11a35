//! One device, one thread that owns its model: it does run after run, first come first served, while those who ask prepare
//! their next or look through their last.

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
use quire_tasks::EngineName;
use quire_telemetry::panic_message;

use crate::{
    Alphabet, Model, ModelError, Step,
    run_buffer::{Room, RunBuffer},
};

/// A model that several readers run on one device, each with a clone of this. The device always has a run to do while one
/// of them has its next ready.
///
/// The thread ends with the last clone, which waits for it.
#[derive(Clone)]
pub struct SharedModel {
    owner: Arc<Owner>,
    name: EngineName,
    alphabet: Arc<Alphabet>,
}

impl std::fmt::Debug for SharedModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedModel").field("name", &self.name).finish_non_exhaustive()
    }
}

struct Owner {
    /// `None` only while it is dropped.
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        // The thread ends when nobody can ask it any more. A process that exits before it has would take the libraries'
        // tables down under it.
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread is asked for. The buffer goes there and comes back.
enum Job {
    Detect(RunBuffer, SyncSender<Ran<()>>),
    Recognize(RunBuffer, SyncSender<Ran<Vec<Vec<Step>>>>),
    Room(usize, SyncSender<Room>),
}

/// What became of a run.
struct Ran<T> {
    run: RunBuffer,
    answer: Result<T, ModelError>,
    busy: Duration,
}

impl SharedModel {
    /// Starts the thread, has `make` make the model on it, and lets so many runs wait while one is done: one for each
    /// reader is enough.
    ///
    /// # Errors
    /// Those of `make`, and when no thread can be started or it dies.
    pub fn start<M, E>(waiting: usize, make: impl FnOnce() -> Result<M, E> + Send + 'static) -> Result<Self, E>
    where
        M: Model + 'static,
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
        Ok(Self { owner: Arc::new(Owner { jobs: Some(jobs), thread: Some(thread) }), name, alphabet })
    }

    fn ask<T>(&self, job: impl FnOnce(SyncSender<T>) -> Job) -> Result<T, ModelError> {
        // A channel for each answer: when the thread dies, its end of it goes, and nobody waits for ever.
        let (answer, answered) = sync_channel(1);
        let gone = || ModelError::Run("the device's thread has ended".to_owned());
        let jobs = self.owner.jobs.as_ref().ok_or_else(gone)?;
        jobs.send(job(answer)).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())
    }

    fn run<T>(
        &self,
        run: &mut RunBuffer,
        job: impl FnOnce(RunBuffer, SyncSender<Ran<T>>) -> Job,
    ) -> Result<T, ModelError> {
        let taken = std::mem::take(run);
        let ran = self.ask(|answer| job(taken, answer))?;
        *run = ran.run;
        run.busy = Some(ran.busy);
        ran.answer
    }
}

/// Does what is asked until nobody can ask any more.
fn own(model: &mut dyn Model, queue: &Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        // Who has asked may be gone.
        match job {
            Job::Detect(run, answer) => {
                let _ = answer.send(timed(run, |run| model.detect_buffered(run)));
            }
            Job::Recognize(run, answer) => {
                let _ = answer.send(timed(run, |run| model.recognize_buffered(run)));
            }
            Job::Room(len, answer) => {
                let _ = answer.send(model.room(len));
            }
        }
    }
}

/// A panic is this run's failure, and not the end of all readers.
fn timed<T>(mut run: RunBuffer, work: impl FnOnce(&mut RunBuffer) -> Result<T, ModelError>) -> Ran<T> {
    let started = Instant::now();
    let answer = catch_unwind(AssertUnwindSafe(|| work(&mut run)));
    let busy = started.elapsed();
    let answer =
        answer.unwrap_or_else(|panic| Err(ModelError::Run(format!("it panicked: {}", panic_message(&*panic)))));
    Ran { run, answer, busy }
}

impl Model for SharedModel {
    fn name(&self) -> EngineName {
        self.name.clone()
    }

    fn alphabet(&self) -> &Alphabet {
        &self.alphabet
    }

    fn detect(&mut self, pages: ArrayView4<'_, f32>) -> Result<Array3<f32>, ModelError> {
        let mut run = RunBuffer::copied(&pages);
        self.detect_buffered(&mut run)?;
        Ok(run.answer().to_owned())
    }

    fn recognize(&mut self, strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<Step>>, ModelError> {
        self.recognize_buffered(&mut RunBuffer::copied(&strips))
    }

    fn room(&mut self, len: usize) -> Room {
        self.ask(|answer| Job::Room(len, answer)).unwrap_or_else(|_| Room::ordinary(len))
    }

    fn detect_buffered(&mut self, run: &mut RunBuffer) -> Result<(), ModelError> {
        self.run(run, Job::Detect)
    }

    fn recognize_buffered(&mut self, run: &mut RunBuffer) -> Result<Vec<Vec<Step>>, ModelError> {
        self.run(run, Job::Recognize)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;

    /// Answers with what it is given, and panics on 13.
    struct Echo(Alphabet, thread::ThreadId);

    impl Echo {
        fn made() -> Self {
            Self(Alphabet::from_metadata("a"), thread::current().id())
        }
    }

    impl Model for Echo {
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

        fn recognize(&mut self, strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<Step>>, ModelError> {
            Ok(strips
                .outer_iter()
                .map(|strip| vec![Step { class: strip[[0, 0, 0]] as u32, probability: 1.0 }])
                .collect())
        }
    }

    fn pages(value: f32) -> Array4<f32> {
        Array4::from_elem((2, 3, 4, 5), value)
    }

    #[test]
    fn readers_on_several_threads_each_get_their_own_answers() {
        let model = SharedModel::start(1, || Ok::<_, std::io::Error>(Echo::made())).expect("it starts");
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
                        assert_eq!(steps, vec![vec![Step { class: u32::from(index), probability: 1.0 }]; 2]);
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_is_its_runs_failure_and_the_buffer_comes_back() {
        let mut model = SharedModel::start(1, || Ok::<_, std::io::Error>(Echo::made())).expect("it starts");
        let mut run = RunBuffer::copied(&pages(13.0).view());
        let failed = model.detect_buffered(&mut run).expect_err("thirteen");
        assert!(failed.to_string().contains("thirteen"), "{failed}");
        assert_eq!(run.input().dim(), (2, 3, 4, 5));
        assert!(model.detect(pages(1.0).view()).is_ok(), "the next run is done");
    }

    #[test]
    fn a_model_that_cannot_be_made_says_why() {
        let made = SharedModel::start(1, || Err::<Echo, _>(std::io::Error::other("no such device")));
        assert_eq!(made.expect_err("none").to_string(), "no such device");
        let died = SharedModel::start(1, || -> Result<Echo, std::io::Error> { panic!("while it is made") });
        assert!(died.expect_err("none").to_string().contains("died"));
    }

    /// Dies for good: what is thrown is itself something that panics when it is thrown away, on the device's thread.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(thread::current().name() != Some("device"), "it goes off");
        }
    }

    struct Dying(Echo);

    impl Model for Dying {
        fn name(&self) -> EngineName {
            self.0.name()
        }

        fn alphabet(&self) -> &Alphabet {
            self.0.alphabet()
        }

        fn detect(&mut self, _pages: ArrayView4<'_, f32>) -> Result<Array3<f32>, ModelError> {
            std::panic::panic_any(Bomb)
        }

        fn recognize(&mut self, _strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<Step>>, ModelError> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn the_death_of_the_thread_is_a_failure_for_everybody_and_nobody_hangs() {
        let mut model = SharedModel::start(1, || Ok::<_, std::io::Error>(Dying(Echo::made()))).expect("it starts");
        let mut other = model.clone();
        assert!(model.detect(pages(1.0).view()).is_err());
        for _ in 0..3 {
            let gone = other.recognize(pages(1.0).view()).expect_err("nobody is there");
            assert!(gone.to_string().contains("has ended"), "{gone}");
            assert_eq!(other.room(7).numbers().len(), 7);
        }
    }
}
