//! RFC 3339 formatting of times in responses.

use jiff::Timestamp;
use quire_tasks::UnixMillis;

/// Formats a time as RFC 3339. A time beyond the calendar's range becomes the epoch.
pub(crate) fn rfc3339(time: UnixMillis) -> String {
    time.to_rfc3339().unwrap_or_else(|| Timestamp::UNIX_EPOCH.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(rfc3339(UnixMillis(1_700_000_000_123)), "2023-11-14T22:13:20.123Z");
    }
}
