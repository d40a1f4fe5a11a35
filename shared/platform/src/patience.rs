//! The retry policy for calls to dependencies, in one place.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use crate::Result;

/// The first wait is 1 s, the next are twice as long each, up to [`LONGEST_WAIT`], and each is cut by a random part to
/// between half and all of itself, so that callers who failed together do not come back together.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// How often a call is tried again: with the waits above, for about half a minute.
const RETRIES: usize = 6;

/// Calls `operation` until it ends with something else than a transient error, or patience ends.
///
/// # Errors
/// The last error of `operation`.
pub async fn retry_with_backoff<T, F>(operation: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let policy = ExponentialBuilder::default()
        // Its jitter adds up to once the delay: half the wait plus up to half of it.
        .with_min_delay(FIRST_WAIT / 2)
        .with_max_delay(LONGEST_WAIT / 2)
        .with_max_times(RETRIES)
        .with_jitter();
    operation.retry(policy).when(crate::Error::is_transient).await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;
    use crate::Error;

    fn busy() -> Error {
        Error::Busy { what: "a dependency", why: "throttled".to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_is_waited_out_with_growing_waits() {
        let (tries, started) = (Cell::new(0), Instant::now());
        let ended = retry_with_backoff(|| async {
            tries.set(tries.get() + 1);
            if tries.get() <= 4 { Err(busy()) } else { Ok("done") }
        });
        assert_eq!(ended.await.ok(), Some("done"));
        // 1 + 2 + 4 + 8 s, each between half and all of itself.
        let waited = started.elapsed();
        assert!((Duration::from_millis(7_500)..=Duration::from_secs(15)).contains(&waited), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let tries = Cell::new(0);
        let ended = retry_with_backoff(|| async {
            tries.set(tries.get() + 1);
            Err::<(), _>(busy())
        });
        assert!(ended.await.is_err_and(|error| error.is_transient()));
        assert_eq!(tries.get(), 1 + RETRIES);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waiting_does_not_help_is_not_waited_for() {
        let started = Instant::now();
        let full = retry_with_backoff(|| async { Err::<(), _>(Error::Full { what: "a disk" }) });
        assert!(matches!(full.await, Err(Error::Full { .. })));
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
