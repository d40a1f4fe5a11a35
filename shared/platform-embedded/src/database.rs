//! The database: a thread with a connection for writes, and several for reads.
//!
//! Reads run concurrently, each in a short transaction of its own, which sees the last commit. The readers are shared
//! fairly between the tenants that the reading tasks work for ([`quire_fair_share::with_tenant`]): a tenant with many
//! or long reads always leaves a reader to the others.
//!
//! Group commit: a durable commit costs one disk sync, however many changes it contains. The write thread runs all jobs
//! that arrived during the last commit in one transaction, each in a savepoint of its own, and replies after the
//! commit. Reads do not wait for the sync.

use std::{
    num::NonZero,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use quire_fair_share::{FairPermit, FairShare, current_tenant, pool_size};
use quire_platform::{Error, Result};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::{
    connection::connect,
    fault::TransactionError,
    wakeup::{ChangeListener, Changes, WakeupNotifier},
};

/// The capacity of the job channel. A full channel is backpressure: senders wait.
const JOB_CHANNEL_CAPACITY: usize = 256;
/// The maximum number of jobs in one transaction: enough to share a disk sync, few enough for a short latency.
const MAX_JOBS_PER_TRANSACTION: usize = 64;

/// The most reads of one tenant at a time. A read takes a processor; more than a few wait for the disk only.
const MAX_READS_PER_TENANT: usize = 4;
/// The share of reads that belong to no tenant, e.g. those of a sweeper. No tenant has an empty name.
const NO_TENANT: &str = "";

type JobSender = mpsc::Sender<Box<dyn DatabaseJob>>;

/// The channels to the threads that own the connections.
#[derive(Debug)]
pub(crate) struct Database {
    writes: JobSender,
    reads: JobSender,
    /// One permit per reader.
    readers: FairShare,
    notifier: Arc<WakeupNotifier>,
}

impl Database {
    /// Opens the database file and creates it if it does not exist.
    pub(crate) fn open(path: &Path, notifier: Arc<WakeupNotifier>) -> Result<Self> {
        let (writes, waiting) = mpsc::channel(JOB_CHANNEL_CAPACITY);
        start("quire-database", path, &notifier, move |thread| thread.run_writes(waiting))?;
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let readers = pool_size(processors.min(MAX_READS_PER_TENANT));
        let (reads, waiting) = mpsc::channel(readers);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..readers {
            let waiting = Arc::clone(&waiting);
            start("quire-reads", path, &notifier, move |thread| thread.run_reads(&waiting))?;
        }
        Ok(Self { writes, reads, readers: FairShare::new(readers), notifier })
    }

    /// Runs a read on the next reader that the current tenant may have. It sees everything that was committed before.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, TransactionError> + Send + 'static,
    ) -> Result<T> {
        let tenant = current_tenant();
        let permit = self.readers.acquire(tenant.as_deref().unwrap_or(NO_TENANT)).await;
        // The permit is the job's: the reader stays busy even if the future is dropped.
        self.run(&self.reads, Some(permit), |connection, _| work(connection)).await
    }

    /// Runs a write in a transaction, which reports its changes for the wake-up. Durable once it has returned `Ok`.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &mut Changes) -> Result<T, TransactionError> + Send + 'static,
    ) -> Result<T> {
        self.run(&self.writes, None, work).await
    }

    /// Subscribes to changes by any process.
    pub(crate) fn listen(&self) -> ChangeListener {
        self.notifier.listen()
    }

    async fn run<T, W>(&self, jobs: &JobSender, reader: Option<FairPermit>, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connection, &mut Changes) -> Result<T, TransactionError> + Send + 'static,
    {
        let gone = || Error::Failed { what: "database", why: "its thread has ended".to_owned() };
        let (answer, answered) = oneshot::channel();
        let call = DatabaseCall { work: Some(work), result: None, answer, reader };
        jobs.send(Box::new(call)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// Starts a thread that owns a connection.
fn start(
    name: &str,
    path: &Path,
    notifier: &Arc<WakeupNotifier>,
    run: impl FnOnce(DatabaseThread) + Send + 'static,
) -> Result<()> {
    let connection = connect(path)?;
    let owner = DatabaseThread { connection, path: path.to_owned(), notifier: Arc::clone(notifier) };
    let started = thread::Builder::new().name(name.to_owned()).spawn(move || run(owner));
    let fault = |error| Error::Failed { what: "database", why: format!("its thread cannot start: {error}") };
    started.map(drop).map_err(fault)
}

/// A call that waits for its transaction.
trait DatabaseJob: Send {
    /// Runs the job. An error rolls its savepoint back.
    fn run(&mut self, connection: &Connection, changes: &mut Changes, path: &Path) -> Result<()>;

    /// Replies with the job's result, or with the error of the commit.
    fn answer(self: Box<Self>, committed: Result<()>);
}

struct DatabaseCall<T, W> {
    work: Option<W>,
    result: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
    /// The permit of a read, returned when the job is done.
    reader: Option<FairPermit>,
}

impl<T, W> DatabaseJob for DatabaseCall<T, W>
where
    T: Send,
    W: FnOnce(&Connection, &mut Changes) -> Result<T, TransactionError> + Send,
{
    fn run(&mut self, connection: &Connection, changes: &mut Changes, path: &Path) -> Result<()> {
        // The future was dropped: e.g. a lease would have no holder.
        let Some(work) = self.work.take().filter(|_| !self.answer.is_closed()) else { return Ok(()) };
        let result = work(connection, changes).map_err(|fault| fault.at(path));
        let done = result.as_ref().map(drop).map_err(Clone::clone);
        self.result = Some(result);
        done
    }

    fn answer(self: Box<Self>, committed: Result<()>) {
        let Self { result, answer, reader, .. } = *self;
        drop(reader);
        // The receiver may be dropped.
        let _ = match (committed, result) {
            (Err(error), _) => answer.send(Err(error)),
            (Ok(()), Some(result)) => answer.send(result),
            (Ok(()), None) => Ok(()),
        };
    }
}

/// The state of a database thread.
struct DatabaseThread {
    connection: Connection,
    path: PathBuf,
    notifier: Arc<WakeupNotifier>,
}

impl DatabaseThread {
    /// Runs reads, each in a transaction of its own, until the channel is closed.
    fn run_reads(self, waiting: &Mutex<mpsc::Receiver<Box<dyn DatabaseJob>>>) {
        loop {
            // The idle reader that waits for the next job holds the lock.
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
            let Some(job) = next else { return };
            let mut jobs = [job];
            let done = self.transaction("BEGIN", &mut jobs).map(drop);
            let [job] = jobs;
            job.answer(done);
        }
    }

    /// Runs writes, all that wait in one transaction, until the channel is closed.
    fn run_writes(self, mut waiting: mpsc::Receiver<Box<dyn DatabaseJob>>) {
        while let Some(first) = waiting.blocking_recv() {
            let mut jobs = vec![first];
            while jobs.len() < MAX_JOBS_PER_TRANSACTION
                && let Ok(job) = waiting.try_recv()
            {
                jobs.push(job);
            }
            let committed = self.transaction("BEGIN IMMEDIATE", &mut jobs);
            let outcome = committed.as_ref().map(drop).map_err(Clone::clone);
            for job in jobs {
                job.answer(outcome.clone());
            }
            if let Ok(changes) = committed {
                self.notifier.notify(changes);
            }
        }
    }

    /// Runs jobs in a transaction and commits it.
    fn transaction(&self, begin: &str, jobs: &mut [Box<dyn DatabaseJob>]) -> Result<Changes> {
        self.execute(begin)?;
        let done = self.run_all(jobs).and_then(|changes| self.execute("COMMIT").map(|()| changes));
        if !self.connection.is_autocommit() {
            self.execute("ROLLBACK")?;
        }
        done
    }

    fn run_all(&self, jobs: &mut [Box<dyn DatabaseJob>]) -> Result<Changes> {
        let mut changes = Changes::new();
        for job in jobs {
            let mut own = Changes::new();
            self.execute("SAVEPOINT job")?;
            match job.run(&self.connection, &mut own, &self.path) {
                Ok(()) => changes.append(&mut own),
                // Some errors, e.g. a full disk, roll the whole transaction back.
                Err(error) if self.connection.is_autocommit() => return Err(error),
                Err(_) => self.execute("ROLLBACK TO job")?,
            }
            self.execute("RELEASE job")?;
        }
        Ok(changes)
    }

    fn execute(&self, sql: &str) -> Result<()> {
        let done = self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        done.map(drop).map_err(|error| TransactionError::from(error).at(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use quire_fair_share::with_tenant;

    use super::*;

    fn database() -> (tempfile::TempDir, Database) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let notifier = Arc::new(WakeupNotifier::bind(dir.path()));
        let database = Database::open(&dir.path().join("quire.db"), notifier).expect("a database");
        (dir, database)
    }

    fn insert(connection: &Connection, group: &str) -> Result<(), TransactionError> {
        let sql = "INSERT INTO turns (queue, grp, served) VALUES ('q', ?1, 1)";
        connection.prepare_cached(sql)?.execute([group])?;
        Ok(())
    }

    async fn groups(database: &Database) -> i64 {
        let count = |connection: &Connection| {
            Ok(connection.query_row("SELECT count(*) FROM turns", [], |row| row.get::<_, i64>(0))?)
        };
        database.read(count).await.expect("read")
    }

    /// Starts reads of a tenant that do not end before the returned channel is closed, and waits until `running` run.
    async fn start_endless_reads(
        database: &Arc<Database>,
        tenant: &'static str,
        count: usize,
        running: usize,
    ) -> std::sync::mpsc::Sender<()> {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let ended = Arc::new(Mutex::new(ended));
        let (started, mut starts) = mpsc::channel(count);
        for _ in 0..count {
            let (database, ended, started) = (Arc::clone(database), Arc::clone(&ended), started.clone());
            let read = async move {
                database
                    .read(move |_| {
                        started.try_send(()).expect("there is room for all");
                        // Returns when the other side is dropped.
                        let _ = ended.lock().expect("no panic").recv();
                        Ok(())
                    })
                    .await
            };
            tokio::spawn(with_tenant(tenant, read));
        }
        for _ in 0..running {
            starts.recv().await.expect("it starts");
        }
        end
    }

    #[tokio::test]
    async fn reads_of_one_tenant_do_not_block_those_of_another_nor_writes() {
        let (_dir, database) = database();
        let database = Arc::new(database);
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let running = processors.min(MAX_READS_PER_TENANT);
        let end = start_endless_reads(&database, "a", 50, running).await;
        for round in 0..10 {
            let group = format!("group {round}");
            let write = database.write(move |connection, _| insert(connection, &group));
            with_tenant("b", write).await.expect("written");
            assert_eq!(with_tenant("b", groups(&database)).await, round + 1, "a read sees every commit before it");
        }
        drop(end);
    }

    #[tokio::test]
    async fn a_failed_job_is_rolled_back_alone() {
        let (_dir, database) = database();
        let good = database.write(|connection, _| insert(connection, "good"));
        let bad = database.write(|connection, _| {
            insert(connection, "bad")?;
            insert(connection, "bad")
        });
        let late = database.write(|connection, _| insert(connection, "late"));
        let (good, bad, late) = tokio::join!(good, bad, late);
        assert!(good.is_ok() && late.is_ok());
        assert!(matches!(bad, Err(Error::Failed { .. })), "{bad:?}");
        assert_eq!(groups(&database).await, 2);
    }

    #[tokio::test]
    async fn a_rolled_back_transaction_fails_all_its_jobs() {
        let (_dir, database) = database();
        // The test has one thread, so that all three jobs are queued before the first one runs, or it runs alone.
        let before = database.write(|connection, _| insert(connection, "before"));
        let breaks = database.write(|connection, _| {
            connection.execute_batch("ROLLBACK")?;
            Err::<(), _>(TransactionError::not_found(&"anything"))
        });
        let (before, breaks) = tokio::join!(before, breaks);
        assert!(matches!(breaks, Err(Error::NotFound { .. })));
        assert_eq!(groups(&database).await, i64::from(before.is_ok()), "the result is that of the commit");
        database.write(|connection, _| insert(connection, "after")).await.expect("the database still works");
    }

    #[tokio::test]
    async fn a_job_with_a_dropped_future_is_not_run() {
        let (_dir, database) = database();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let busy = database.write(move |_, _| Ok(wait.recv().is_ok()));
        let mut busy = std::pin::pin!(busy);
        let mut abandoned = Box::pin(database.write(|connection, _| insert(connection, "abandoned")));
        for _ in 0..2 {
            tokio::select! {
                biased;
                _ = &mut busy => panic!("it is busy"),
                _ = &mut abandoned => panic!("it waits"),
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        }
        drop(abandoned);
        go.send(()).expect("the thread waits");
        assert!(busy.await.expect("committed"));
        assert_eq!(groups(&database).await, 0);
    }
}
