//! Threads that decode raster images: at most one per CPU, started on demand.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use quire_document::Documents;
use quire_tasks::{Failure, FailureCode};
use quire_telemetry::{panic_message, processors};
use tokio::sync::{mpsc, oneshot};

/// A closure that runs on a rendering thread, with the thread's own [`Documents`].
pub(crate) type RenderJob = Box<dyn FnOnce(&mut Documents) + Send>;

/// Makes the [`Documents`] of one thread.
pub(crate) type MakeDocuments = Arc<dyn Fn() -> Documents + Send + Sync>;

/// A thread pool for decoding. It starts with one thread and adds one whenever more jobs are running than there are
/// threads, up to the number of CPUs. Threads are never stopped before the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct DecoderPool {
    jobs: mpsc::Sender<RenderJob>,
    shared: Arc<PoolState>,
}

struct PoolState {
    /// The idle thread that waits for the next job holds the lock.
    queue: Mutex<mpsc::Receiver<RenderJob>>,
    make_documents: MakeDocuments,
    threads: AtomicUsize,
    /// Jobs that are queued or running.
    active_jobs: AtomicUsize,
}

impl fmt::Debug for PoolState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolState")
            .field("threads", &self.threads)
            .field("active_jobs", &self.active_jobs)
            .finish_non_exhaustive()
    }
}

/// Counts one job as active until it is dropped. Must be moved into the job.
pub(crate) struct DecoderGuard(Arc<PoolState>);

impl Drop for DecoderGuard {
    fn drop(&mut self) {
        self.0.active_jobs.fetch_sub(1, Ordering::SeqCst);
    }
}

impl DecoderPool {
    /// Starts the pool with its first thread.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn start(make_documents: MakeDocuments) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel(1);
        let shared = Arc::new(PoolState {
            queue: Mutex::new(queue),
            make_documents,
            threads: AtomicUsize::new(0),
            active_jobs: AtomicUsize::new(0),
        });
        shared.start_thread()?;
        Ok(Self { jobs, shared })
    }

    /// Announces a job and returns its guard. Starts another thread when all threads are busy and the limit allows it;
    /// if the thread cannot be started, the job waits for an existing one.
    pub(crate) fn acquire(&self) -> DecoderGuard {
        let active_jobs = self.shared.active_jobs.fetch_add(1, Ordering::SeqCst) + 1;
        let threads = self.shared.threads.load(Ordering::SeqCst);
        if active_jobs > threads && threads < processors() {
            let _ = self.shared.start_thread();
        }
        DecoderGuard(Arc::clone(&self.shared))
    }

    /// The channel that takes jobs, for [`run_job`].
    pub(crate) const fn jobs(&self) -> &mpsc::Sender<RenderJob> {
        &self.jobs
    }
}

impl PoolState {
    fn start_thread(self: &Arc<Self>) -> std::io::Result<()> {
        let shared = Arc::clone(self);
        self.threads.fetch_add(1, Ordering::SeqCst);
        let started = thread::Builder::new().name("decode".to_owned()).spawn(move || shared.run_jobs());
        if started.is_err() {
            self.threads.fetch_sub(1, Ordering::SeqCst);
        }
        started.map(drop)
    }

    fn run_jobs(&self) {
        let mut documents = (self.make_documents)();
        loop {
            let job = self.queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
            let Some(job) = job else { break };
            job(&mut documents);
        }
    }
}

/// Runs `work` on the thread behind `jobs` and returns its result. A panic in `work` becomes a failure with the code
/// `on_panic`; the thread keeps running.
///
/// # Errors
/// The failure of `work`, or [`FailureCode::Internal`] when the thread has ended.
pub(crate) async fn run_job<T: Send + 'static>(
    jobs: &mpsc::Sender<RenderJob>,
    on_panic: FailureCode,
    work: impl FnOnce(&mut Documents) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (reply, replied) = oneshot::channel();
    let job = move |documents: &mut Documents| {
        let result = catch_unwind(AssertUnwindSafe(|| work(documents)));
        let result = result.unwrap_or_else(|panic| {
            Err(Failure::new(on_panic, format!("the decoder panicked: {}", panic_message(&*panic))))
        });
        // The receiver is dropped when the process is stopping.
        let _ = reply.send(result);
    };
    jobs.send(Box::new(job)).await.map_err(|_| thread_ended_failure())?;
    replied.await.map_err(|_| thread_ended_failure())?
}

fn thread_ended_failure() -> Failure {
    Failure::new(FailureCode::Internal, "the rendering thread has ended")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{sync::mpsc::channel, time::Duration};

    use quire_document::DocumentLimits;
    use tokio::task::JoinSet;

    use super::*;

    fn pool() -> DecoderPool {
        DecoderPool::start(Arc::new(|| Documents::new(None, DocumentLimits::default()))).expect("a thread starts")
    }

    /// Runs `count` jobs, each of which only ends once all of them have started.
    async fn run_concurrently(pool: &DecoderPool, count: usize) {
        let (started, starts) = channel();
        let (release, released) = tokio::sync::watch::channel(false);
        let mut jobs = JoinSet::new();
        for _ in 0..count {
            let pool = pool.clone();
            let started = started.clone();
            let released = released.clone();
            jobs.spawn(async move {
                let guard = pool.acquire();
                let work = move |_: &mut Documents| {
                    let _guard = guard;
                    started.send(()).expect("the test waits for it");
                    while !*released.borrow() {
                        thread::sleep(Duration::from_millis(1));
                    }
                    Ok(())
                };
                run_job(pool.jobs(), FailureCode::UnreadablePage, work).await
            });
        }
        let all_started = move || (0..count).all(|_| starts.recv_timeout(Duration::from_secs(20)).is_ok());
        assert!(tokio::task::spawn_blocking(all_started).await.expect("no panic"), "{count} jobs run concurrently");
        release.send(true).expect("jobs wait for it");
        while let Some(done) = jobs.join_next().await {
            done.expect("no panic").expect("the job succeeds");
        }
    }

    #[tokio::test]
    async fn the_pool_grows_to_one_thread_per_cpu_and_keeps_its_threads() {
        let pool = pool();
        let threads = || pool.shared.threads.load(Ordering::SeqCst);
        assert_eq!(threads(), 1, "one thread is enough for one job");
        run_concurrently(&pool, 1).await;
        assert_eq!(threads(), 1);
        for _ in 0..3 {
            run_concurrently(&pool, processors()).await;
            assert_eq!(threads(), processors());
        }
    }

    #[tokio::test]
    async fn a_panic_fails_one_job_and_the_thread_keeps_running() {
        let pool = pool();
        for _ in 0..3 {
            let guard = pool.acquire();
            let work = move |_: &mut Documents| -> Result<(), Failure> {
                let _guard = guard;
                panic!("a bad header")
            };
            let failed = run_job(pool.jobs(), FailureCode::UnreadablePage, work).await.expect_err("the job panics");
            assert!(failed.message.contains("a bad header"), "{failed:?}");
        }
        assert_eq!(pool.shared.active_jobs.load(Ordering::SeqCst), 0);
        run_concurrently(&pool, 1).await;
    }
}
