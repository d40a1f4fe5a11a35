//! What a worker may hold and how long.

use std::{path::Path, time::Duration};

use anyhow::Context;
use quire_pp_ocr::{BatchPolicy, Provider};
use quire_telemetry::env::{self, Misconfigured};

const PAGES: &str = "QUIRE_PAGES_IN_HAND";
const POLICY: &str = "QUIRE_POLICY";
const PIXELS: &str = "QUIRE_PIXELS_IN_HAND";
/// One is read, one is ready, the others are being rendered or stored: enough for an engine that reads one page after the
/// other.
const FEWEST_PAGES: u32 = 4;
/// Four A4 pages at 200 dpi are 15.5 million pixels, 46 MB.
const FEWEST_PIXELS: u32 = 24_000_000;
/// A4 at 200 dpi, rounded up.
const PAGE_PIXELS: u32 = 4_000_000;
/// 1.8 GB.
const MOST_PIXELS: u32 = 600_000_000;

/// Bounds of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Pages leased at once; as many as keep the engines busy unless said.
    pub pages_in_hand: Option<u32>,
    /// Pixels rendered and not yet read, 3 bytes each; as many as those pages have at A4 and 200 dpi unless said, up to
    /// 600 million. One page more may be under way, so that a large page is not stuck for ever; and a page for which a
    /// second engine may be asked takes them twice while the first, if it is a local one, reads it.
    pub pixels_in_hand: Option<u32>,
    /// How long rendering, and then reading, a page may take before the worker gives it up and ends.
    pub page_limit: Duration,
    /// How long a stop may take to finish what is in hand before it gives the rest back.
    pub drain_limit: Duration,
    /// When a page is taken up again whose engine did not answer, the first time; four times as long each further time.
    pub back_off: Duration,
}

/// What one worker holds at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InHand {
    pub(crate) pages: u32,
    pub(crate) pixels: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pages_in_hand: None,
            pixels_in_hand: None,
            page_limit: Duration::from_mins(2),
            // A container is killed two minutes after it was asked to stop at the latest, and giving back takes seconds.
            drain_limit: Duration::from_secs(100),
            // 15 s, 1, 4 and 10 minutes: with the engine's own patience, a server may be away for a quarter of an hour
            // before a page that always happens to be the one that asks for it becomes a dead letter.
            back_off: Duration::from_secs(15),
        }
    }
}

/// How this provider's runs and micro-batches are made up: its default, with what the file `QUIRE_POLICY` changes where that
/// is set ([`BatchPolicy::from_file`]).
///
/// # Errors
/// When the file cannot be read or is wrong, with the field's name.
pub fn policy_from_env(provider: Provider) -> anyhow::Result<BatchPolicy> {
    let file = env::text(POLICY)?;
    file.map_or_else(
        || Ok(BatchPolicy::for_provider(provider)),
        |file| BatchPolicy::from_file(provider, Path::new(&file)).context(POLICY),
    )
}

impl Settings {
    /// From `QUIRE_PAGES_IN_HAND` (1 to 2048), `QUIRE_PIXELS_IN_HAND` (1 to 1,000 million), `QUIRE_PAGE_LIMIT_SECS` (1 to
    /// 3600, 120 unless set) and `QUIRE_DRAIN_SECS` (1 to 3600, 100 unless set).
    ///
    /// # Errors
    /// [`Misconfigured`] when a value is out of its range.
    pub fn from_env() -> Result<Self, Misconfigured> {
        let default = Self::default();
        let said = |name, range| env::text(name)?.map(|_| env::within(name, 0, range)).transpose();
        Ok(Self {
            pages_in_hand: said(PAGES, 1..=2048)?,
            pixels_in_hand: said(PIXELS, 1_000_000..=1_000_000_000)?,
            page_limit: env::secs_within("QUIRE_PAGE_LIMIT_SECS", default.page_limit.as_secs(), 1..=3600)?,
            drain_limit: env::secs_within("QUIRE_DRAIN_SECS", default.drain_limit.as_secs(), 1..=3600)?,
            back_off: default.back_off,
        })
    }

    /// What is held for engines of which the hungriest is busy with so many pages.
    pub(crate) fn in_hand(&self, appetite: u32) -> InHand {
        let pages = self.pages_in_hand.unwrap_or_else(|| appetite.max(FEWEST_PAGES));
        let enough = || pages.saturating_mul(PAGE_PIXELS).clamp(FEWEST_PIXELS, MOST_PIXELS);
        InHand { pages, pixels: self.pixels_in_hand.unwrap_or_else(enough) }
    }

    /// How long a lease is kept alive at most: all that may be ahead of a page, and itself, with both of its engines, at
    /// their slowest.
    pub(crate) fn longest_lease(&self, pages_in_hand: u32) -> Duration {
        self.page_limit * (pages_in_hand + 2)
    }

    /// When a page that was taken up `attempt` times is taken up again.
    pub(crate) fn back_off(&self, attempt: u32) -> Duration {
        self.back_off * 4_u32.pow(attempt.saturating_sub(1).min(3)).min(40)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_in_hand_for_engines_that_read_many_pages_at_once() {
        let settings = Settings::default();
        assert_eq!(settings.in_hand(1), InHand { pages: 4, pixels: 24_000_000 });
        assert_eq!(settings.in_hand(18), InHand { pages: 18, pixels: 72_000_000 });
        assert_eq!(settings.in_hand(1026), InHand { pages: 1026, pixels: 600_000_000 });
        let said = Settings { pages_in_hand: Some(2), pixels_in_hand: Some(1_000_000), ..settings };
        assert_eq!(said.in_hand(18), InHand { pages: 2, pixels: 1_000_000 });
    }

    #[test]
    fn each_further_time_is_later_but_not_endlessly() {
        let delays: Vec<u64> = (1..=6).map(|attempt| Settings::default().back_off(attempt).as_secs()).collect();
        assert_eq!(delays, [15, 60, 240, 600, 600, 600]);
    }
}
