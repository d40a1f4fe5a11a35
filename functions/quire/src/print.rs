//! What the operator's commands print: lines with tabs, and times.

use std::io::{self, Write};

use anyhow::Context;
use jiff::Timestamp;
pub(crate) use quire_platform::now;
use quire_tasks::UnixMillis;

/// Prints lines, as far as anybody reads them.
pub(crate) fn lines(lines: &[String]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let written = lines.iter().try_for_each(|line| writeln!(out, "{line}"));
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("the list could not be printed"),
    }
}

/// A time, to the second.
pub(crate) fn time(at: UnixMillis) -> String {
    Timestamp::from_millisecond(at.0).map_or_else(|_| at.0.to_string(), |time| format!("{time:.0}"))
}
