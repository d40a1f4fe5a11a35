//! The wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use quire_tasks::UnixMillis;

/// Returns the current time of this machine. Note: the wall clock may jump; measure durations with `Instant`.
pub fn now() -> UnixMillis {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(since_epoch.as_millis() as i64)
}
