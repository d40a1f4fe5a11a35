//! A thread that owns a model and runs requests in order (FIFO).

use std::{
    io,
    sync::mpsc::{SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

use crate::model_error::ModelError;

/// A thread that owns a model, which need not be `Send`, and calls it for other threads. Dropping it waits for the
/// thread.
///
/// # Examples
/// ```
/// use quire_inference::DeviceThread;
///
/// let make_model = || Ok::<_, std::io::Error>((vec![1.0_f32, 2.0], "a model"));
/// let (thread, name) = DeviceThread::start(1, make_model)?;
/// assert_eq!(name, "a model");
/// assert_eq!(thread.call(|model| model.len()), Ok(2));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct DeviceThread<M> {
    /// `None` only while it is dropped.
    requests: Option<SyncSender<DeviceRequest<M>>>,
    thread: Option<JoinHandle<()>>,
}

type DeviceRequest<M> = Box<dyn FnOnce(&mut M) + Send>;

impl<M> std::fmt::Debug for DeviceThread<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceThread").finish_non_exhaustive()
    }
}

impl<M: 'static> DeviceThread<M> {
    /// Starts the thread and creates the model on it. `make` also returns a description of the model, which is returned
    /// to the caller. At most `waiting` requests wait in the queue (backpressure).
    ///
    /// # Errors
    /// The error of `make`, or an I/O error if the thread cannot be started or panics.
    pub fn start<T, E>(
        waiting: usize,
        make: impl FnOnce() -> Result<(M, T), E> + Send + 'static,
    ) -> Result<(Self, T), E>
    where
        T: Send + 'static,
        E: From<io::Error> + Send + 'static,
    {
        let (requests, queue) = sync_channel::<DeviceRequest<M>>(waiting.max(1));
        let (started, start) = sync_channel(1);
        let run = move || {
            let mut model = match make() {
                Ok((model, description)) => {
                    if started.send(Ok(description)).is_err() {
                        return;
                    }
                    model
                }
                Err(error) => return drop(started.send(Err(error))),
            };
            // Ends when all senders are dropped.
            while let Ok(request) = queue.recv() {
                request(&mut model);
            }
        };
        let thread = thread::Builder::new().name("device".to_owned()).spawn(run)?;
        let panicked = |_| E::from(io::Error::other("the device thread panicked during startup"));
        let description = start.recv().map_err(panicked)??;
        Ok((Self { requests: Some(requests), thread: Some(thread) }, description))
    }

    /// Calls `request` on the thread and returns its result. Blocks while the queue is full.
    ///
    /// # Errors
    /// [`ModelError::Run`], if the thread has stopped because a request panicked.
    pub fn call<R: Send + 'static>(&self, request: impl FnOnce(&mut M) -> R + Send + 'static) -> Result<R, ModelError> {
        let stopped = || ModelError::Run("the device thread has stopped".to_owned());
        let requests = self.requests.as_ref().ok_or_else(stopped)?;
        // One channel per request: when the thread dies, the sender is dropped, and the caller returns with an error
        // instead of waiting forever.
        let (result, returned) = sync_channel(1);
        let send_result = move |model: &mut M| {
            // The send fails only if the caller is gone.
            let _ = result.send(request(model));
        };
        requests.send(Box::new(send_result)).map_err(|_| stopped())?;
        returned.recv().map_err(|_| stopped())
    }
}

impl<M> Drop for DeviceThread<M> {
    fn drop(&mut self) {
        // Closing the channel ends the thread. Wait for it, because a process that exits earlier unloads the libraries
        // under a run.
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
