//! The circuit breaker of one engine.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use quire_tasks::BreakerState;
use serde::Deserialize;

/// The open time doubles with each failed probe, up to this multiple of the first.
const MAX_OPEN_FACTOR: u32 = 10;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerSettings {
    /// Results older than this do not count, in seconds. Default: 60.
    pub window_secs: u64,
    /// The breaker does not open on fewer results than this. Default: 5.
    pub min_calls: usize,
    /// The share of failures at which the breaker opens, above 0 and at most 1. Default: 0.5.
    pub failure_share: f64,
    /// How long the breaker stays open before a probe, in seconds; twice as long after each failed probe, at most ten
    /// times. Default: 15.
    pub open_secs: f64,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        // A few poisonous pages in a row are not an outage; an outage fails every page.
        Self { window_secs: 60, min_calls: 5, failure_share: 0.5, open_secs: 15.0 }
    }
}

impl BreakerSettings {
    pub(crate) fn validate(&self) -> Result<(), String> {
        let has_counts = self.window_secs > 0 && self.min_calls > 0;
        let has_share = self.failure_share > 0.0 && self.failure_share <= 1.0;
        if has_counts && has_share && (0.1..=3600.0).contains(&self.open_secs) {
            return Ok(());
        }
        Err("breaker: window_secs and min_calls must be at least 1, failure_share above 0 and at most 1, open_secs \
             between 0.1 and 3600"
            .to_owned())
    }
}

/// Whether the engine may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerPermit {
    /// Yes. The result must be recorded with this ticket.
    Go(BreakerTicket),
    /// Not now.
    Wait {
        /// When it may be asked again; `None` while it is paused.
        until: Option<Instant>,
    },
}

/// Identifies one request. A result that arrives after the breaker has changed its state does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerTicket {
    epoch: u64,
    /// Whether this is the probe, whose result closes or opens the breaker.
    pub is_probe: bool,
}

#[derive(Debug)]
enum BreakerPhase {
    Closed,
    Open {
        until: Instant,
    },
    /// With the start of the probe, if one is in flight.
    HalfOpen {
        probing_since: Option<Instant>,
    },
}

/// A circuit breaker: opens when the share of failures in a window is too large, and then lets one probe through from
/// time to time. Pure: time is passed in. Throttling is not a failure: a throttled request is
/// [released](Breaker::release).
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use quire_routes::{Breaker, BreakerPermit, BreakerSettings};
/// use quire_tasks::BreakerState;
///
/// let settings = BreakerSettings { min_calls: 1, open_secs: 15.0, ..BreakerSettings::default() };
/// let mut breaker = Breaker::new(settings);
/// let now = Instant::now();
/// let BreakerPermit::Go(ticket) = breaker.try_acquire(now) else { panic!("a new breaker is closed") };
/// assert!(breaker.record_failure(ticket, now, "connection refused"), "it opens");
///
/// let until = now + Duration::from_secs(15);
/// assert_eq!(breaker.try_acquire(now), BreakerPermit::Wait { until: Some(until) });
/// let BreakerPermit::Go(probe) = breaker.try_acquire(until) else { panic!("a probe is due") };
/// assert!(breaker.record_success(probe, until), "the probe closes it");
/// assert_eq!(breaker.state(until), BreakerState::Closed);
/// ```
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    phase: BreakerPhase,
    is_paused: bool,
    /// Incremented by every change of the phase that makes earlier tickets invalid.
    epoch: u64,
    /// The times of recent results, and whether they were failures.
    results: VecDeque<(Instant, bool)>,
    /// How often the breaker has opened without a success in between.
    openings: u32,
    reason: Option<String>,
}

impl Breaker {
    /// Creates a closed breaker.
    pub const fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            phase: BreakerPhase::Closed,
            is_paused: false,
            epoch: 0,
            results: VecDeque::new(),
            openings: 0,
            reason: None,
        }
    }

    /// Returns the state at this time.
    pub fn state(&self, now: Instant) -> BreakerState {
        match self.phase {
            _ if self.is_paused => BreakerState::Paused,
            BreakerPhase::Closed => BreakerState::Closed,
            BreakerPhase::Open { until } if now < until => BreakerState::Open,
            BreakerPhase::Open { .. } | BreakerPhase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Returns the failure that opened the breaker, while it is not closed.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Asks for permission to use the engine.
    pub fn try_acquire(&mut self, now: Instant) -> BreakerPermit {
        if self.is_paused {
            return BreakerPermit::Wait { until: None };
        }
        match self.phase {
            BreakerPhase::Closed => BreakerPermit::Go(BreakerTicket { epoch: self.epoch, is_probe: false }),
            BreakerPhase::Open { until } if now < until => BreakerPermit::Wait { until: Some(until) },
            // A probe whose result never arrives is waited for no longer than the breaker would stay open.
            BreakerPhase::HalfOpen { probing_since: Some(since) } if now < since + self.open_duration() => {
                BreakerPermit::Wait { until: Some(since + self.open_duration()) }
            }
            BreakerPhase::Open { .. } | BreakerPhase::HalfOpen { .. } => {
                self.epoch += 1;
                self.phase = BreakerPhase::HalfOpen { probing_since: Some(now) };
                BreakerPermit::Go(BreakerTicket { epoch: self.epoch, is_probe: true })
            }
        }
    }

    /// Records that the engine responded. Returns whether this closed the breaker.
    pub fn record_success(&mut self, ticket: BreakerTicket, now: Instant) -> bool {
        if ticket.epoch != self.epoch {
            return false;
        }
        if ticket.is_probe {
            self.close();
            return true;
        }
        self.push_result(now, false);
        false
    }

    /// Records that the engine failed on a page. Returns whether this opened the breaker.
    pub fn record_failure(&mut self, ticket: BreakerTicket, now: Instant, reason: &str) -> bool {
        self.record_failed(ticket, now, reason, false)
    }

    /// Records that the engine cannot be reached. Opens the breaker at once unless the window has a success: no
    /// further page needs to find that out. Returns whether this opened the breaker.
    pub fn record_unreachable(&mut self, ticket: BreakerTicket, now: Instant, reason: &str) -> bool {
        self.record_failed(ticket, now, reason, true)
    }

    fn record_failed(&mut self, ticket: BreakerTicket, now: Instant, reason: &str, is_unreachable: bool) -> bool {
        if ticket.epoch != self.epoch {
            return false;
        }
        if !ticket.is_probe {
            self.push_result(now, true);
            let failures = self.results.iter().filter(|(_, failed)| *failed).count();
            let share = failures as f64 / self.results.len() as f64;
            let only_failures = is_unreachable && failures == self.results.len();
            let too_many = self.results.len() >= self.settings.min_calls && share >= self.settings.failure_share;
            if !only_failures && !too_many {
                return false;
            }
        }
        self.openings += 1;
        self.epoch += 1;
        self.results.clear();
        self.reason = Some(reason.to_owned());
        self.phase = BreakerPhase::Open { until: now + self.open_duration() };
        true
    }

    /// Returns a ticket without a result, e.g. of a throttled request: another page may be the probe.
    pub fn release(&mut self, ticket: BreakerTicket) {
        if !ticket.is_probe || ticket.epoch != self.epoch {
            return;
        }
        if let BreakerPhase::HalfOpen { probing_since } = &mut self.phase {
            *probing_since = None;
        }
    }

    /// Pauses or resumes the engine. Resuming closes the breaker.
    pub fn set_paused(&mut self, is_paused: bool) {
        if self.is_paused && !is_paused {
            self.close();
        }
        self.is_paused = is_paused;
    }

    /// Makes a probe due now, unless the breaker is closed.
    pub fn request_probe(&mut self) {
        if !matches!(self.phase, BreakerPhase::Closed) {
            self.phase = BreakerPhase::HalfOpen { probing_since: None };
        }
    }

    fn close(&mut self) {
        self.epoch += 1;
        self.openings = 0;
        self.results.clear();
        self.reason = None;
        self.phase = BreakerPhase::Closed;
    }

    fn push_result(&mut self, now: Instant, failed: bool) {
        let window = Duration::from_secs(self.settings.window_secs);
        while self.results.pop_front_if(|(at, _)| now.duration_since(*at) > window).is_some() {}
        self.results.push_back((now, failed));
    }

    fn open_duration(&self) -> Duration {
        let factor = 1 << self.openings.saturating_sub(1).min(8);
        Duration::from_secs_f64(self.settings.open_secs) * MAX_OPEN_FACTOR.min(factor)
    }
}

#[cfg(test)]
mod tests;
