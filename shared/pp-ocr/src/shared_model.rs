//! Shares one device between several readers: a thread owns the model and runs their requests in order (FIFO), while
//! the readers prepare and post-process.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use ndarray::{Array3, ArrayView4};
use quire_inference::{DeviceThread, HostBuffer, ModelError, RunBuffer};
use quire_tasks::EngineName;
use quire_telemetry::panic_message;

use crate::{
    alphabet::Alphabet,
    detection::BoxThresholds,
    model::{CtcStep, OcrModel},
};

/// A model that several readers share, each with a clone. While one reader prepares its next batch, the device runs
/// another reader's.
///
/// The thread ends when the last clone is dropped, which waits for it.
#[derive(Clone)]
pub struct SharedModel {
    thread: Arc<DeviceThread<Box<dyn OcrModel>>>,
    name: EngineName,
    alphabet: Arc<Alphabet>,
    thresholds: BoxThresholds,
    width_factor: f32,
}

impl std::fmt::Debug for SharedModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedModel").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The result of a run; returns the buffer to the reader.
struct RunOutcome<T> {
    buffer: RunBuffer,
    result: Result<T, ModelError>,
    run_time: Duration,
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
        let make_boxed = move || -> Result<_, E> {
            let model: Box<dyn OcrModel> = Box::new(make()?);
            let name = model.name();
            let alphabet = Arc::new(model.alphabet().clone());
            let thresholds = model.box_thresholds();
            let width_factor = model.width_factor();
            Ok((model, (name, alphabet, thresholds, width_factor)))
        };
        let (thread, (name, alphabet, thresholds, width_factor)) = DeviceThread::start(waiting, make_boxed)?;
        Ok(Self { thread: Arc::new(thread), name, alphabet, thresholds, width_factor })
    }

    /// Moves the buffer to the thread, runs the model there, and moves the buffer back.
    fn run<T: Send + 'static>(
        &self,
        run: &mut RunBuffer,
        work: fn(&mut dyn OcrModel, &mut RunBuffer) -> Result<T, ModelError>,
    ) -> Result<T, ModelError> {
        let buffer = std::mem::take(run);
        let outcome = self.thread.call(move |model| run_timed(model.as_mut(), buffer, work))?;
        *run = outcome.buffer;
        run.run_time = Some(outcome.run_time);
        outcome.result
    }
}

/// Runs the model. A panic becomes an error of this run; it must not stop the other readers.
fn run_timed<T>(
    model: &mut dyn OcrModel,
    mut buffer: RunBuffer,
    work: fn(&mut dyn OcrModel, &mut RunBuffer) -> Result<T, ModelError>,
) -> RunOutcome<T> {
    let started = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| work(model, &mut buffer)));
    let run_time = started.elapsed();
    let result = result.unwrap_or_else(|panic| {
        let message = panic_message(&*panic);
        Err(ModelError::Run(format!("the model panicked: {message}")))
    });
    RunOutcome { buffer, result, run_time }
}

impl OcrModel for SharedModel {
    fn name(&self) -> EngineName {
        self.name.clone()
    }

    fn alphabet(&self) -> &Alphabet {
        &self.alphabet
    }

    fn box_thresholds(&self) -> BoxThresholds {
        self.thresholds
    }

    fn width_factor(&self) -> f32 {
        self.width_factor
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
        self.thread.call(move |model| model.allocate(len)).unwrap_or_else(|_| HostBuffer::heap(len))
    }

    fn detect_buffered(&mut self, run: &mut RunBuffer) -> Result<(), ModelError> {
        self.run(run, |model, buffer| model.detect_buffered(buffer))
    }

    fn recognize_buffered(&mut self, run: &mut RunBuffer) -> Result<Vec<Vec<CtcStep>>, ModelError> {
        self.run(run, |model, buffer| model.recognize_buffered(buffer))
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

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
    fn readers_on_several_threads_get_their_own_results() {
        let model = SharedModel::start(1, || Ok::<_, std::io::Error>(EchoModel::made())).expect("the thread starts");
        let readers: Vec<_> = (0..4_u8).map(|index| (index, model.clone())).collect();
        drop(model);
        thread::scope(|scope| {
            for (index, mut model) in readers {
                scope.spawn(move || {
                    for _ in 0..50 {
                        let value = f32::from(index);
                        let map = model.detect(pages(value).view()).expect("a result");
                        assert_eq!(map, Array3::from_elem((2, 4, 5), value));
                        let steps = model.recognize(pages(value).view()).expect("a result");
                        assert_eq!(steps, vec![vec![CtcStep { class: u32::from(index), probability: 1.0 }]; 2]);
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_fails_only_its_run_and_returns_the_buffer() {
        let mut model =
            SharedModel::start(1, || Ok::<_, std::io::Error>(EchoModel::made())).expect("the thread starts");
        let mut run = RunBuffer::from_input(&pages(13.0).view());
        let failed = model.detect_buffered(&mut run).expect_err("the model panics on 13");
        assert!(failed.to_string().contains("thirteen"), "{failed}");
        assert_eq!(run.input().dim(), (2, 3, 4, 5));
        assert!(model.detect(pages(1.0).view()).is_ok(), "the next run is done");
    }

    #[test]
    fn an_error_of_the_constructor_is_returned() {
        let made = SharedModel::start(1, || Err::<EchoModel, _>(std::io::Error::other("no such device")));
        assert_eq!(made.expect_err("the constructor fails").to_string(), "no such device");
        let died = SharedModel::start(1, || -> Result<EchoModel, std::io::Error> { panic!("while it is made") });
        assert!(died.expect_err("the constructor fails").to_string().contains("panicked during startup"));
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
    fn a_dead_thread_is_an_error_for_all_readers() {
        let mut model = SharedModel::start(1, || Ok::<_, std::io::Error>(DyingModel(EchoModel::made())))
            .expect("the thread starts");
        let mut other = model.clone();
        assert!(model.detect(pages(1.0).view()).is_err());
        for _ in 0..3 {
            let gone = other.recognize(pages(1.0).view()).expect_err("the thread is dead");
            assert!(gone.to_string().contains("has stopped"), "{gone}");
            assert_eq!(other.allocate(7).values().len(), 7);
        }
    }
}
