//! The retry policy for calls to dependencies: one definition for every crate that retries.

use std::time::Duration;

/// Exponential backoff: the first wait, doubled after each failure up to the longest, each multiplied by a random
/// factor between 0.5 and 1, so that clients that failed together do not retry together.
///
/// ```
/// let policy = quire_tasks::DEPENDENCY_RETRY_POLICY;
/// assert_eq!(policy.max_wait.as_secs(), 8);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The wait before the first retry.
    pub first_wait: Duration,
    /// The longest wait between two attempts.
    pub max_wait: Duration,
    /// The number of retries after the first attempt.
    pub max_retries: usize,
}

/// The policy for calls to dependencies: with these waits, retries go on for 15 to 31 seconds.
pub const DEPENDENCY_RETRY_POLICY: RetryPolicy =
    RetryPolicy { first_wait: Duration::from_secs(1), max_wait: Duration::from_secs(8), max_retries: 6 };
