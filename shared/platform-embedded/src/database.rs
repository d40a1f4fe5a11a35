//! The database: a connection that writes and one that reads, each owned by a thread.
//!
//! A durable commit costs one wait for the disk, however much is in it. So the thread that writes takes all jobs that have
//! come in while it was waiting into its next transaction, each in a savepoint of its own, and answers them after the
//! commit. Whoever only reads does not wait for the disk with them: the write-ahead log shows the last commit.

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
    fault::Fault,
    wakeup::{Bells, Changes, Listener},
};

/// Jobs that wait for their transaction; more than these wait in their callers.
const JOBS_WAITING: usize = 256;
/// Jobs in one transaction: enough to share the disk's wait, few enough to keep the first of them from waiting long.
const JOBS_TOGETHER: usize = 64;

type Jobs = mpsc::Sender<Box<dyn Job>>;

/// The ways to the threads that own the connections.
#[derive(Debug)]
pub(crate) struct Database {
    writes: Jobs,
    reads: Jobs,
    bells: Arc<Bells>,
}

impl Database {
    /// Opens the database in a file, and makes it where there is none.
    pub(crate) fn open(path: &Path, bells: Arc<Bells>) -> Result<Self> {
        let (writes, reads) = (start(path, &bells, "quire-database")?, start(path, &bells, "quire-reads")?);
        Ok(Self { writes, reads, bells })
    }

    /// Reads. Sees everything that was committed before.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        self.run(&self.reads, false, |connection, _| work(connection)).await
    }

    /// Writes, and notes what others may wait for. Once this has returned `Ok`, a power cut changes nothing.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &mut Changes) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        self.run(&self.writes, true, work).await
    }

    /// Starts to listen for changes, by whatever process.
    pub(crate) fn listen(&self) -> Listener {
        self.bells.listen()
    }

    async fn run<T, W>(&self, jobs: &Jobs, writes: bool, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connection, &mut Changes) -> Result<T, Fault> + Send + 'static,
    {
        let gone = || Error::Failed { what: "database", why: "its thread has ended".to_owned() };
        let (answer, answered) = oneshot::channel();
        let call = Call { work: Some(work), result: None, answer, writes };
        jobs.send(Box::new(call)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// Starts a thread that owns a connection; the way to it.
fn start(path: &Path, bells: &Arc<Bells>, name: &str) -> Result<Jobs> {
    let connection = connect(path)?;
    let (jobs, waiting) = mpsc::channel(JOBS_WAITING);
    let owner = Owner { connection, path: path.to_owned(), bells: Arc::clone(bells) };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || owner.work_off(waiting))
        .map_err(|error| Error::Failed { what: "database", why: format!("its thread cannot start: {error}") })?;
    Ok(jobs)
}

/// A call that waits for its transaction.
trait Job: Send {
    /// Whether it may change anything.
    fn writes(&self) -> bool;

    /// Does its work. An error is for the caller, and for whoever must know whether the transaction still stands.
    fn run(&mut self, connection: &Connection, changes: &mut Changes, path: &Path) -> Result<()>;

    /// Tells the caller how it ended: as `committed` says, or as the work itself did.
    fn answer(self: Box<Self>, committed: Result<()>);
}

struct Call<T, W> {
    work: Option<W>,
    result: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
    writes: bool,
}

impl<T, W> Job for Call<T, W>
where
    T: Send,
    W: FnOnce(&Connection, &mut Changes) -> Result<T, Fault> + Send,
{
    fn writes(&self) -> bool {
        self.writes
    }

    fn run(&mut self, connection: &Connection, changes: &mut Changes, path: &Path) -> Result<()> {
        // A caller that has gone no longer wants it done: a lease, say, that nobody would hold.
        let Some(work) = self.work.take().filter(|_| !self.answer.is_closed()) else { return Ok(()) };
        let result = work(connection, changes).map_err(|fault| fault.at(path));
        let done = result.as_ref().map(drop).map_err(Clone::clone);
        self.result = Some(result);
        done
    }

    fn answer(self: Box<Self>, committed: Result<()>) {
        let Self { result, answer, .. } = *self;
        // A caller that has gone needs no answer.
        let _ = match (committed, result) {
            (Err(error), _) => answer.send(Err(error)),
            (Ok(()), Some(result)) => answer.send(result),
            (Ok(()), None) => Ok(()),
        };
    }
}

/// What a thread owns.
struct Owner {
    connection: Connection,
    path: PathBuf,
    bells: Arc<Bells>,
}

impl Owner {
    fn work_off(self, mut waiting: mpsc::Receiver<Box<dyn Job>>) {
        while let Some(first) = waiting.blocking_recv() {
            let mut jobs = vec![first];
            while jobs.len() < JOBS_TOGETHER
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
                self.bells.ring(changes);
            }
        }
    }

    fn commit_together(&self, jobs: &mut [Box<dyn Job>]) -> Result<Changes> {
        let writes = jobs.iter().any(|job| job.writes());
        self.execute(if writes { "BEGIN IMMEDIATE" } else { "BEGIN" })?;
        let done = self.run_all(jobs).and_then(|changes| self.execute("COMMIT").map(|()| changes));
        if !self.connection.is_autocommit() {
            self.execute("ROLLBACK")?;
        }
        done
    }

    fn run_all(&self, jobs: &mut [Box<dyn Job>]) -> Result<Changes> {
        let mut changes = Changes::new();
        for job in jobs {
            let mut own = Changes::new();
            self.execute("SAVEPOINT job")?;
            match job.run(&self.connection, &mut own, &self.path) {
                Ok(()) => changes.append(&mut own),
                // Some errors, a full disk's for one, end the whole transaction.
                Err(error) if self.connection.is_autocommit() => return Err(error),
                Err(_) => self.execute("ROLLBACK TO job")?,
            }
            self.execute("RELEASE job")?;
        }
        Ok(changes)
    }

    fn execute(&self, sql: &str) -> Result<()> {
        let done = self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        done.map(drop).map_err(|error| Fault::from(error).at(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn database() -> (tempfile::TempDir, Database) {
        let dir = tempfile::tempdir().expect("a folder");
        let bells = Arc::new(Bells::hang(dir.path()));
        let database = Database::open(&dir.path().join("quire.db"), bells).expect("a database");
        (dir, database)
    }

    fn insert(connection: &Connection, group: &str) -> Result<(), Fault> {
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
    async fn a_job_that_fails_leaves_nothing_and_harms_no_other() {
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
    async fn a_transaction_that_ends_early_fails_all_in_it() {
        let (_dir, database) = database();
        // One thread runs this test, so that all three wait by the time the first is taken up, or it runs alone.
        let before = database.write(|connection, _| insert(connection, "before"));
        let breaks = database.write(|connection, _| {
            connection.execute_batch("ROLLBACK")?;
            Err::<(), _>(Fault::not_found(&"anything"))
        });
        let (before, breaks) = tokio::join!(before, breaks);
        assert!(matches!(breaks, Err(Error::NotFound { .. })));
        assert_eq!(groups(&database).await, i64::from(before.is_ok()), "an answer tells what is so");
        database.write(|connection, _| insert(connection, "after")).await.expect("the database goes on");
    }

    #[tokio::test]
    async fn work_for_a_caller_that_has_gone_is_not_done() {
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
