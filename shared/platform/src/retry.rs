//! Retries with exponential backoff and jitter.

use backon::{ExponentialBuilder, Retryable};
use quire_tasks::DEPENDENCY_RETRY_POLICY;

use crate::Result;

/// Calls `operation` until it succeeds, fails with an error that is not transient, or the retries of
/// [`DEPENDENCY_RETRY_POLICY`] are used up.
///
/// # Errors
/// The last error of `operation`.
pub async fn retry_with_backoff<T, F>(operation: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let policy = ExponentialBuilder::default()
        // The jitter of `backon` adds up to once the delay: half the wait plus up to half of it.
        .with_min_delay(DEPENDENCY_RETRY_POLICY.first_wait / 2)
        .with_max_delay(DEPENDENCY_RETRY_POLICY.max_wait / 2)
        .with_max_times(DEPENDENCY_RETRY_POLICY.max_retries)
        .with_jitter();
    operation.retry(policy).when(crate::Error::is_transient).await
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, time::Duration};

    use tokio::time::Instant;

    use super::*;
    use crate::Error;

    fn busy() -> Error {
        Error::Busy { what: "a dependency", why: "throttled".to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn transient_errors_are_retried_with_exponential_backoff() {
        let tries = Cell::new(0);
        let started = Instant::now();
        let ended = retry_with_backoff(|| async {
            tries.set(tries.get() + 1);
            if tries.get() <= 4 { Err(busy()) } else { Ok("done") }
        });
        assert_eq!(ended.await.ok(), Some("done"));
        // 1 + 2 + 4 + 8 s, each times a random factor from 0.5 to 1.
        let waited = started.elapsed();
        assert!((Duration::from_millis(7_500)..=Duration::from_secs(15)).contains(&waited), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn retries_end_after_the_last_attempt() {
        let tries = Cell::new(0);
        let ended = retry_with_backoff(|| async {
            tries.set(tries.get() + 1);
            Err::<(), _>(busy())
        });
        assert!(ended.await.is_err_and(|error| error.is_transient()));
        assert_eq!(tries.get(), 1 + DEPENDENCY_RETRY_POLICY.max_retries);
    }

    #[tokio::test(start_paused = true)]
    async fn other_errors_are_not_retried() {
        let started = Instant::now();
        let full = retry_with_backoff(|| async { Err::<(), _>(Error::Full { what: "a disk" }) });
        assert!(matches!(full.await, Err(Error::Full { .. })));
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
