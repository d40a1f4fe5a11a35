//! When a server is asked again.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable};
use quire_tasks::DEPENDENCY_RETRY_POLICY;
use tokio::time::Instant;

use crate::RemoteError;

/// A retry costs as much as so many pages bring in: retries are at most a fifth of all calls.
const PRICE: u32 = 5;
/// What is never taken away for long: a server that hiccups after a quiet night is asked again.
const MOST: u32 = 10 * PRICE;

/// How many more retries there may be, for all pages together: a server that is broken is not beaten, too.
#[derive(Debug)]
pub(crate) struct Budget(Mutex<u32>);

impl Default for Budget {
    fn default() -> Self {
        Self(Mutex::new(MOST))
    }
}

impl Budget {
    fn page(&self) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *left = MOST.min(*left + 1);
    }

    fn spend(&self) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left.checked_sub(PRICE).map(|rest| *left = rest).is_some()
    }
}

/// A try that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) error: RemoteError,
    /// Whether another try may end better.
    pub(crate) again: bool,
}

impl Failed {
    pub(crate) const fn for_good(error: RemoteError) -> Self {
        Self { error, again: false }
    }

    pub(crate) const fn for_now(error: RemoteError) -> Self {
        Self { error, again: true }
    }

    const fn retry_after(&self) -> Duration {
        match self.error {
            RemoteError::Throttled { retry_after: Some(wait), .. } => wait,
            _ => Duration::ZERO,
        }
    }
}

/// Tries until something else than a passing error comes of it, or until the tries, the budget or the time are at their
/// end. A server that names a time is not asked before it.
///
/// # Errors
/// The last one.
pub(crate) async fn retry_with_backoff<T, F>(
    budget: &Budget,
    deadline: Instant,
    attempt: impl FnMut() -> F,
) -> Result<T, RemoteError>
where
    F: Future<Output = Result<T, Failed>>,
{
    budget.page();
    let policy = ExponentialBuilder::default()
        // Its jitter adds up to once the delay: half the wait plus up to half of it.
        .with_min_delay(DEPENDENCY_RETRY_POLICY.first_wait / 2)
        .with_max_delay(DEPENDENCY_RETRY_POLICY.max_wait / 2)
        .with_max_times(DEPENDENCY_RETRY_POLICY.max_retries)
        .with_jitter();
    let wait = |failed: &Failed, wait: Option<Duration>| {
        let wait = wait?.max(failed.retry_after());
        let in_time = Instant::now().checked_add(wait).is_some_and(|next| next < deadline);
        (in_time && budget.spend()).then_some(wait)
    };
    attempt.retry(policy).when(|failed: &Failed| failed.again).adjust(wait).await.map_err(|failed| failed.error)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const RETRIES: usize = DEPENDENCY_RETRY_POLICY.max_retries;

    fn throttled(seconds: Option<u64>) -> RemoteError {
        RemoteError::Throttled { host: "h".to_owned(), retry_after: seconds.map(Duration::from_secs) }
    }

    /// How often it was tried, and for how long.
    async fn tries(budget: &Budget, limit: u64, failed: Failed) -> (usize, Duration) {
        let (tries, started) = (Cell::new(0), Instant::now());
        let ended = retry_with_backoff(budget, started + Duration::from_secs(limit), || async {
            tries.set(tries.get() + 1);
            Err::<(), _>(failed.clone())
        });
        assert_eq!(ended.await, Err(failed.error.clone()));
        (tries.get(), started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_with_the_tries() {
        let (tries, waited) = tries(&Budget::default(), 600, Failed::for_now(throttled(None))).await;
        assert_eq!(tries, 1 + RETRIES);
        // 1 + 2 + 4 + 8 + 8 + 8 s, each between half and all of itself.
        assert!((Duration::from_millis(15_500)..=Duration::from_secs(31)).contains(&waited), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_is_not_asked_before_the_time_that_it_names() {
        let (tries, waited) = tries(&Budget::default(), 600, Failed::for_now(throttled(Some(20)))).await;
        assert_eq!((tries, waited), (1 + RETRIES, Duration::from_secs(20) * RETRIES as u32));
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_no_waiting_beyond_the_pages_time() {
        for wait in [60, u64::MAX] {
            let ended = tries(&Budget::default(), 60, Failed::for_now(throttled(Some(wait)))).await;
            assert_eq!(ended, (1, Duration::ZERO));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_waiting_does_not_help_is_not_waited_for() {
        let ended = tries(&Budget::default(), 600, Failed::for_good(throttled(None))).await;
        assert_eq!(ended, (1, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_a_share_of_calls() {
        let (budget, pages) = (Budget::default(), 1_000);
        let mut all = 0;
        for _ in 0..pages {
            all += tries(&budget, 600, Failed::for_now(throttled(None))).await.0;
        }
        let retries = all - pages;
        assert!((pages / 6..=pages / 5 + 10).contains(&retries), "{retries} retries of {pages} pages");
    }
}
