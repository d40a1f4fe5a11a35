//! Concurrent work with a common deadline.

use std::{
    future::Future,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{task::JoinSet, time::timeout};
use tracing::{Instrument, error, warn};

/// Time reserved before a deadline for the response itself.
const FOR_THE_ANSWER: Duration = Duration::from_secs(3);

/// Returns the time left for work before a deadline in Unix milliseconds.
pub fn time_left(deadline_unix_millis: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_millis(deadline_unix_millis).saturating_sub(now).saturating_sub(FOR_THE_ANSWER)
}

/// Runs all futures concurrently and returns when they are done, or after `limit`. Returns the number of futures that
/// were canceled by the timeout. A panic in one does not affect the others.
///
/// For a process that is killed at a deadline, e.g. a Lambda function: it can still report all finished work.
pub async fn finish_within<F>(limit: Duration, work: impl IntoIterator<Item = F>) -> usize
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut pieces: JoinSet<()> = work.into_iter().map(Instrument::in_current_span).collect();
    let all = async {
        while let Some(ended) = pieces.join_next().await {
            if let Err(panic) = ended {
                error!(%panic, "a future panicked");
            }
        }
    };
    if timeout(limit, all).await.is_ok() {
        return 0;
    }
    let left = pieces.len();
    warn!(left, "deadline reached; canceling unfinished work");
    // Returns when all canceled futures are dropped, and with them e.g. their leases.
    pieces.shutdown().await;
    left
}

#[cfg(test)]
mod tests {
    use std::{pin::Pin, sync::Arc};

    use super::*;

    type Piece = Pin<Box<dyn Future<Output = ()> + Send>>;

    #[tokio::test(start_paused = true)]
    async fn a_panic_or_a_stuck_future_does_not_affect_the_others() {
        let done = Arc::new(());
        let held = Arc::new(());
        let ours = Arc::clone(&done);
        let theirs = Arc::clone(&held);
        let work: [Piece; 3] = [
            Box::pin(async { panic!("simulated by the test") }),
            Box::pin(async move {
                std::future::pending::<()>().await;
                drop(theirs);
            }),
            Box::pin(async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                drop(ours);
            }),
        ];
        assert_eq!(finish_within(Duration::from_secs(5), work).await, 1);
        assert_eq!(Arc::strong_count(&done), 1, "the other future ran to its end");
        assert_eq!(Arc::strong_count(&held), 1, "the stuck future was dropped");
    }

    #[test]
    fn a_deadline_reserves_time_for_the_response() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64;
        let left = time_left(now + 60_000);
        assert!(left > Duration::from_secs(50) && left <= Duration::from_secs(57), "{left:?}");
        assert_eq!((time_left(now), time_left(0)), (Duration::ZERO, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn finished_work_returns_before_the_deadline() {
        let began = tokio::time::Instant::now();
        assert_eq!(finish_within(Duration::from_mins(1), [std::future::ready(()), std::future::ready(())]).await, 0);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
