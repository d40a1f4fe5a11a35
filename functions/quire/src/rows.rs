//! Output of the operator's commands: tab-separated rows, and timestamps.

use std::io::{self, Write};

use anyhow::Context;
use jiff::Timestamp;
use quire_tasks::UnixMillis;

/// The cell for an unknown value.
pub(crate) const UNKNOWN: &str = "-";

/// Formats a cell whose value may be unknown.
pub(crate) fn cell_or_unknown(value: Option<String>) -> String {
    value.unwrap_or_else(|| UNKNOWN.to_owned())
}

/// Prints rows to standard output. A closed pipe is not an error.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn print(rows: &[String]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let printed = rows.iter().try_for_each(|row| writeln!(out, "{row}"));
    match printed {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("cannot write to standard output"),
    }
}

/// Formats a time in UTC, to the second (RFC 3339).
pub(crate) fn format_time(at: UnixMillis) -> String {
    match Timestamp::from_millisecond(at.0) {
        Ok(time) => format!("{time:.0}"),
        Err(_) => at.0.to_string(),
    }
}
