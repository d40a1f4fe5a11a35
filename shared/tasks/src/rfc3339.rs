//! Times as RFC 3339 texts.

use jiff::Timestamp;

use crate::UnixMillis;

impl UnixMillis {
    /// Returns the time as RFC 3339 in UTC, or `None` if it is outside the years -9999 to 9999.
    ///
    /// ```
    /// use quire_tasks::UnixMillis;
    ///
    /// assert_eq!(UnixMillis(1_700_000_000_123).to_rfc3339().as_deref(), Some("2023-11-14T22:13:20.123Z"));
    /// ```
    pub fn to_rfc3339(self) -> Option<String> {
        Timestamp::from_millisecond(self.0).ok().map(|time| time.to_string())
    }
}
