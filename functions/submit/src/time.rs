//! The clock, and RFC 3339 formatting of its times.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use quire_tasks::UnixMillis;

/// Returns the current time.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(since.as_millis() as i64)
}

/// Formats a time as RFC 3339. A time beyond the calendar's range becomes the epoch.
pub(crate) fn rfc3339(time: UnixMillis) -> String {
    checked_rfc3339(time).unwrap_or_else(|| Timestamp::UNIX_EPOCH.to_string())
}

/// Formats a time as RFC 3339; returns `None` if it is beyond the calendar's range.
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
