//! SQLite connections with durable commits.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use quire_platform::Result;
use rusqlite::{Connection, OpenFlags};

use crate::{durable::failure, fault::TransactionError, permissions::create_private_file, schema};

/// The lock timeout: how long to wait for another process's transaction. A transaction takes milliseconds.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// The poll interval while waiting for a lock. SQLite's own intervals grow to 100 ms.
const LOCK_POLL: Duration = Duration::from_millis(1);

/// Opens the database file and creates it if it does not exist.
pub(crate) fn connect(path: &Path) -> Result<Connection> {
    let at = |fault: TransactionError| fault.at(path);
    // SQLite gives its other files (`-wal`, `-shm`, `-journal`) the mode of the database.
    create_private_file(path).map_err(|error| failure("database", &path.display().to_string(), &error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(|error| at(error.into()))?;
    connection
        .busy_handler(Some(|tries: i32| {
            thread::sleep(LOCK_POLL);
            LOCK_POLL * tries.unsigned_abs() < LOCK_TIMEOUT
        }))
        .map_err(|error| at(error.into()))?;
    let started = Instant::now();
    loop {
        match set_up(&mut connection) {
            Ok(()) => return Ok(connection),
            // SQLite does not call the busy handler while another process switches to WAL mode.
            Err(fault) => match at(fault) {
                error if error.is_transient() && started.elapsed() < LOCK_TIMEOUT => thread::sleep(LOCK_POLL),
                error => return Err(error),
            },
        }
    }
}

fn set_up(connection: &mut Connection) -> Result<(), TransactionError> {
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    // The level NORMAL could lose committed transactions in a power failure (SQLite documentation of `synchronous`).
    connection.pragma_update(None, "synchronous", "full")?;
    // Overwrites deleted content with zeros, so that no customer data stays in free pages.
    connection.pragma_update(None, "secure_delete", true)?;
    schema::migrate(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_a_later_version_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("quire.db");
        let later = Connection::open(&path).expect("a database");
        later.pragma_update(None, "user_version", 99).expect("a version");
        let error = connect(&path).expect_err("too new");
        assert!(error.to_string().contains("version 99"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_a_database_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("quire.db");
        std::fs::write(&path, "This is a letter, and quite a long one at that.".repeat(50)).expect("a letter");
        let error = connect(&path).expect_err("a letter");
        assert!(error.to_string().contains("quire.db"), "{error}");
    }
}
