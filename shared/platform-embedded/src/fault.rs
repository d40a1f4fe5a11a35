//! What can go wrong inside a transaction, and what it means to callers.

use std::path::Path;

use quire_platform::Error;
use rusqlite::{ErrorCode, ffi::Error as SqliteCode};

/// An error before it is known to which database it happened.
#[derive(Debug)]
pub(crate) enum Fault {
    /// SQLite's.
    Sqlite(rusqlite::Error),
    /// A record that is not what this program writes.
    Record(serde_json::Error),
    /// There is no such thing.
    Missing(String),
    /// Whatever else it says.
    Other(String),
}

impl Fault {
    /// There is no such thing.
    pub(crate) fn not_found(what: &impl ToString) -> Self {
        Self::Missing(what.to_string())
    }

    /// As callers see it. SQLite's words and SQL hold no values, but those of serde do: they are left out.
    pub(crate) fn at(self, path: &Path) -> Error {
        const WHAT: &str = "database";
        let failed = |why: String| Error::Failed { what: WHAT, why: format!("{}: {why}", path.display()) };
        match self {
            Self::Missing(what) => Error::NotFound { what },
            Self::Other(why) => failed(why),
            Self::Record(error) => {
                failed(format!("a record is malformed at line {}, column {}", error.line(), error.column()))
            }
            Self::Sqlite(error) => match error.sqlite_error().map(|SqliteCode { code, .. }| *code) {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                    Error::Busy { what: WHAT, why: error.to_string() }
                }
                Some(ErrorCode::DiskFull) => Error::Full { what: WHAT },
                Some(ErrorCode::ReadOnly) => failed("it cannot be written to".to_owned()),
                _ => failed(error.to_string()),
            },
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Record(error)
    }
}
