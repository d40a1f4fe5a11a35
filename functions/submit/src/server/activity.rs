//! What a connection is doing: the basis of its timeouts, and of the choice which connection is closed at a limit.

use std::{
    sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::server::settings::ConnectionTimeouts;

/// A transfer that is younger than this is not closed in favor of a new connection.
const MIN_TRANSFER_AGE: Duration = Duration::from_secs(5);

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// The rest of a request's headers.
    Head,
    /// The next request.
    Idle,
    /// The rest of a request's body.
    Upload,
    /// The client to take more of a response.
    Download,
    /// This server.
    Working,
}

const PHASES: [Phase; 5] = [Phase::Head, Phase::Idle, Phase::Upload, Phase::Download, Phase::Working];

/// Why a connection may be closed in favor of a new one. Lower values are closed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dispensable {
    /// It has no complete request; since this many milliseconds after the start. The oldest is closed first.
    Unused(u64),
    /// Its client has been sending or receiving for a while, at this many bytes per second. The slowest is closed
    /// first.
    Slow(u64),
}

/// The activity of a connection. Its fields are independent: a reader that sees one of two changes only closes another
/// connection than it would have a moment later.
#[derive(Debug)]
pub(super) struct Activity {
    started: Instant,
    phase: AtomicU8,
    /// Milliseconds from `started` to the begin of the phase.
    since: AtomicU64,
    /// Bytes transferred in the phase.
    bytes: AtomicU64,
    /// Whether the response to the current request has been written, although its body may not have been read.
    is_answered: AtomicBool,
    /// Wakes the timer when a phase begins that has a timeout.
    changed: Notify,
}

impl Activity {
    /// Returns the activity of a new connection, which waits for its first request. `started` is common to all
    /// connections.
    pub(super) fn new(started: Instant) -> Self {
        let activity = Self {
            started,
            phase: AtomicU8::new(Phase::Head as u8),
            since: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            is_answered: AtomicBool::new(false),
            changed: Notify::new(),
        };
        activity.begin(Phase::Head);
        activity
    }

    /// Begins a phase.
    pub(super) fn begin(&self, phase: Phase) {
        self.since.store(self.elapsed_millis(), Relaxed);
        self.bytes.store(0, Relaxed);
        self.phase.store(phase as u8, Relaxed);
        if matches!(phase, Phase::Head | Phase::Idle) {
            self.changed.notify_one();
        }
    }

    /// Begins a request.
    pub(super) fn begin_request(&self) {
        self.is_answered.store(false, Relaxed);
        self.begin(Phase::Working);
    }

    /// Begins to wait for the rest of a request's body, unless it does already.
    pub(super) fn await_upload(&self) {
        if self.phase() != Phase::Upload {
            self.begin(Phase::Upload);
        }
    }

    /// Ends the waiting for a request's body, which may come after the response.
    pub(super) fn end_upload(&self) {
        if self.phase() == Phase::Upload {
            self.begin(if self.is_answered.load(Relaxed) { Phase::Idle } else { Phase::Working });
        }
    }

    /// Ends a response.
    pub(super) fn end_response(&self) {
        self.is_answered.store(true, Relaxed);
        self.begin(Phase::Idle);
    }

    pub(super) fn phase(&self) -> Phase {
        PHASES[usize::from(self.phase.load(Relaxed))]
    }

    /// Counts bytes that were transferred in this phase.
    pub(super) fn transferred(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Whether the connection has not sent a byte of a request.
    pub(super) fn is_unused(&self) -> bool {
        self.phase() == Phase::Head && self.bytes.load(Relaxed) == 0
    }

    /// Returns whether and how urgently the connection may be closed in favor of a new one.
    pub(super) fn dispensable(&self) -> Option<Dispensable> {
        let since = self.since.load(Relaxed);
        match self.phase() {
            Phase::Head | Phase::Idle => Some(Dispensable::Unused(since)),
            Phase::Upload | Phase::Download => {
                let millis = self.elapsed_millis().saturating_sub(since);
                let rate = self.bytes.load(Relaxed).saturating_mul(1000) / millis.max(1);
                (u128::from(millis) >= MIN_TRANSFER_AGE.as_millis()).then_some(Dispensable::Slow(rate))
            }
            Phase::Working => None,
        }
    }

    /// Returns when the headers of a request, or the next request, are overdue.
    pub(super) async fn expired(&self, timeouts: ConnectionTimeouts) {
        loop {
            let limit = match self.phase() {
                Phase::Head => timeouts.header,
                Phase::Idle => timeouts.keep_alive,
                Phase::Upload | Phase::Download | Phase::Working => {
                    self.changed.notified().await;
                    continue;
                }
            };
            let deadline = self.started + Duration::from_millis(self.since.load(Relaxed)) + limit;
            if deadline <= Instant::now() {
                return;
            }
            tokio::select! {
                () = sleep_until(deadline) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    fn elapsed_millis(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const TIMEOUTS: ConnectionTimeouts = ConnectionTimeouts {
        header: Duration::from_secs(10),
        keep_alive: Duration::from_mins(1),
        window: Duration::from_secs(30),
        min_window_bytes: 1,
    };

    #[tokio::test(start_paused = true)]
    async fn a_request_has_a_header_timeout_and_a_connection_an_idle_timeout() {
        let started = Instant::now();
        let activity = Activity::new(started);
        activity.expired(TIMEOUTS).await;
        assert_eq!(started.elapsed(), Duration::from_secs(10));

        activity.begin(Phase::Idle);
        activity.expired(TIMEOUTS).await;
        assert_eq!(started.elapsed(), Duration::from_secs(70));
    }

    #[tokio::test(start_paused = true)]
    async fn the_header_timeout_starts_at_the_first_byte_of_a_later_request() {
        let started = Instant::now();
        let activity = Activity::new(started);
        activity.begin(Phase::Idle);
        let first_byte = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            activity.begin(Phase::Head);
        };
        tokio::join!(activity.expired(TIMEOUTS), first_byte);
        assert_eq!(started.elapsed(), Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_in_progress_does_not_expire() {
        let activity = Activity::new(Instant::now());
        for phase in [Phase::Working, Phase::Upload, Phase::Download] {
            activity.begin(phase);
            let expired = tokio::time::timeout(Duration::from_hours(1), activity.expired(TIMEOUTS)).await;
            assert!(expired.is_err(), "{phase:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn unused_connections_are_dispensable_before_slow_ones_and_working_ones_never() {
        let started = Instant::now();
        let [old, new, slow, fast, working] = std::array::from_fn(|_| Activity::new(started));
        slow.begin(Phase::Upload);
        fast.begin(Phase::Download);
        working.begin(Phase::Working);
        assert_eq!(slow.dispensable(), None, "its upload has just begun");
        advance(Duration::from_secs(10)).await;
        new.begin(Phase::Idle);
        slow.transferred(100);
        fast.transferred(1_000_000);
        let order = [&old, &new, &slow, &fast].map(Activity::dispensable);
        let expected =
            [Dispensable::Unused(0), Dispensable::Unused(10_000), Dispensable::Slow(10), Dispensable::Slow(100_000)];
        assert_eq!(order, expected.map(Some));
        assert!(expected.is_sorted());
        assert_eq!(working.dispensable(), None);
    }
}
