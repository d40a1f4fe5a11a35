//! The retry policy for calls to dependencies, in one place.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use crate::Result;

/// First wait; the next are twice as long each, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// How often a call is tried again: with the waits above, for about half a minute.
const RETRIES: usize = 6;

/// Calls `operation` until it ends with something else than a transient error, or patience ends.
///
/// # Errors
/// The last error of `operation`.
pub async fn patiently<T, F>(operation: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let policy = ExponentialBuilder::default()
        .with_min_delay(FIRST_WAIT)
        .with_max_delay(LONGEST_WAIT)
        .with_max_times(RETRIES)
        .with_jitter();
    operation.retry(policy).when(crate::Error::is_transient).await
}
