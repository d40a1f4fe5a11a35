//! A circuit breaker for an engine.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use quire_tasks::BreakerState;
use serde::Deserialize;

/// An engine that keeps failing is left alone for longer each time, but no longer than this many times the first.
const LONGEST_OPEN: u32 = 10;

/// When an engine is not asked any more, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerSettings {
    /// Answers older than this no longer count.
    pub window_secs: u64,
    /// Fewer answers than this say nothing.
    pub min_calls: usize,
    /// The share of failures at which it opens.
    pub failure_share: f64,
    /// How long it stays open before one page is tried; twice as long each time that fails, up to ten times as long.
    pub open_secs: f64,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        // A few poison pages in a row are not an outage; an outage fails everything.
        Self { window_secs: 60, min_calls: 5, failure_share: 0.5, open_secs: 15.0 }
    }
}

impl BreakerSettings {
    pub(crate) fn check(&self) -> Result<(), String> {
        let sane = self.window_secs > 0 && self.min_calls > 0 && (0.1..=3600.0).contains(&self.open_secs);
        if sane && self.failure_share > 0.0 && self.failure_share <= 1.0 {
            return Ok(());
        }
        Err("breaker: window_secs and min_calls are from 1, failure_share is above 0 and up to 1, open_secs from 0.1 to \
             3600"
            .to_owned())
    }
}

/// Whether an engine may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Yes; say how it went with this.
    Go(Ticket),
    /// Not now. It may be asked again at this time, if nobody has to say so first.
    Wait {
        /// When; `None` while it is paused.
        until: Option<Instant>,
    },
}

/// One asking. An answer that comes when the state has changed meanwhile says nothing about the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    epoch: u64,
    /// Whether this is the one page that decides whether the breaker closes.
    pub is_probe: bool,
}

#[derive(Debug)]
enum Phase {
    Closed,
    Open {
        until: Instant,
    },
    /// Since when a page is being tried, if one is.
    HalfOpen {
        trying: Option<Instant>,
    },
}

/// Opens when a share of the answers are failures, and then lets one page through from time to time. Pure: time is passed
/// in. Throttling is not a failure: whoever is throttled waits, and says nothing here.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    phase: Phase,
    paused: bool,
    epoch: u64,
    /// When answers came, and whether they were failures.
    answers: VecDeque<(Instant, bool)>,
    /// How often in a row it has opened without a success in between.
    openings: u32,
    reason: Option<String>,
}

impl Breaker {
    /// A closed one.
    pub fn new(settings: BreakerSettings) -> Self {
        let (phase, answers) = (Phase::Closed, VecDeque::new());
        Self { settings, phase, paused: false, epoch: 0, answers, openings: 0, reason: None }
    }

    /// How it stands.
    pub fn state(&self, now: Instant) -> BreakerState {
        match self.phase {
            _ if self.paused => BreakerState::Paused,
            Phase::Closed => BreakerState::Closed,
            Phase::Open { until } if now < until => BreakerState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// The failure that opened it, while it is not closed.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Asks to use the engine.
    pub fn ask(&mut self, now: Instant) -> Permit {
        if self.paused {
            return Permit::Wait { until: None };
        }
        match self.phase {
            Phase::Closed => Permit::Go(Ticket { epoch: self.epoch, is_probe: false }),
            Phase::Open { until } if now < until => Permit::Wait { until: Some(until) },
            // One that never said how it went is not waited for longer than the breaker would have been open.
            Phase::HalfOpen { trying: Some(since) } if now < since + self.open_for() => {
                Permit::Wait { until: Some(since + self.open_for()) }
            }
            Phase::Open { .. } | Phase::HalfOpen { .. } => {
                self.epoch += 1;
                self.phase = Phase::HalfOpen { trying: Some(now) };
                Permit::Go(Ticket { epoch: self.epoch, is_probe: true })
            }
        }
    }

    /// The engine answered. Whether that closed the breaker.
    pub fn succeeded(&mut self, ticket: Ticket, now: Instant) -> bool {
        if ticket.epoch != self.epoch {
            return false;
        }
        if ticket.is_probe {
            self.close();
            return true;
        }
        self.note(now, false);
        false
    }

    /// The engine failed on a page. Whether that opened the breaker.
    pub fn failed(&mut self, ticket: Ticket, now: Instant, reason: &str) -> bool {
        self.note_failure(ticket, now, reason, false)
    }

    /// The engine is not there at all: where it has read nothing of late either, no further page need find that out.
    /// Whether that opened the breaker.
    pub fn is_gone(&mut self, ticket: Ticket, now: Instant, reason: &str) -> bool {
        self.note_failure(ticket, now, reason, true)
    }

    fn note_failure(&mut self, ticket: Ticket, now: Instant, reason: &str, is_gone: bool) -> bool {
        if ticket.epoch != self.epoch {
            return false;
        }
        if !ticket.is_probe {
            self.note(now, true);
            let failures = self.answers.iter().filter(|(_, failed)| *failed).count();
            let share = failures as f64 / self.answers.len() as f64;
            let surely = is_gone && failures == self.answers.len();
            let enough = self.answers.len() >= self.settings.min_calls && share >= self.settings.failure_share;
            if !surely && !enough {
                return false;
            }
        }
        self.openings += 1;
        self.epoch += 1;
        self.answers.clear();
        self.reason = Some(reason.to_owned());
        self.phase = Phase::Open { until: now + self.open_for() };
        true
    }

    /// A page was let through and nobody knows whether the engine would have read it: another may try.
    pub fn gave_up(&mut self, ticket: Ticket) {
        if let (true, true, Phase::HalfOpen { trying }) = (ticket.is_probe, ticket.epoch == self.epoch, &mut self.phase)
        {
            *trying = None;
        }
    }

    /// Leaves the engine alone until somebody says otherwise, or not.
    pub fn pause(&mut self, paused: bool) {
        if self.paused && !paused {
            self.close();
        }
        self.paused = paused;
    }

    /// An operator wants it tried now.
    pub fn probe(&mut self) {
        if !matches!(self.phase, Phase::Closed) {
            self.phase = Phase::HalfOpen { trying: None };
        }
    }

    fn close(&mut self) {
        self.epoch += 1;
        self.openings = 0;
        self.answers.clear();
        self.reason = None;
        self.phase = Phase::Closed;
    }

    fn note(&mut self, now: Instant, failed: bool) {
        let window = Duration::from_secs(self.settings.window_secs);
        while self.answers.pop_front_if(|(at, _)| now.duration_since(*at) > window).is_some() {}
        self.answers.push_back((now, failed));
    }

    fn open_for(&self) -> Duration {
        let times = 1 << self.openings.saturating_sub(1).min(8);
        Duration::from_secs_f64(self.settings.open_secs) * LONGEST_OPEN.min(times)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPEN: Duration = Duration::from_secs(15);

    fn go(breaker: &mut Breaker, now: Instant) -> Ticket {
        match breaker.ask(now) {
            Permit::Go(ticket) => ticket,
            Permit::Wait { .. } => panic!("it may be asked"),
        }
    }

    fn broken(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(BreakerSettings::default());
        for _ in 0..5 {
            let ticket = go(&mut breaker, now);
            breaker.failed(ticket, now, "connection refused");
        }
        breaker
    }

    #[test]
    fn it_opens_at_a_share_of_failures_and_not_before_there_are_enough_answers() {
        let now = Instant::now();
        let mut breaker = Breaker::new(BreakerSettings::default());
        for round in 0..4 {
            let ticket = go(&mut breaker, now);
            assert!(!breaker.failed(ticket, now, "x"), "{round}");
        }
        let ticket = go(&mut breaker, now);
        assert!(breaker.failed(ticket, now, "connection refused"));
        assert_eq!((breaker.state(now), breaker.reason()), (BreakerState::Open, Some("connection refused")));
        assert_eq!(breaker.ask(now), Permit::Wait { until: Some(now + OPEN) });
    }

    #[test]
    fn an_engine_that_is_gone_opens_it_at_once_unless_it_has_read_something_of_late() {
        let now = Instant::now();
        let mut breaker = Breaker::new(BreakerSettings::default());
        let ticket = go(&mut breaker, now);
        assert!(breaker.is_gone(ticket, now, "connection refused"));
        assert_eq!(breaker.state(now), BreakerState::Open);
        let mut breaker = Breaker::new(BreakerSettings::default());
        let (first, second) = (go(&mut breaker, now), go(&mut breaker, now));
        breaker.succeeded(first, now);
        assert!(!breaker.is_gone(second, now, "connection refused"));
    }

    #[test]
    fn a_few_failures_among_many_answers_do_not_open_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new(BreakerSettings::default());
        for call in 0..100 {
            let ticket = go(&mut breaker, now);
            let opened = call % 3 == 0 && breaker.failed(ticket, now, "x");
            let closed = call % 3 != 0 && breaker.succeeded(ticket, now);
            assert!(!opened && !closed, "{call}");
        }
        assert_eq!(breaker.state(now), BreakerState::Closed);
    }

    #[test]
    fn answers_older_than_the_window_do_not_count() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(BreakerSettings::default());
        for _ in 0..20 {
            let ticket = go(&mut breaker, now);
            assert!(!breaker.failed(ticket, now, "x"));
            now += Duration::from_secs(20);
        }
    }

    #[test]
    fn one_page_is_tried_when_its_time_has_come_and_closes_it_or_opens_it_for_longer() {
        let now = Instant::now();
        let mut breaker = broken(now);
        let later = now + OPEN;
        assert_eq!(breaker.state(later), BreakerState::HalfOpen);
        let probe = go(&mut breaker, later);
        assert!(probe.is_probe);
        assert!(matches!(breaker.ask(later), Permit::Wait { .. }), "one at a time");
        assert!(breaker.failed(probe, later, "still down"));
        assert_eq!(breaker.ask(later + OPEN), Permit::Wait { until: Some(later + 2 * OPEN) });
        let probe = go(&mut breaker, later + 2 * OPEN);
        assert!(breaker.succeeded(probe, later + 2 * OPEN));
        assert_eq!((breaker.state(later + 2 * OPEN), breaker.reason()), (BreakerState::Closed, None));
    }

    #[test]
    fn an_answer_from_before_says_nothing() {
        let now = Instant::now();
        let mut breaker = Breaker::new(BreakerSettings::default());
        let early = go(&mut breaker, now);
        for _ in 0..5 {
            let ticket = go(&mut breaker, now);
            breaker.failed(ticket, now, "x");
        }
        assert!(!breaker.succeeded(early, now));
        assert_eq!(breaker.state(now), BreakerState::Open);
    }

    #[test]
    fn a_page_that_never_says_how_it_went_does_not_keep_it_half_open() {
        let now = Instant::now();
        let mut breaker = broken(now);
        let probe = go(&mut breaker, now + OPEN);
        breaker.gave_up(probe);
        let second = go(&mut breaker, now + OPEN);
        assert!(matches!(breaker.ask(now + OPEN), Permit::Wait { .. }));
        assert!(go(&mut breaker, now + 2 * OPEN).is_probe, "the second was lost without a word");
        assert!(!breaker.succeeded(second, now + 2 * OPEN));
    }

    #[test]
    fn a_paused_engine_is_left_alone_and_a_probe_is_let_through_at_once() {
        let now = Instant::now();
        let mut breaker = Breaker::new(BreakerSettings::default());
        breaker.pause(true);
        assert_eq!((breaker.ask(now), breaker.state(now)), (Permit::Wait { until: None }, BreakerState::Paused));
        breaker.pause(false);
        assert_eq!(breaker.state(now), BreakerState::Closed);
        let mut breaker = broken(now);
        breaker.probe();
        assert!(go(&mut breaker, now).is_probe);
    }

    proptest! {
        #[test]
        fn an_open_breaker_lets_one_page_through_at_a_time(steps in prop::collection::vec((0_u64..30, 0_u8..4), 1..80)) {
            let mut now = Instant::now();
            let mut breaker = broken(now);
            let mut probing: Option<Ticket> = None;
            for (wait, outcome) in steps {
                now += Duration::from_secs(wait);
                if breaker.state(now) == BreakerState::Closed {
                    break;
                }
                if let Permit::Go(ticket) = breaker.ask(now) {
                    prop_assert!(ticket.is_probe);
                    probing = Some(ticket);
                }
                let Some(ticket) = probing else { continue };
                match outcome {
                    0 => prop_assert!(breaker.succeeded(ticket, now)),
                    1 => prop_assert!(breaker.failed(ticket, now, "x")),
                    2 => breaker.gave_up(ticket),
                    _ => continue,
                }
                probing = None;
            }
        }
    }
}
