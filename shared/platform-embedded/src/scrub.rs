//! Removes deleted content from the files of the database.
//!
//! SQLite overwrites a deleted row in the database file (`secure_delete`), but two kinds of copies remain. The log
//! (`quire.db-wal`) keeps all earlier versions of a row until it is reused: it is copied into the database and
//! truncated before a deletion returns. And when a page of the database is split, the unallocated part of the page may
//! keep a copy of a row that has moved: after deletions, the database is rebuilt (`VACUUM`) from time to time.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use quire_platform::{Error, Result};
use rusqlite::Connection;
use tokio::sync::oneshot;
use tracing::{debug, warn};

use crate::{connection::connect, fault::TransactionError, reserve::Reserve};

/// The minimum time from one truncation of the log to the next. Deletions in between share one. A truncation takes
/// about as long as a commit.
const MIN_INTERVAL: Duration = Duration::from_millis(50);
/// How long a truncation waits for readers and for a writer, during which others cannot write.
const LOCK_TIMEOUT: Duration = Duration::from_millis(50);
/// How long a deletion waits for its truncation. After that a reader is stuck; the truncation is retried without it.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// The interval at which a truncation or the reserve is retried.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// The time from a deletion to the rebuild.
const REBUILD_DELAY: Duration = Duration::from_mins(1);
/// The minimum time between two rebuilds, in durations of the last one: the share of time in which others wait.
const REBUILD_FACTOR: u32 = 200;
/// The largest database that is rebuilt, in bytes: a rebuild needs as much memory, and takes about a second.
const MAX_REBUILD_BYTES: i64 = 64 * 1024 * 1024;

/// Truncates the log after deletions. It starts its thread when it is first needed.
#[derive(Debug)]
pub(crate) struct Scrubber {
    path: PathBuf,
    reserve: Arc<Reserve>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<oneshot::Sender<()>>,
    started: bool,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scrubber {
    pub(crate) fn new(path: &Path, reserve: Arc<Reserve>) -> Self {
        Self { path: path.to_owned(), reserve, shared: Arc::default() }
    }

    /// Removes from the log what was deleted before. Returns after a few milliseconds, or after 5 s if a reader blocks
    /// the log; it is then removed as soon as the reader has ended.
    pub(crate) async fn scrub(&self) -> Result<()> {
        let (done, answered) = oneshot::channel();
        {
            let mut state = self.shared.lock();
            state.waiting.push(done);
            if !state.started {
                self.start()?;
                state.started = true;
            }
        }
        self.shared.changed.notify_one();
        // Without an answer the thread has ended, which it logs.
        let _ = answered.await;
        Ok(())
    }

    fn start(&self) -> Result<()> {
        let thread = ScrubThread {
            path: self.path.clone(),
            reserve: Arc::clone(&self.reserve),
            shared: Arc::clone(&self.shared),
            waiting: Vec::new(),
            owed_since: None,
            last_truncation: None,
            rebuild_at: None,
            next_rebuild: Instant::now(),
        };
        let spawned = thread::Builder::new().name("quire-scrub".to_owned()).spawn(move || thread.run());
        let failed = |error: std::io::Error| Error::Failed { what: "database", why: error.to_string() };
        spawned.map(drop).map_err(failed)
    }
}

impl Drop for Scrubber {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
    }
}

struct ScrubThread {
    path: PathBuf,
    reserve: Arc<Reserve>,
    shared: Arc<Shared>,
    /// Deletions that wait for the truncation that is owed.
    waiting: Vec<oneshot::Sender<()>>,
    /// When the oldest deletion that is still in the log was reported.
    owed_since: Option<Instant>,
    last_truncation: Option<Instant>,
    rebuild_at: Option<Instant>,
    next_rebuild: Instant,
}

impl ScrubThread {
    fn run(mut self) {
        let connection = match open(&self.path) {
            Ok(connection) => connection,
            Err(error) => {
                warn!(%error, "cannot open the database to remove deleted content from its log");
                let mut state = self.shared.lock();
                state.started = false;
                state.waiting.clear();
                return;
            }
        };
        while self.wait() {
            if self.owed_since.is_some() {
                self.truncate(&connection);
            }
            if self.rebuild_at.is_some_and(|at| at <= Instant::now()) {
                self.rebuild(&connection);
            }
            if self.owed_since.is_none() {
                self.reserve.refill();
            }
        }
        if self.owed_since.is_some() {
            self.truncate(&connection);
        }
    }

    /// Waits until there is something to do. Returns whether to continue.
    fn wait(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let limit = match (self.owed_since, self.rebuild_at) {
            (Some(_), _) => RETRY_INTERVAL,
            (None, Some(at)) => at.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)),
            (None, None) => REBUILD_DELAY,
        };
        if state.waiting.is_empty() && !state.closed {
            state = shared.changed.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0;
        }
        if !state.waiting.is_empty() {
            self.waiting.append(&mut state.waiting);
            self.owed_since.get_or_insert_with(Instant::now);
        }
        !state.closed
    }

    fn truncate(&mut self, connection: &Connection) {
        if let Some(rest) = self.last_truncation.and_then(|last| MIN_INTERVAL.checked_sub(last.elapsed())) {
            thread::sleep(rest);
            // Those that came in the meantime share this truncation.
            self.waiting.append(&mut self.shared.lock().waiting);
        }
        self.last_truncation = Some(Instant::now());
        match truncate_log(connection) {
            Ok(true) => {
                self.owed_since = None;
                let delayed = Instant::now() + REBUILD_DELAY;
                self.rebuild_at.get_or_insert(delayed.max(self.next_rebuild));
            }
            Ok(false) => debug!("a reader or a writer delays the truncation of the database's log"),
            Err(error) => debug!(error = %error.at(&self.path), "cannot truncate the database's log; retrying"),
        }
        let is_late = self.owed_since.is_some_and(|since| since.elapsed() >= MAX_WAIT);
        if is_late && !self.waiting.is_empty() {
            warn!("the log of the database cannot be truncated yet: it keeps deleted content until a reader ends");
        }
        if is_late || self.owed_since.is_none() {
            // The receiver may be dropped.
            self.waiting.drain(..).for_each(|done| done.send(()).unwrap_or_default());
        }
    }

    fn rebuild(&mut self, connection: &Connection) {
        self.rebuild_at = None;
        let started = Instant::now();
        match rebuild(connection) {
            Ok(true) => {
                // The log now has the whole database.
                self.owed_since.get_or_insert(started);
                self.truncate(connection);
                self.rebuild_at = None;
            }
            Ok(false) => debug!("the database is too large to be rebuilt after deletions"),
            Err(error) => debug!(error = %error.at(&self.path), "cannot rebuild the database; retrying later"),
        }
        self.next_rebuild = Instant::now() + started.elapsed() * REBUILD_FACTOR;
    }
}

fn open(path: &Path) -> Result<Connection> {
    let connection = connect(path)?;
    let at = |error: rusqlite::Error| TransactionError::from(error).at(path);
    connection.busy_timeout(LOCK_TIMEOUT).map_err(at)?;
    // A rebuild copies the database, which must not go to a temporary folder.
    connection.pragma_update(None, "temp_store", "memory").map_err(at)?;
    Ok(connection)
}

/// Copies the log into the database and truncates it. Returns whether it is empty.
fn truncate_log(connection: &Connection) -> Result<bool, TransactionError> {
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(busy == 0)
}

/// Rebuilds the database unless it is too large. Returns whether it was rebuilt.
fn rebuild(connection: &Connection) -> Result<bool, TransactionError> {
    let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
    let page_bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    if pages.saturating_mul(page_bytes) > MAX_REBUILD_BYTES {
        return Ok(false);
    }
    connection.execute_batch("VACUUM")?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;

    fn database() -> (tempfile::TempDir, PathBuf, Connection) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("quire.db");
        let connection = connect(&path).expect("a database");
        (dir, path, connection)
    }

    fn log_bytes(path: &Path) -> u64 {
        path.with_extension("db-wal").metadata().map_or(0, |log| log.len())
    }

    #[tokio::test]
    async fn concurrent_deletions_share_a_truncation_and_find_the_log_empty() {
        let (dir, path, connection) = database();
        let scrubber = Arc::new(Scrubber::new(&path, Arc::new(Reserve::open(dir.path()))));
        connection.execute("INSERT INTO turns (queue, grp, served) VALUES ('q', 'secret', 1)", []).expect("a row");
        assert!(log_bytes(&path) > 0);
        let started = Instant::now();
        let mut deletions = JoinSet::new();
        for _ in 0..500 {
            let scrubber = Arc::clone(&scrubber);
            deletions.spawn(async move { scrubber.scrub().await });
        }
        assert!(deletions.join_all().await.iter().all(Result::is_ok));
        assert_eq!(log_bytes(&path), 0);
        assert!(started.elapsed() < MIN_INTERVAL * 500 / 2, "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn a_reader_delays_the_truncation_until_it_ends() {
        let (dir, path, connection) = database();
        let scrubber = Scrubber::new(&path, Arc::new(Reserve::open(dir.path())));
        let reader = connect(&path).expect("a reader");
        reader.execute_batch("BEGIN; SELECT count(*) FROM turns;").expect("a read");
        connection.execute("INSERT INTO turns (queue, grp, served) VALUES ('q', 'secret', 1)", []).expect("a row");
        let mut scrubbing = std::pin::pin!(scrubber.scrub());
        assert!(tokio::time::timeout(Duration::from_millis(300), &mut scrubbing).await.is_err(), "a reader is there");
        assert!(log_bytes(&path) > 0);
        reader.execute_batch("COMMIT").expect("the read ends");
        scrubbing.await.expect("scrubbed");
        assert_eq!(log_bytes(&path), 0);
    }

    #[test]
    fn a_rebuild_leaves_no_copy_of_a_deleted_row() {
        let (_dir, path, connection) = database();
        let insert = "INSERT OR REPLACE INTO turns (queue, grp, served) VALUES (?1, ?2, 1)";
        // Rows that grow in any order split pages.
        for number in 0..2000_usize {
            let key = (number * 7919 % 2000).to_string();
            connection.execute(insert, [&key, &format!("SECRET{}", "x".repeat(number % 700))]).expect("a row");
        }
        connection.execute("DELETE FROM turns", []).expect("deleted");
        assert!(rebuild(&connection).expect("rebuilt") && truncate_log(&connection).expect("truncated"));
        let bytes = std::fs::read(&path).expect("the database");
        assert!(!bytes.windows(6).any(|found| found == b"SECRET"));
    }
}
