//! Output of the operator's commands: tab-separated rows, and timestamps.

use std::io::{self, Write};

use anyhow::Context;
use jiff::Timestamp;
use quire_tasks::UnixMillis;
use quire_telemetry::terminal::{escape_json, escape_line, escape_text};
use serde::Serialize;

/// The cell for an unknown value.
pub(crate) const UNKNOWN: &str = "-";

/// Formats a cell whose value may be unknown.
pub(crate) fn cell_or_unknown(value: Option<String>) -> String {
    value.unwrap_or_else(|| UNKNOWN.to_owned())
}

/// Prints rows to standard output, with escaped control characters. A closed pipe is not an error.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn print(rows: &[String]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    accept_closed_pipe(rows.iter().try_for_each(|row| writeln!(out, "{}", escape_line(row))))
}

/// Prints a value as JSON to standard output. A closed pipe is not an error.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(value)?;
    accept_closed_pipe(writeln!(io::stdout().lock(), "{}", escape_json(&json)))
}

/// Prints a remark as one line to standard error, with escaped control characters.
pub(crate) fn report(message: &str) {
    // Standard error may be closed.
    let _ = writeln!(io::stderr(), "quire: {}", escape_line(message));
}

/// Prints an error to standard error, with escaped control characters. It may have several lines, e.g. of a log.
pub(crate) fn report_error(error: &anyhow::Error) {
    let _ = writeln!(io::stderr(), "quire: {}", escape_text(&format!("{error:#}")));
}

fn accept_closed_pipe(printed: io::Result<()>) -> anyhow::Result<()> {
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
