//! A connection to the database, set up so that what is committed stays.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use quire_platform::Result;
use rusqlite::{Connection, OpenFlags};

use crate::{fault::Fault, schema};

/// How long another process's transaction is waited for. Its own take milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether that transaction has ended. SQLite's own steps go up to 100 ms.
const LOCK_POLL: Duration = Duration::from_millis(1);

/// Opens the database in a file, and makes it where there is none.
pub(crate) fn connect(path: &Path) -> Result<Connection> {
    let at = |fault: Fault| fault.at(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(|error| at(error.into()))?;
    connection
        .busy_handler(Some(|tries: i32| {
            thread::sleep(LOCK_POLL);
            LOCK_POLL * tries.unsigned_abs() < PATIENCE
        }))
        .map_err(|error| at(error.into()))?;
    let started = Instant::now();
    loop {
        match set_up(&mut connection) {
            Ok(()) => return Ok(connection),
            // SQLite does not ask the busy handler while another process switches to the write-ahead log.
            Err(fault) => match at(fault) {
                error if error.is_transient() && started.elapsed() < PATIENCE => thread::sleep(LOCK_POLL),
                error => return Err(error),
            },
        }
    }
}

fn set_up(connection: &mut Connection) -> Result<(), Fault> {
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    // NORMAL would lose accepted tasks in a power cut.
    connection.pragma_update(None, "synchronous", "full")?;
    // Of what is deleted nothing stays in the free parts of the file.
    connection.pragma_update(None, "secure_delete", true)?;
    schema::migrate(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_a_later_version_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("quire.db");
        let later = Connection::open(&path).expect("a database");
        later.pragma_update(None, "user_version", 99).expect("a version");
        let error = connect(&path).expect_err("too new");
        assert!(error.to_string().contains("version 99"), "{error}");
    }

    #[test]
    fn something_else_than_a_database_is_refused_by_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("quire.db");
        std::fs::write(&path, "This is a letter, and quite a long one at that.".repeat(50)).expect("a letter");
        let error = connect(&path).expect_err("a letter");
        assert!(error.to_string().contains("quire.db"), "{error}");
    }
}
