//! The minimum rate of an upload or a download.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Measures whether a peer transfers at least `min_bytes` in each `window` of waiting for it. Time in which this server
/// does not wait for the peer does not count, and a fast transfer earns no credit for a slow one later.
#[derive(Debug)]
pub(crate) struct TransferWindow {
    window: Duration,
    min_bytes: u64,
    /// In this window, except the current wait.
    waited: Duration,
    waiting_since: Option<Instant>,
    /// Transferred in this window.
    bytes: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl TransferWindow {
    /// Returns a measurement of a transfer that has not begun. At least one byte is required in each window.
    pub(crate) fn new(window: Duration, min_bytes: u64) -> Self {
        let min_bytes = min_bytes.max(1);
        Self { window, min_bytes, waited: Duration::ZERO, waiting_since: None, bytes: 0, timer: None }
    }

    /// Returns ready when the peer was too slow. Must be polled when the transfer is pending; wakes the task in time.
    pub(crate) fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let deadline = since + self.window.saturating_sub(self.waited);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(context)
    }

    /// Counts transferred bytes.
    pub(crate) fn progress(&mut self, now: Instant, bytes: usize) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += now.saturating_duration_since(since);
        }
        self.bytes += bytes as u64;
        if self.bytes >= self.min_bytes {
            self.bytes = 0;
            self.waited = Duration::ZERO;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{advance, timeout};

    use super::*;

    const WINDOW: Duration = Duration::from_secs(30);

    /// Waits for the peer for a time, and returns whether it was too slow.
    async fn is_too_slow(transfer: &mut TransferWindow, wait: Duration) -> bool {
        timeout(wait, poll_fn(|context| transfer.poll_too_slow(context))).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_transfer_at_the_minimum_rate_goes_on_for_any_time() {
        let mut transfer = TransferWindow::new(WINDOW, 300);
        for _ in 0..1000 {
            assert!(!is_too_slow(&mut transfer, Duration::from_secs(1)).await);
            transfer.progress(Instant::now(), 11);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_ends_after_the_window() {
        let mut transfer = TransferWindow::new(WINDOW, 300);
        transfer.progress(Instant::now(), 1_000_000);
        let began = Instant::now();
        while !is_too_slow(&mut transfer, Duration::from_secs(1)).await {
            transfer.progress(Instant::now(), 1);
        }
        assert_eq!(began.elapsed(), WINDOW);
    }

    #[tokio::test(start_paused = true)]
    async fn only_time_that_is_spent_waiting_for_the_peer_counts() {
        let mut transfer = TransferWindow::new(WINDOW, 300);
        for _ in 0..2 {
            assert!(!is_too_slow(&mut transfer, Duration::from_secs(14)).await);
            transfer.progress(Instant::now(), 1);
            advance(Duration::from_hours(1)).await;
        }
        assert!(!is_too_slow(&mut transfer, Duration::from_secs(1)).await);
        assert!(is_too_slow(&mut transfer, Duration::from_secs(2)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_minimum_rate_any_progress_is_enough() {
        let mut transfer = TransferWindow::new(WINDOW, 0);
        for _ in 0..10 {
            assert!(!is_too_slow(&mut transfer, Duration::from_secs(29)).await);
            transfer.progress(Instant::now(), 1);
        }
        assert!(is_too_slow(&mut transfer, Duration::from_secs(31)).await);
    }
}
