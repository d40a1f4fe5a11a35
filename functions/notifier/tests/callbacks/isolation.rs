//! One receiver that is dead and one that never answers, among eight good ones.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use quire_platform::enqueue_callback;

use crate::{
    OK,
    harness::{self, Harness},
    receiver::{ScriptedResponse, WebhookReceiver, dead},
};

const GOOD: usize = 8;
const CALLBACKS: usize = 20;
const NEVER: Duration = Duration::from_mins(10);

/// How long after its task's end each good receiver's callback came, sorted, where `bad` ones are told as well.
async fn delays(bad: &[String]) -> Vec<Duration> {
    let test = Harness::open().await;
    let mut good = Vec::new();
    for _ in 0..GOOD {
        good.push(WebhookReceiver::start([OK]).await);
    }
    let running =
        harness::run(test.notifier_by("1s,5s,15s".parse().expect("a schedule")).time_limit(Duration::from_secs(2)));
    let end = async |url: String| {
        let task = test.open_task(&url, 1, |task| task).await;
        let task = test.read(&task, 1, "Hello").await.task().clone();
        let ended = Instant::now();
        enqueue_callback(&test.backend, &task).await.expect("owed");
        (task.id.to_string(), ended)
    };
    let mut ended = HashMap::new();
    for _ in 0..CALLBACKS {
        let urls = bad.iter().cloned().chain(good.iter().map(WebhookReceiver::url));
        ended.extend(join_all(urls.map(&end)).await);
    }
    let mut delays = Vec::new();
    for receiver in &good {
        receiver.until_heard(CALLBACKS).await;
        for heard in receiver.heard() {
            let told: serde_json::Value = serde_json::from_slice(&heard.body).expect("JSON");
            let id = told["task_id"].as_str().expect("an id");
            delays.push(heard.at.saturating_duration_since(ended[id]));
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
async fn one_that_is_dead_and_one_that_never_answers_delay_nobody_else() {
    let never = WebhookReceiver::start([ScriptedResponse::Late(NEVER)]).await;
    let alone = delays(&[]).await;
    let among = delays(&[dead().await, never.url()]).await;
    assert_eq!((alone.len(), among.len()), (GOOD * CALLBACKS, GOOD * CALLBACKS), "each once");
    let (alone, among) = (p95(&alone), p95(&among));
    eprintln!("p95 of the good ones: {alone:?} alone, {among:?} among bad ones");
    // What a busy machine adds by chance is allowed for; one wait for the bad ones' places would be 2 s.
    assert!(among <= alone * 2 + Duration::from_millis(500), "{among:?} instead of {alone:?}");
    assert!(never.most_at_once() <= 8);
}
