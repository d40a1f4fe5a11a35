//! What stands before a lane: the engine's circuit breaker, and what is known of how it does.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use quire_document::PageImage;
use quire_routes::{Breaker, BreakerSettings, Permit, Ticket};
use quire_tasks::{BreakerState, EngineControl, EngineName, EngineReport, Failure, Mode, PageText, UnixMillis};
use quire_telemetry::metrics;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::lane::{self, Lane, LaneError, Reading};

/// What came of asking an engine for a page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// It read it.
    Text(Box<PageText>),
    /// It looked at it and failed.
    Failed(Failure),
    /// It is not to be asked, until then if that is known.
    Blocked { until: Option<Instant> },
    /// It has too much to do.
    Throttled { wait: Option<Duration> },
    /// It did not answer. Where it is not known to be out of order, the page may be at fault, and that was an attempt.
    Unavailable { until: Option<Instant>, spends: bool },
    /// Another page broke it off.
    Interrupted,
    /// It does not come back from this page.
    Stuck(Failure),
    /// It does not come back from another one.
    Lost,
}

/// Whether pages may be received for an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Room {
    /// As many as fit into the hands.
    Many,
    /// One, to be tried.
    One,
    /// None, until then if that is known.
    None { until: Option<Instant> },
}

/// An engine behind its breaker.
#[derive(Debug)]
pub(crate) struct Gate {
    engine: EngineName,
    lane: Lane,
    inside: Mutex<Inside>,
    /// Told of everything that may let a page through.
    changes: watch::Sender<()>,
}

#[derive(Debug)]
struct Inside {
    breaker: Breaker,
    /// Whether the page that decides about the breaker is on its way.
    trying: bool,
    stats: quire_tasks::EngineStats,
    /// What the board last said, if it was ever looked at.
    control: Option<EngineControl>,
}

impl Inside {
    /// Until when it is open.
    fn until(&mut self, now: Instant) -> Option<Instant> {
        if self.breaker.state(now) != BreakerState::Open {
            return None;
        }
        // Asking an open one changes nothing.
        if let Permit::Wait { until } = self.breaker.ask(now) { until } else { None }
    }
}

impl Gate {
    pub(crate) fn new(engine: EngineName, lane: Lane, breaker: BreakerSettings, changes: watch::Sender<()>) -> Self {
        let (breaker, stats) = (Breaker::new(breaker), quire_tasks::EngineStats::default());
        Self { engine, lane, inside: Mutex::new(Inside { breaker, trying: false, stats, control: None }), changes }
    }

    /// Whether it has any use to receive pages for this engine.
    pub(crate) fn room(&self, now: Instant) -> Room {
        let mut inside = self.inside();
        match inside.breaker.state(now) {
            BreakerState::Closed => Room::Many,
            BreakerState::HalfOpen if !inside.trying => Room::One,
            BreakerState::HalfOpen | BreakerState::Paused => Room::None { until: None },
            BreakerState::Open => Room::None { until: inside.until(now) },
        }
    }

    /// Has the engine read a page, if it may be asked.
    pub(crate) async fn read(&self, image: Arc<PageImage>, mode: &Mode) -> Answer {
        let ticket = match self.ask(Instant::now()) {
            Permit::Go(ticket) => ticket,
            Permit::Wait { until } => return Answer::Blocked { until },
        };
        let answer = self.lane.read(image, mode).await;
        self.heard(ticket, answer)
    }

    fn ask(&self, now: Instant) -> Permit {
        let mut inside = self.inside();
        let permit = inside.breaker.ask(now);
        inside.trying |= matches!(permit, Permit::Go(Ticket { is_probe: true, .. }));
        permit
    }

    /// Counts what the engine said, and says what that means.
    fn heard(&self, ticket: Ticket, answer: lane::Answer) -> Answer {
        let (now, mut inside) = (Instant::now(), self.inside());
        if ticket.is_probe {
            inside.trying = false;
        }
        let said = match answer {
            Ok(Reading { text, took }) => {
                let empty = text.lines.iter().all(|line| line.text.trim().is_empty());
                inside.stats.answered(text.confidence(), empty, took.as_millis() as u64);
                if inside.breaker.succeeded(ticket, now) {
                    info!(
                        engine.name = self.engine.name,
                        engine.version = self.engine.version,
                        "the engine reads again"
                    );
                }
                Answer::Text(Box::new(text))
            }
            Err(LaneError::Failed(failure)) => {
                self.failed(&mut inside, ticket, now, &failure.to_string());
                Answer::Failed(failure)
            }
            Err(LaneError::Stuck(failure)) => {
                self.failed(&mut inside, ticket, now, &failure.to_string());
                Answer::Stuck(failure)
            }
            Err(LaneError::Unavailable { why, saw_page }) => {
                warn!(
                    engine.name = self.engine.name,
                    engine.version = self.engine.version,
                    why,
                    "the engine does not answer"
                );
                self.unread(&mut inside, ticket, now, &why, !saw_page);
                let until = inside.until(now);
                let spends = saw_page && (ticket.is_probe || inside.breaker.state(now) == BreakerState::Closed);
                Answer::Unavailable { until, spends }
            }
            Err(LaneError::Refused(failure)) => {
                inside.stats.failed();
                inside.breaker.gave_up(ticket);
                metrics::count("EngineFailures", 1);
                Answer::Failed(failure)
            }
            Err(error) => {
                inside.breaker.gave_up(ticket);
                match error {
                    LaneError::Throttled { wait } => Answer::Throttled { wait },
                    LaneError::Interrupted => Answer::Interrupted,
                    _ => Answer::Lost,
                }
            }
        };
        drop(inside);
        if ticket.is_probe || matches!(said, Answer::Unavailable { .. } | Answer::Failed(_)) {
            self.changes.send_replace(());
        }
        said
    }

    fn failed(&self, inside: &mut Inside, ticket: Ticket, now: Instant, reason: &str) {
        self.unread(inside, ticket, now, reason, false);
    }

    fn unread(&self, inside: &mut Inside, ticket: Ticket, now: Instant, reason: &str, is_gone: bool) {
        inside.stats.failed();
        metrics::count("EngineFailures", 1);
        let breaker = &mut inside.breaker;
        let opened = if is_gone { breaker.is_gone(ticket, now, reason) } else { breaker.failed(ticket, now, reason) };
        if opened {
            metrics::count("BreakerOpened", 1);
            warn!(
                engine.name = self.engine.name,
                engine.version = self.engine.version,
                reason,
                is_probe = ticket.is_probe,
                "the engine fails: it is left alone for a while"
            );
        }
    }

    /// Does what the board says.
    pub(crate) fn follow(&self, control: &EngineControl) {
        let mut inside = self.inside();
        let before = inside.control.replace(control.clone());
        let known = before.clone().unwrap_or_default();
        if before.as_ref() == Some(control) {
            return;
        }
        if control.paused.is_some() != known.paused.is_some() {
            inside.breaker.pause(control.paused.is_some());
            let reason = control.paused.as_ref().map(|note| note.reason.as_str());
            info!(
                engine.name = self.engine.name,
                engine.version = self.engine.version,
                paused = reason.is_some(),
                reason,
                "an operator has spoken"
            );
        }
        // One that was wanted before this worker began is none of its business.
        if before.is_some() && control.probed != known.probed && control.probed.is_some() {
            inside.breaker.probe();
            info!(
                engine.name = self.engine.name,
                engine.version = self.engine.version,
                "an operator wants the engine tried"
            );
        }
        if control.trial != known.trial {
            inside.stats = quire_tasks::EngineStats::default();
        }
        drop(inside);
        self.changes.send_replace(());
    }

    /// Since when it is rolled back, if it is.
    pub(crate) fn rolled_back(&self) -> Option<UnixMillis> {
        self.inside().control.as_ref()?.rolled_back.as_ref().map(|note| note.at)
    }

    /// How it stands.
    pub(crate) fn state(&self) -> BreakerState {
        self.inside().breaker.state(Instant::now())
    }

    /// The same, for the board.
    pub(crate) fn report(&self, worker: &str, at: UnixMillis) -> EngineReport {
        let inside = self.inside();
        EngineReport {
            engine: self.engine.clone(),
            worker: worker.to_owned(),
            at,
            state: inside.breaker.state(Instant::now()),
            reason: inside.breaker.reason().map(str::to_owned),
            stats: inside.stats,
            trial: inside.control.as_ref().map_or(0, |control| control.trial),
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
