//! The database: a thread with a connection for writes, and one for reads.
//!
//! Group commit: a durable commit costs one disk sync, however many changes it contains. The write thread runs all jobs
//! that arrived during the last commit in one transaction, each in a savepoint of its own, and replies after the
//! commit. Reads do not wait for the sync: in WAL mode they see the last commit.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

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

type JobSender = mpsc::Sender<Box<dyn DatabaseJob>>;

/// The channels to the threads that own the connections.
#[derive(Debug)]
pub(crate) struct Database {
    writes: JobSender,
    reads: JobSender,
    notifier: Arc<WakeupNotifier>,
}

impl Database {
    /// Opens the database file and creates it if it does not exist.
    pub(crate) fn open(path: &Path, notifier: Arc<WakeupNotifier>) -> Result<Self> {
        let writes = start(path, &notifier, "quire-database")?;
        let reads = start(path, &notifier, "quire-reads")?;
        Ok(Self { writes, reads, notifier })
    }

    /// Runs a read. It sees everything that was committed before.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, TransactionError> + Send + 'static,
    ) -> Result<T> {
        self.run(&self.reads, false, |connection, _| work(connection)).await
    }

    /// Runs a write in a transaction, which reports its changes for the wake-up. Durable once it has returned `Ok`.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &mut Changes) -> Result<T, TransactionError> + Send + 'static,
    ) -> Result<T> {
        self.run(&self.writes, true, work).await
    }

    /// Subscribes to changes by any process.
    pub(crate) fn listen(&self) -> ChangeListener {
        self.notifier.listen()
    }

    async fn run<T, W>(&self, jobs: &JobSender, writes: bool, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connection, &mut Changes) -> Result<T, TransactionError> + Send + 'static,
    {
        let gone = || Error::Failed { what: "database", why: "its thread has ended".to_owned() };
        let (answer, answered) = oneshot::channel();
        let call = DatabaseCall { work: Some(work), result: None, answer, writes };
        jobs.send(Box::new(call)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// Starts a thread that owns a connection, and returns the channel to it.
fn start(path: &Path, notifier: &Arc<WakeupNotifier>, name: &str) -> Result<JobSender> {
    let connection = connect(path)?;
    let (jobs, waiting) = mpsc::channel(JOB_CHANNEL_CAPACITY);
    let owner = DatabaseThread { connection, path: path.to_owned(), notifier: Arc::clone(notifier) };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || owner.run_jobs(waiting))
        .map_err(|error| Error::Failed { what: "database", why: format!("its thread cannot start: {error}") })?;
    Ok(jobs)
}

/// A call that waits for its transaction.
trait DatabaseJob: Send {
    /// Returns whether the job may write.
    fn writes(&self) -> bool;

    /// Runs the job. An error rolls its savepoint back.
    fn run(&mut self, connection: &Connection, changes: &mut Changes, path: &Path) -> Result<()>;

    /// Replies with the job's result, or with the error of the commit.
    fn answer(self: Box<Self>, committed: Result<()>);
}

struct DatabaseCall<T, W> {
    work: Option<W>,
    result: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
    writes: bool,
}

impl<T, W> DatabaseJob for DatabaseCall<T, W>
where
    T: Send,
    W: FnOnce(&Connection, &mut Changes) -> Result<T, TransactionError> + Send,
{
    fn writes(&self) -> bool {
        self.writes
    }

    fn run(&mut self, connection: &Connection, changes: &mut Changes, path: &Path) -> Result<()> {
        // The future was dropped: e.g. a lease would have no holder.
        let Some(work) = self.work.take().filter(|_| !self.answer.is_closed()) else { return Ok(()) };
        let result = work(connection, changes).map_err(|fault| fault.at(path));
        let done = result.as_ref().map(drop).map_err(Clone::clone);
        self.result = Some(result);
        done
    }

    fn answer(self: Box<Self>, committed: Result<()>) {
        let Self { result, answer, .. } = *self;
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
    fn run_jobs(self, mut waiting: mpsc::Receiver<Box<dyn DatabaseJob>>) {
        while let Some(first) = waiting.blocking_recv() {
            let mut jobs = vec![first];
            while jobs.len() < MAX_JOBS_PER_TRANSACTION
                && let Ok(job) = waiting.try_recv()
            {
                jobs.push(job);
            }
            let committed = self.commit_together(&mut jobs);
            let outcome = committed.as_ref().map(drop).map_err(Clone::clone);
            for job in jobs {
                job.answer(outcome.clone());
            }
            if let Ok(changes) = committed {
                self.notifier.notify(changes);
            }
        }
    }

    fn commit_together(&self, jobs: &mut [Box<dyn DatabaseJob>]) -> Result<Changes> {
        let writes = jobs.iter().any(|job| job.writes());
        self.execute(if writes { "BEGIN IMMEDIATE" } else { "BEGIN" })?;
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
