//! The wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use quire_tasks::UnixMillis;

/// Returns the current time of this machine.
pub(crate) fn unix_now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(since.as_millis() as i64)
}
