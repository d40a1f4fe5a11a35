//! The clock, and how its times are written.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use quire_tasks::UnixMillis;

/// Returns the time now.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(since.as_millis() as i64)
}

/// A time of ours, as RFC 3339 has it.
pub(crate) fn rfc3339(time: UnixMillis) -> String {
    checked_rfc3339(time).unwrap_or_else(|| Timestamp::UNIX_EPOCH.to_string())
}

/// The same, where it lies before the end of the calendar.
pub(crate) fn checked_rfc3339(time: UnixMillis) -> Option<String> {
    Timestamp::from_millisecond(time.0).ok().map(|time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(rfc3339(UnixMillis(1_700_000_000_123)), "2023-11-14T22:13:20.123Z");
    }
}
