//! Retries with exponential backoff and a retry budget.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable};
use quire_tasks::DEPENDENCY_RETRY_POLICY;
use tokio::time::Instant;

use crate::OpenAiEngineError;

/// The number of pages that pay for one retry: retries are at most 20 % extra calls.
const PAGES_PER_RETRY: u32 = 5;
/// The capacity of the budget: ten retries, so that rare errors after a quiet time are always retried.
const CAPACITY: u32 = 10 * PAGES_PER_RETRY;

/// The retry budget of all pages: a token bucket that limits retries to a share of all calls, so that retries cannot
/// overload a failing server.
#[derive(Debug)]
pub(crate) struct RetryBudget(Mutex<u32>);

impl Default for RetryBudget {
    fn default() -> Self {
        Self(Mutex::new(CAPACITY))
    }
}

impl RetryBudget {
    /// Adds the share of one page.
    fn add_page(&self) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *left = CAPACITY.min(*left + 1);
    }

    /// Takes the price of one retry. Returns false if the budget is exhausted.
    fn take_retry(&self) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match left.checked_sub(PAGES_PER_RETRY) {
            Some(rest) => {
                *left = rest;
                true
            }
            None => false,
        }
    }
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedAttempt {
    pub(crate) error: OpenAiEngineError,
    /// Whether a retry may succeed.
    pub(crate) is_transient: bool,
}

impl FailedAttempt {
    pub(crate) const fn permanent(error: OpenAiEngineError) -> Self {
        Self { error, is_transient: false }
    }

    pub(crate) const fn transient(error: OpenAiEngineError) -> Self {
        Self { error, is_transient: true }
    }

    const fn retry_after(&self) -> Duration {
        match self.error {
            OpenAiEngineError::Throttled { retry_after: Some(wait), .. } => wait,
            _ => Duration::ZERO,
        }
    }
}

/// Retries transient errors with backoff until the attempts, the budget or the time run out. Waits at least for the
/// server's `Retry-After`.
///
/// # Errors
/// Returns the error of the last attempt.
pub(crate) async fn retry_with_backoff<T, F>(
    budget: &RetryBudget,
    deadline: Instant,
    attempt: impl FnMut() -> F,
) -> Result<T, OpenAiEngineError>
where
    F: Future<Output = Result<T, FailedAttempt>>,
{
    budget.add_page();
    let policy = ExponentialBuilder::default()
        // The jitter of the library adds up to 100 % to a delay, so that half of each wait is its delay.
        .with_min_delay(DEPENDENCY_RETRY_POLICY.first_wait / 2)
        .with_max_delay(DEPENDENCY_RETRY_POLICY.max_wait / 2)
        .with_max_times(DEPENDENCY_RETRY_POLICY.max_retries)
        .with_jitter();
    let adjust_wait = |failed: &FailedAttempt, wait: Option<Duration>| {
        let wait = wait?.max(failed.retry_after());
        let is_before_deadline = Instant::now().checked_add(wait).is_some_and(|next| next < deadline);
        (is_before_deadline && budget.take_retry()).then_some(wait)
    };
    attempt
        .retry(policy)
        .when(|failed: &FailedAttempt| failed.is_transient)
        .adjust(adjust_wait)
        .await
        .map_err(|failed| failed.error)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const RETRIES: usize = DEPENDENCY_RETRY_POLICY.max_retries;

    fn throttled(seconds: Option<u64>) -> OpenAiEngineError {
        OpenAiEngineError::Throttled { host: "h".to_owned(), retry_after: seconds.map(Duration::from_secs) }
    }

    /// Returns the number of attempts and the total wait.
    async fn count_attempts(budget: &RetryBudget, limit: u64, failed: FailedAttempt) -> (usize, Duration) {
        let attempts = Cell::new(0);
        let started = Instant::now();
        let ended = retry_with_backoff(budget, started + Duration::from_secs(limit), || async {
            attempts.set(attempts.get() + 1);
            Err::<(), _>(failed.clone())
        });
        assert_eq!(ended.await, Err(failed.error.clone()));
        (attempts.get(), started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_limited() {
        let (attempts, waited) =
            count_attempts(&RetryBudget::default(), 600, FailedAttempt::transient(throttled(None))).await;
        assert_eq!(attempts, 1 + RETRIES);
        // 1 + 2 + 4 + 8 + 8 + 8 s, each multiplied by 0.5 to 1.
        assert!((Duration::from_millis(15_500)..=Duration::from_secs(31)).contains(&waited), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_is_at_least_retry_after() {
        let (attempts, waited) =
            count_attempts(&RetryBudget::default(), 600, FailedAttempt::transient(throttled(Some(20)))).await;
        assert_eq!((attempts, waited), (1 + RETRIES, Duration::from_secs(20) * RETRIES as u32));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_beyond_the_timeout_ends_the_retries() {
        for wait in [60, u64::MAX] {
            let ended =
                count_attempts(&RetryBudget::default(), 60, FailedAttempt::transient(throttled(Some(wait)))).await;
            assert_eq!(ended, (1, Duration::ZERO));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_error_is_not_retried() {
        let ended = count_attempts(&RetryBudget::default(), 600, FailedAttempt::permanent(throttled(None))).await;
        assert_eq!(ended, (1, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_at_most_a_share_of_calls() {
        let (budget, pages) = (RetryBudget::default(), 1_000);
        let mut all = 0;
        for _ in 0..pages {
            all += count_attempts(&budget, 600, FailedAttempt::transient(throttled(None))).await.0;
        }
        let retries = all - pages;
        assert!((pages / 6..=pages / 5 + 10).contains(&retries), "{retries} retries of {pages} pages");
    }
}
