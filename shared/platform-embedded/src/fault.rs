//! Errors inside a transaction.

use std::path::Path;

use quire_platform::Error;
use rusqlite::{ErrorCode, ffi::Error as SqliteCode};

/// An error inside a transaction, before the database file is known.
#[derive(Debug)]
pub(crate) enum TransactionError {
    /// An error of SQLite.
    Sqlite(rusqlite::Error),
    /// A row cannot be parsed or serialized.
    Record(serde_json::Error),
    /// The row does not exist.
    Missing(String),
    /// Any other error.
    Other(String),
}

impl TransactionError {
    /// Returns the error for a missing row.
    pub(crate) fn not_found(what: &impl ToString) -> Self {
        Self::Missing(what.to_string())
    }

    /// Converts to the port's error. The messages of SQLite contain no values, but those of serde do, so they are left
    /// out.
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
                Some(ErrorCode::ReadOnly) => failed("it is read-only".to_owned()),
                _ => failed(error.to_string()),
            },
        }
    }
}

impl From<rusqlite::Error> for TransactionError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<serde_json::Error> for TransactionError {
    fn from(error: serde_json::Error) -> Self {
        Self::Record(error)
    }
}
