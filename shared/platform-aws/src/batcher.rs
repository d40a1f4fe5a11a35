//! Coalesces concurrent requests into SQS batch calls (at most 10 entries, an SQS limit).

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use quire_platform::Result;
use tokio::sync::{Mutex as AsyncMutex, oneshot};

use crate::batches::MAX_BATCH_ENTRIES;

/// How long a batch waits for more requests. The pages of a micro-batch complete one after the other, each in a
/// transaction on its task: this wait catches several of them, which halves the delete calls, and is short compared to
/// reading a page.
const GATHER_WAIT: Duration = Duration::from_millis(100);

/// Collects the items of concurrent requests. The request that holds the lock makes the call for all that are waiting:
/// there is no background task, and a dropped future does not lose another request's item.
#[derive(Debug)]
pub(crate) struct Batcher<T> {
    waiting: Mutex<Vec<WaitingItem<T>>>,
    calling: AsyncMutex<()>,
}

#[derive(Debug)]
struct WaitingItem<T> {
    item: T,
    done: oneshot::Sender<Result<()>>,
}

impl<T> Default for Batcher<T> {
    fn default() -> Self {
        Self { waiting: Mutex::default(), calling: AsyncMutex::default() }
    }
}

impl<T: Clone> Batcher<T> {
    /// Returns when a call was made for all items, by this or another request.
    pub(crate) async fn run<F>(&self, items: Vec<T>, call: impl Fn(Vec<T>) -> F) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        let wanted: Vec<_> = items.into_iter().map(|item| (self.enqueue(item.clone()), item)).collect();
        for (mut done, item) in wanted {
            loop {
                let answer = tokio::select! {
                    biased;
                    answer = &mut done => answer,
                    turn = self.calling.lock() => {
                        let batch = self.gather().await;
                        reply_to_all(&call(batch.iter().map(|one| one.item.clone()).collect()).await, batch);
                        drop(turn);
                        continue;
                    }
                };
                match answer {
                    Ok(answer) => break answer?,
                    // The request that took the item was dropped during the call, which may not have been made.
                    Err(_) => done = self.enqueue(item.clone()),
                }
            }
        }
        Ok(())
    }

    fn enqueue(&self, item: T) -> oneshot::Receiver<Result<()>> {
        let (done, answer) = oneshot::channel();
        self.with(|waiting| waiting.push(WaitingItem { item, done }));
        answer
    }

    /// Takes up to one batch of waiting items; waits for more unless the batch is full.
    async fn gather(&self) -> Vec<WaitingItem<T>> {
        if self.with(|waiting| waiting.len()) < MAX_BATCH_ENTRIES {
            tokio::time::sleep(GATHER_WAIT).await;
        }
        self.with(|waiting| waiting.drain(..waiting.len().min(MAX_BATCH_ENTRIES)).collect())
    }

    fn with<R>(&self, change: impl FnOnce(&mut Vec<WaitingItem<T>>) -> R) -> R {
        change(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn reply_to_all<T>(result: &Result<()>, batch: Vec<WaitingItem<T>>) {
    for one in batch {
        // The receiver may be dropped.
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
        batcher: Batcher<u32>,
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
            self.batcher.run(items, call).await
        }

        fn made(&self) -> Vec<Vec<u32>> {
            self.made.lock().expect("no panic").clone()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_requests_share_one_call() {
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
    async fn many_items_take_several_calls() {
        let calls = Calls::default();
        calls.run(Vec::new()).await.expect("nothing to do");
        calls.run((20..45).collect()).await.expect("done");
        assert_eq!(calls.made().iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_call_fails_all_its_requests() {
        let calls = Calls::default();
        let (one, other) = tokio::join!(calls.run(vec![13]), calls.run(vec![1]));
        assert!(one.is_err() && other.is_err());
        calls.run(vec![1]).await.expect("again");
        assert_eq!(calls.made(), [vec![1, 13], vec![1]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_request_blocks_no_other() {
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
        // Both are in the batch that is being called.
        tokio::time::sleep(GATHER_WAIT).await;
        leaving.abort();
        staying.await.expect("no panic").expect("done");
        assert_eq!(calls.made(), [vec![2]]);
    }
}
