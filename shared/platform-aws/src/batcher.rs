//! What several callers want done at the same moment, done by one call of up to ten.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use quire_platform::Result;
use tokio::sync::{Mutex as Turn, oneshot};

use crate::batches::BATCH;

/// How long the first caller waits for others. The pages of one micro-batch end one after the other, each by a
/// transaction on their task: this catches several of them, which halves the deletions, and is short beside reading a page.
const GATHERING: Duration = Duration::from_millis(100);

/// Collects what callers bring. One of them, whose turn it is, makes the call for all that have come by then; there is
/// no task in the background, and a caller that goes away takes nothing with it.
#[derive(Debug)]
pub(crate) struct Together<T> {
    waiting: Mutex<Vec<Waiting<T>>>,
    turn: Turn<()>,
}

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    done: oneshot::Sender<Result<()>>,
}

impl<T> Default for Together<T> {
    fn default() -> Self {
        Self { waiting: Mutex::default(), turn: Turn::default() }
    }
}

impl<T: Clone> Together<T> {
    /// Returns when `call` has been made for all of these items, by whomever.
    pub(crate) async fn run<F>(&self, items: Vec<T>, call: impl Fn(Vec<T>) -> F) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        let wanted: Vec<_> = items.into_iter().map(|item| (self.bring(item.clone()), item)).collect();
        for (mut done, item) in wanted {
            loop {
                let answer = tokio::select! {
                    biased;
                    answer = &mut done => answer,
                    turn = self.turn.lock() => {
                        let batch = self.gather().await;
                        answer_all(&call(batch.iter().map(|one| one.item.clone()).collect()).await, batch);
                        drop(turn);
                        continue;
                    }
                };
                match answer {
                    Ok(answer) => break answer?,
                    // Whoever had taken it went away in the midst of the call: it may not have been made.
                    Err(_) => done = self.bring(item.clone()),
                }
            }
        }
        Ok(())
    }

    fn bring(&self, item: T) -> oneshot::Receiver<Result<()>> {
        let (done, answer) = oneshot::channel();
        self.with(|waiting| waiting.push(Waiting { item, done }));
        answer
    }

    /// Up to as many as fit one call; at once where there are that many.
    async fn gather(&self) -> Vec<Waiting<T>> {
        if self.with(|waiting| waiting.len()) < BATCH {
            tokio::time::sleep(GATHERING).await;
        }
        self.with(|waiting| waiting.drain(..waiting.len().min(BATCH)).collect())
    }

    fn with<R>(&self, change: impl FnOnce(&mut Vec<Waiting<T>>) -> R) -> R {
        change(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn answer_all<T>(result: &Result<()>, batch: Vec<Waiting<T>>) {
    for one in batch {
        // Whoever no longer waits for it need not know.
        let _ = one.done.send(result.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinSet;

    use super::*;
    use quire_platform::Error;

    #[derive(Debug, Default)]
    struct Calls {
        together: Together<u32>,
        made: Mutex<Vec<Vec<u32>>>,
    }

    impl Calls {
        async fn run(&self, items: Vec<u32>) -> Result<()> {
            let call = |mut batch: Vec<u32>| async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                batch.sort_unstable();
                let failed = batch.contains(&13);
                self.made.lock().expect("no panic").push(batch);
                if failed { Err(Error::Failed { what: "a call", why: "13".to_owned() }) } else { Ok(()) }
            };
            self.together.run(items, call).await
        }

        fn made(&self) -> Vec<Vec<u32>> {
            self.made.lock().expect("no panic").clone()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_at_the_same_moment_takes_one_call() {
        let calls = Arc::new(Calls::default());
        let mut callers = JoinSet::new();
        for n in 0..8 {
            let calls = Arc::clone(&calls);
            callers.spawn(async move { calls.run(vec![n]).await });
        }
        assert!(callers.join_all().await.iter().all(Result::is_ok));
        assert_eq!(calls.made(), [(0..8).collect::<Vec<_>>()]);
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_fit_one_call_take_several_and_nothing_takes_none() {
        let calls = Calls::default();
        calls.run(Vec::new()).await.expect("nothing to do");
        calls.run((20..45).collect()).await.expect("done");
        assert_eq!(calls.made().iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn everybody_in_a_call_that_fails_learns_of_it_and_the_next_call_is_made_anew() {
        let calls = Calls::default();
        let (one, other) = tokio::join!(calls.run(vec![13]), calls.run(vec![1]));
        assert!(one.is_err() && other.is_err());
        calls.run(vec![1]).await.expect("again");
        assert_eq!(calls.made(), [vec![1, 13], vec![1]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_goes_away_in_its_turn_leaves_nobody_waiting() {
        let calls = Arc::new(Calls::default());
        let leaving = tokio::spawn({
            let calls = Arc::clone(&calls);
            async move { calls.run(vec![1]).await }
        });
        tokio::time::sleep(Duration::from_millis(10)).await;
        let staying = tokio::spawn({
            let calls = Arc::clone(&calls);
            async move { calls.run(vec![2]).await }
        });
        // Both have been taken into the call that is now under way.
        tokio::time::sleep(GATHERING).await;
        leaving.abort();
        staying.await.expect("no panic").expect("done");
        assert_eq!(calls.made(), [vec![2]]);
    }
}
