//! The guard of one engine: its circuit breaker, its statistics and the operator's decisions about it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use quire_document::PageImage;
use quire_routes::{Breaker, BreakerPermit, BreakerSettings, BreakerTicket};
use quire_tasks::{
    BreakerState, EngineControl, EngineName, EngineReport, EngineStats, Failure, Mode, PageText, UnixMillis, Warning,
};
use quire_telemetry::metrics;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::engine_transport::{EngineReading, EngineReply, EngineTransport, TransportError};

/// The outcome of asking an engine to read a page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum EngineOutcome {
    /// The engine read the page.
    Text(Box<PageText>),
    /// The engine failed on the page.
    Failed(Failure),
    /// The engine was not asked: it is paused or its breaker is open, until the given time if that is known.
    Blocked { until: Option<Instant> },
    /// The engine is overloaded.
    Throttled { wait: Option<Duration> },
    /// The engine did not respond. Unless the engine is known to be broken, the page may be the cause, and that spends
    /// an attempt.
    Unavailable { until: Option<Instant>, spends_attempt: bool },
    /// Another page made the engine panic.
    Interrupted,
    /// The engine hangs on this page.
    Stuck(Failure),
    /// The engine hangs on another page.
    Lost,
}

impl EngineOutcome {
    /// Adds warnings about the page's image to its text.
    pub(crate) fn with_warnings(mut self, warnings: &[Warning]) -> Self {
        if let Self::Text(text) = &mut self {
            text.warnings.extend_from_slice(warnings);
        }
        self
    }
}

/// How many pages may be received for an engine. Ordered by capacity, largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EngineCapacity {
    /// Up to the number of free permits.
    Many,
    /// One, as the probe of a half-open breaker.
    One,
    /// None, until the given time if that is known.
    None { until: Option<Instant> },
}

/// An engine behind its circuit breaker.
#[derive(Debug)]
pub(crate) struct EngineGuard {
    engine: EngineName,
    transport: EngineTransport,
    state: Mutex<GuardState>,
    /// Notified of every change that may let a page through.
    changes: watch::Sender<()>,
}

#[derive(Debug)]
struct GuardState {
    breaker: Breaker,
    /// Whether the probe of a half-open breaker is in flight.
    is_probing: bool,
    stats: EngineStats,
    /// The operator's last known decisions; `None` before the first read.
    control: Option<EngineControl>,
}

impl GuardState {
    /// Returns the time until which the breaker is open, if it is.
    fn open_until(&mut self, now: Instant) -> Option<Instant> {
        if self.breaker.state(now) != BreakerState::Open {
            return None;
        }
        // An open breaker is not changed by this.
        if let BreakerPermit::Wait { until } = self.breaker.try_acquire(now) { until } else { None }
    }
}

impl EngineGuard {
    pub(crate) fn new(
        engine: EngineName,
        transport: EngineTransport,
        breaker: BreakerSettings,
        changes: watch::Sender<()>,
    ) -> Self {
        let breaker = Breaker::new(breaker);
        let state = GuardState { breaker, is_probing: false, stats: EngineStats::default(), control: None };
        Self { engine, transport, state: Mutex::new(state), changes }
    }

    /// Returns how many pages may be received for this engine.
    pub(crate) fn capacity(&self, now: Instant) -> EngineCapacity {
        let mut state = self.lock_state();
        match state.breaker.state(now) {
            BreakerState::Closed => EngineCapacity::Many,
            BreakerState::HalfOpen if !state.is_probing => EngineCapacity::One,
            BreakerState::HalfOpen | BreakerState::Paused => EngineCapacity::None { until: None },
            BreakerState::Open => EngineCapacity::None { until: state.open_until(now) },
        }
    }

    /// Has the engine read a page, if its breaker allows it.
    pub(crate) async fn read(&self, image: Arc<PageImage>, mode: &Mode) -> EngineOutcome {
        let ticket = match self.try_acquire(Instant::now()) {
            BreakerPermit::Go(ticket) => ticket,
            BreakerPermit::Wait { until } => return EngineOutcome::Blocked { until },
        };
        let reply = self.transport.read(image, mode).await;
        self.record_reply(ticket, reply)
    }

    fn try_acquire(&self, now: Instant) -> BreakerPermit {
        let mut state = self.lock_state();
        let permit = state.breaker.try_acquire(now);
        state.is_probing |= matches!(permit, BreakerPermit::Go(BreakerTicket { is_probe: true, .. }));
        permit
    }

    /// Counts the reply in the breaker and the statistics, and returns what it means for the page.
    fn record_reply(&self, ticket: BreakerTicket, reply: EngineReply) -> EngineOutcome {
        let now = Instant::now();
        let mut state = self.lock_state();
        if ticket.is_probe {
            state.is_probing = false;
        }
        let outcome = match reply {
            Ok(reading) => self.record_text(&mut state, ticket, now, reading),
            Err(TransportError::Failed(failure)) => {
                self.record_failure(&mut state, ticket, now, &failure.to_string(), false);
                EngineOutcome::Failed(failure)
            }
            Err(TransportError::Stuck(failure)) => {
                self.record_failure(&mut state, ticket, now, &failure.to_string(), false);
                EngineOutcome::Stuck(failure)
            }
            Err(TransportError::Unavailable { why, saw_page }) => {
                warn!(
                    engine.name = self.engine.name,
                    engine.version = self.engine.version,
                    why,
                    "engine does not respond"
                );
                self.record_failure(&mut state, ticket, now, &why, !saw_page);
                let until = state.open_until(now);
                let is_closed = state.breaker.state(now) == BreakerState::Closed;
                EngineOutcome::Unavailable { until, spends_attempt: saw_page && (ticket.is_probe || is_closed) }
            }
            Err(TransportError::Refused(failure)) => {
                state.stats.failed();
                state.breaker.release(ticket);
                metrics::count("EngineFailures", 1);
                EngineOutcome::Failed(failure)
            }
            Err(error) => {
                state.breaker.release(ticket);
                match error {
                    TransportError::Throttled { wait } => EngineOutcome::Throttled { wait },
                    TransportError::Interrupted => EngineOutcome::Interrupted,
                    _ => EngineOutcome::Lost,
                }
            }
        };
        drop(state);
        if ticket.is_probe || matches!(outcome, EngineOutcome::Unavailable { .. } | EngineOutcome::Failed(_)) {
            self.changes.send_replace(());
        }
        outcome
    }

    fn record_text(
        &self,
        state: &mut GuardState,
        ticket: BreakerTicket,
        now: Instant,
        EngineReading { text, duration }: EngineReading,
    ) -> EngineOutcome {
        let is_empty = text.lines.iter().all(|line| line.text.trim().is_empty());
        state.stats.answered(text.confidence(), is_empty, duration.as_millis() as u64);
        if state.breaker.record_success(ticket, now) {
            info!(
                engine.name = self.engine.name,
                engine.version = self.engine.version,
                "circuit breaker closed: the engine responds again"
            );
        }
        EngineOutcome::Text(Box::new(text))
    }

    /// Counts a failure; `is_unreachable` if the engine cannot have seen the page.
    fn record_failure(
        &self,
        state: &mut GuardState,
        ticket: BreakerTicket,
        now: Instant,
        reason: &str,
        is_unreachable: bool,
    ) {
        state.stats.failed();
        metrics::count("EngineFailures", 1);
        let opened = if is_unreachable {
            state.breaker.record_unreachable(ticket, now, reason)
        } else {
            state.breaker.record_failure(ticket, now, reason)
        };
        if opened {
            metrics::count("BreakerOpened", 1);
            warn!(
                engine.name = self.engine.name,
                engine.version = self.engine.version,
                reason,
                is_probe = ticket.is_probe,
                "circuit breaker opened: the engine keeps failing"
            );
        }
    }

    /// Applies the operator's decisions.
    pub(crate) fn apply_control(&self, control: &EngineControl) {
        let mut state = self.lock_state();
        let before = state.control.replace(control.clone());
        if before.as_ref() == Some(control) {
            return;
        }
        let is_first_read = before.is_none();
        let known = before.unwrap_or_default();
        if control.paused.is_some() != known.paused.is_some() {
            state.breaker.set_paused(control.paused.is_some());
            self.log_pause(control);
        }
        // A probe that was requested before this worker started is not for this worker.
        if !is_first_read && control.probed != known.probed && control.probed.is_some() {
            state.breaker.request_probe();
            info!(
                engine.name = self.engine.name,
                engine.version = self.engine.version,
                "engine probe requested by operator"
            );
        }
        if control.trial != known.trial {
            state.stats = EngineStats::default();
        }
        drop(state);
        self.changes.send_replace(());
    }

    fn log_pause(&self, control: &EngineControl) {
        let EngineName { name, version } = &self.engine;
        match &control.paused {
            Some(note) => info!(
                engine.name = name,
                engine.version = version,
                paused = true,
                reason = note.reason,
                "engine paused by operator"
            ),
            None => {
                info!(engine.name = name, engine.version = version, paused = false, "engine resumed by operator");
            }
        }
    }

    /// Returns when the engine was rolled back as a canary, if it was.
    pub(crate) fn rolled_back_at(&self) -> Option<UnixMillis> {
        self.lock_state().control.as_ref()?.rolled_back.as_ref().map(|note| note.at)
    }

    /// Returns the state of the circuit breaker.
    pub(crate) fn breaker_state(&self) -> BreakerState {
        self.lock_state().breaker.state(Instant::now())
    }

    /// Returns the engine's status in this worker, for the engine status store.
    pub(crate) fn report(&self, worker: &str, at: UnixMillis) -> EngineReport {
        let state = self.lock_state();
        EngineReport {
            engine: self.engine.clone(),
            worker: worker.to_owned(),
            at,
            state: state.breaker.state(Instant::now()),
            reason: state.breaker.reason().map(str::to_owned),
            stats: state.stats,
            trial: state.control.as_ref().map_or(0, |control| control.trial),
        }
    }

    fn lock_state(&self) -> MutexGuard<'_, GuardState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
