//! What the operator's commands print: lines with tabs, and times.

use std::{
    io::{self, Write},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use jiff::Timestamp;
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

pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(since.as_millis() as i64)
}
