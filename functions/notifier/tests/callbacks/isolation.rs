//! An unreachable receiver and one that never responds, among eight working ones.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use quire_platform::enqueue_callback;

use crate::{
    OK,
    harness::{self, NotifierHarness},
    receiver::{ScriptedReceiver, ScriptedResponse, unreachable_url},
};

const GOOD: usize = 8;
const CALLBACKS: usize = 20;
const NEVER: Duration = Duration::from_mins(10);

/// Returns the sorted delays between a task's end and its callback at the working receivers, while callbacks are also
/// sent to the `failing` ones.
async fn delays(failing: &[String]) -> Vec<Duration> {
    let test = NotifierHarness::open().await;
    let mut good = Vec::new();
    for _ in 0..GOOD {
        good.push(ScriptedReceiver::start([OK]).await);
    }
    let running = harness::run(
        test.notifier_by("1s,5s,15s".parse().expect("a schedule")).with_response_timeout(Duration::from_secs(2)),
    );
    let end = async |url: String| {
        let task = test.open_task(&url, 1, |task| task).await;
        let task = test.read(&task, 1, "Hello").await.task().clone();
        let ended = Instant::now();
        enqueue_callback(&test.backend, &task).await.expect("enqueued");
        (task.id.to_string(), ended)
    };
    let mut ended = HashMap::new();
    for _ in 0..CALLBACKS {
        let urls = failing.iter().cloned().chain(good.iter().map(ScriptedReceiver::url));
        ended.extend(join_all(urls.map(&end)).await);
    }
    let mut delays = Vec::new();
    for receiver in &good {
        receiver.wait_for_requests(CALLBACKS).await;
        for request in receiver.requests() {
            let payload: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
            let id = payload["task_id"].as_str().expect("an id");
            delays.push(request.at.saturating_duration_since(ended[id]));
        }
    }
    drop(running);
    delays.sort_unstable();
    delays
}

fn p95(delays: &[Duration]) -> Duration {
    delays[delays.len() * 95 / 100]
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_receivers_do_not_delay_callbacks_to_others() {
    let never = ScriptedReceiver::start([ScriptedResponse::Delayed(NEVER)]).await;
    let alone = delays(&[]).await;
    let among = delays(&[unreachable_url().await, never.url()]).await;
    assert_eq!((alone.len(), among.len()), (GOOD * CALLBACKS, GOOD * CALLBACKS), "each once");
    let (alone, among) = (p95(&alone), p95(&among));
    eprintln!("p95 of the working receivers: {alone:?} alone, {among:?} with failing ones");
    // The margin allows for a loaded machine; one wait for a failing receiver's timeout would be 2 s.
    assert!(among <= alone * 2 + Duration::from_millis(500), "{among:?} instead of {alone:?}");
    assert!(never.max_concurrent() <= 8);
}
