//! Limits and timeouts of one worker, and their environment variables.

use std::{ops::RangeInclusive, path::Path, time::Duration};

use anyhow::Context;
use quire_pp_ocr::{BatchPolicy, Provider};
use quire_telemetry::env::{self, Misconfigured};

const PAGES_VARIABLE: &str = "QUIRE_PAGES_IN_HAND";
const POLICY_VARIABLE: &str = "QUIRE_POLICY";
const PIXELS_VARIABLE: &str = "QUIRE_PIXELS_IN_HAND";
/// One page is read, one is ready, the others are being rendered or stored: enough for an engine that reads page by
/// page.
const MIN_PAGES: u32 = 4;
/// Four A4 pages at 200 dpi are 15.5 million pixels, 46 MB.
const MIN_PIXELS: u32 = 24_000_000;
/// An A4 page at 200 dpi, rounded up.
const ROUNDED_PAGE_PIXELS: u32 = 4_000_000;
/// 1.8 GB of pixels.
const MAX_PIXELS: u32 = 600_000_000;

/// Limits and timeouts of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerSettings {
    /// Pages leased at once. Default: enough to keep the engines busy.
    pub max_pages_in_flight: Option<u32>,
    /// Pixels rendered and not yet read, 3 bytes each. Default: enough for that many A4 pages at 200 dpi, at most 600
    /// million. A single page may exceed it, so that a large page is not stuck forever. Note: a page with a possible
    /// fallback is held twice while a local engine reads it.
    pub max_pixels_in_flight: Option<u32>,
    /// Timeout for reading one page. A worker that exceeds it must end.
    pub page_timeout: Duration,
    /// How long a shutdown waits for the pages in flight before it releases the rest.
    pub drain_timeout: Duration,
    /// Delay before the first retry of a page whose engine did not respond; four times as long each further time.
    pub backoff: Duration,
}

/// How much one worker holds at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InFlightLimits {
    pub(crate) pages: u32,
    pub(crate) pixels: u32,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            max_pages_in_flight: None,
            max_pixels_in_flight: None,
            page_timeout: Duration::from_mins(2),
            // ECS kills a container at most 120 s after SIGTERM, and releasing the leases takes seconds.
            drain_timeout: Duration::from_secs(100),
            // 15 s, then 1, 4 and 10 minutes. With the engine's own retries, a server may be away for 15 minutes before
            // a page that is always the one to probe it becomes a dead letter.
            backoff: Duration::from_secs(15),
        }
    }
}

/// Returns the batching policy of this provider: its defaults, with the fields of the file named by `QUIRE_POLICY`
/// replaced, if it is set ([`BatchPolicy::from_file`]).
///
/// # Errors
/// When the file cannot be read or a field is invalid; the error names the field.
pub fn policy_from_env(provider: Provider) -> anyhow::Result<BatchPolicy> {
    match env::text(POLICY_VARIABLE)? {
        Some(file) => BatchPolicy::from_file(provider, Path::new(&file)).context(POLICY_VARIABLE),
        None => Ok(BatchPolicy::for_provider(provider)),
    }
}

/// Returns the value of an environment variable, if it is set.
fn optional_within(name: &'static str, range: RangeInclusive<u32>) -> Result<Option<u32>, Misconfigured> {
    match env::text(name)? {
        Some(_) => env::within(name, 0, range).map(Some),
        None => Ok(None),
    }
}

impl WorkerSettings {
    /// Reads `QUIRE_PAGES_IN_HAND` (1 to 2048), `QUIRE_PIXELS_IN_HAND` (1 to 1,000 million), `QUIRE_PAGE_LIMIT_SECS` (1
    /// to 3600; default: 120) and `QUIRE_DRAIN_SECS` (1 to 3600; default: 100).
    ///
    /// # Errors
    /// [`Misconfigured`] when a value is out of its range.
    pub fn from_env() -> Result<Self, Misconfigured> {
        let default = Self::default();
        Ok(Self {
            max_pages_in_flight: optional_within(PAGES_VARIABLE, 1..=2048)?,
            max_pixels_in_flight: optional_within(PIXELS_VARIABLE, 1_000_000..=1_000_000_000)?,
            page_timeout: env::secs_within("QUIRE_PAGE_LIMIT_SECS", default.page_timeout.as_secs(), 1..=3600)?,
            drain_timeout: env::secs_within("QUIRE_DRAIN_SECS", default.drain_timeout.as_secs(), 1..=3600)?,
            backoff: default.backoff,
        })
    }

    /// Returns the limits for engines of which the largest needs `target_pages` in flight.
    pub(crate) fn in_flight_limits(&self, target_pages: u32) -> InFlightLimits {
        let pages = self.max_pages_in_flight.unwrap_or_else(|| target_pages.max(MIN_PAGES));
        let default_pixels = pages.saturating_mul(ROUNDED_PAGE_PIXELS).clamp(MIN_PIXELS, MAX_PIXELS);
        InFlightLimits { pages, pixels: self.max_pixels_in_flight.unwrap_or(default_pixels) }
    }

    /// Returns how long a lease is extended at most: the time for all pages ahead of a page and for itself, with both
    /// of its engines, at the page timeout.
    pub(crate) fn max_lease(&self, pages_in_flight: u32) -> Duration {
        self.page_timeout * (pages_in_flight + 2)
    }

    /// Returns the delay before the retry that follows the given attempt, counted from 1.
    pub(crate) fn backoff(&self, attempt: u32) -> Duration {
        self.backoff * 4_u32.pow(attempt.saturating_sub(1).min(3)).min(40)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_grow_with_the_engines_target() {
        let settings = WorkerSettings::default();
        assert_eq!(settings.in_flight_limits(1), InFlightLimits { pages: 4, pixels: 24_000_000 });
        assert_eq!(settings.in_flight_limits(18), InFlightLimits { pages: 18, pixels: 72_000_000 });
        assert_eq!(settings.in_flight_limits(1026), InFlightLimits { pages: 1026, pixels: 600_000_000 });
        let max_pixels_in_flight = Some(1_000_000);
        let configured = WorkerSettings { max_pages_in_flight: Some(2), max_pixels_in_flight, ..settings };
        assert_eq!(configured.in_flight_limits(18), InFlightLimits { pages: 2, pixels: 1_000_000 });
    }

    #[test]
    fn the_backoff_grows_up_to_ten_minutes() {
        let delays: Vec<u64> = (1..=6).map(|attempt| WorkerSettings::default().backoff(attempt).as_secs()).collect();
        assert_eq!(delays, [15, 60, 240, 600, 600, 600]);
    }
}
