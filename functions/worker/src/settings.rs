//! What a worker may hold and how long.

use std::time::Duration;

use quire_boot::env::{self, Misconfigured};

/// Bounds of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Pages leased at once: one is read, one is ready, the others are being rendered or stored.
    pub pages_in_hand: u32,
    /// Pixels rendered and not yet read. One page more may be under way, so that a large page is not stuck for ever.
    pub pixels_in_hand: u32,
    /// How long rendering, and then reading, a page may take before the worker gives it up and ends.
    pub page_limit: Duration,
    /// How long a stop may take to finish what is in hand before it gives the rest back.
    pub drain_limit: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        // Four A4 pages at 200 dpi are 15.5 million pixels, 46 MB.
        Self {
            pages_in_hand: 4,
            pixels_in_hand: 24_000_000,
            page_limit: Duration::from_mins(2),
            // A container is killed two minutes after it was asked to stop at the latest, and giving back takes seconds.
            drain_limit: Duration::from_secs(100),
        }
    }
}

impl Settings {
    /// From `QUIRE_PAGES_IN_HAND` (1 to 256, 4 unless set), `QUIRE_PIXELS_IN_HAND` (24 million unless set),
    /// `QUIRE_PAGE_LIMIT_SECS` (1 to 3600, 120 unless set) and `QUIRE_DRAIN_SECS` (1 to 3600, 100 unless set).
    ///
    /// # Errors
    /// [`Misconfigured`] when a value is out of its range.
    pub fn from_env() -> Result<Self, Misconfigured> {
        let default = Self::default();
        Ok(Self {
            pages_in_hand: env::within("QUIRE_PAGES_IN_HAND", default.pages_in_hand, 1..=256)?,
            pixels_in_hand: env::within("QUIRE_PIXELS_IN_HAND", default.pixels_in_hand, 1_000_000..=1_000_000_000)?,
            page_limit: env::secs_within("QUIRE_PAGE_LIMIT_SECS", default.page_limit.as_secs(), 1..=3600)?,
            drain_limit: env::secs_within("QUIRE_DRAIN_SECS", default.drain_limit.as_secs(), 1..=3600)?,
        })
    }

    /// How long a lease is kept alive at most: all that may be ahead of a page, and itself, at their slowest.
    pub fn longest_lease(&self) -> Duration {
        self.page_limit * (self.pages_in_hand + 1)
    }
}
