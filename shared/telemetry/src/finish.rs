//! Many pieces of work under one deadline.

use std::{
    future::Future,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{task::JoinSet, time::timeout};
use tracing::{Instrument, error, warn};

/// What is kept of the time until a deadline, for the answer itself.
const FOR_THE_ANSWER: Duration = Duration::from_secs(3);

/// How long there is to work until a deadline, in milliseconds since 1970-01-01 UTC, when an answer has to be out.
pub fn time_left(deadline_unix_millis: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_millis(deadline_unix_millis).saturating_sub(now).saturating_sub(FOR_THE_ANSWER)
}

/// Does all of this at the same time, and returns when it is done or after `limit`, whatever comes first; says how many
/// pieces were broken off. One that panics takes no other with it.
///
/// For whoever is killed at a deadline, as a Lambda is: what is done by then can still be reported.
pub async fn finish_within<F>(limit: Duration, work: impl IntoIterator<Item = F>) -> usize
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut pieces: JoinSet<()> = work.into_iter().map(Instrument::in_current_span).collect();
    let all = async {
        while let Some(ended) = pieces.join_next().await {
            if let Err(panic) = ended {
                error!(%panic, "a piece of work panicked");
            }
        }
    };
    if timeout(limit, all).await.is_ok() {
        return 0;
    }
    let left = pieces.len();
    warn!(left, "the time is over: what is not done is broken off");
    // Returns when each has let go of what it held.
    pieces.shutdown().await;
    left
}

#[cfg(test)]
mod tests {
    use std::{pin::Pin, sync::Arc};

    use super::*;

    type Piece = Pin<Box<dyn Future<Output = ()> + Send>>;

    #[tokio::test(start_paused = true)]
    async fn a_piece_that_panics_or_never_ends_takes_no_other_with_it() {
        let (done, held) = (Arc::new(()), Arc::new(()));
        let (ours, theirs) = (Arc::clone(&done), Arc::clone(&held));
        let work: [Piece; 3] = [
            Box::pin(async { panic!("as the test wants") }),
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
        assert_eq!(Arc::strong_count(&done), 1, "the good piece was done");
        assert_eq!(Arc::strong_count(&held), 1, "what the stuck piece held is let go");
    }

    #[test]
    fn a_deadline_leaves_time_for_the_answer_and_one_that_is_over_leaves_none() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64;
        let left = time_left(now + 60_000);
        assert!(left > Duration::from_secs(50) && left <= Duration::from_secs(57), "{left:?}");
        assert_eq!((time_left(now), time_left(0)), (Duration::ZERO, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_deadline_that_is_not_needed() {
        let began = tokio::time::Instant::now();
        assert_eq!(finish_within(Duration::from_mins(1), [std::future::ready(()), std::future::ready(())]).await, 0);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
