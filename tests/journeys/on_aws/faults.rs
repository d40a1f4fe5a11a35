//! Workers that die, and pages that kill them.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::time::sleep;

use crate::{
    harness::{QUIRE, Receiver, Sheet, Upload, eventually, faulty, pdf},
    poison::{documents, outcomes},
};

use super::{emulator::pages_in_hand, stack::Stack, worker::Worker};

/// Five receives, each ended by a crash, and a lease of 30 s that runs out after each; twice that on a busy machine.
const POISON_LIMIT: Duration = Duration::from_mins(6);
/// What the worker does not finish it gives back after so many seconds.
const DRAIN_SECS: &str = "2";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_kills_its_worker_fails_alone_and_can_be_redriven() {
    let stack = Stack::poisoned().await;
    let receiver = Receiver::start().await;
    let poison = Sheet::new("Poison").magenta();
    let id = stack.api().submit(documents(poison), &receiver.url()).await.accepted();
    let task = ended_in_spite_of_crashes(stack, &id).await;
    assert_eq!(task["status"], "partially_succeeded", "{task:#}");
    assert_eq!(outcomes(&task), ["Before", "attempts_exhausted", "Behind", "Aside"]);
    assert_eq!(receiver.received(1).await[0].json()["status"], "partially_succeeded");
    stack.dead_letter("pages", &id).await;

    let _healthy = Worker::start(stack, Path::new(QUIRE), &[]);
    stack.quire(&["dead-letters", "redrive", "pages"]).await.printed();
    let deliveries = receiver.received(2).await;
    let task = stack.api().told(&id, "delivered").await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    assert_eq!(outcomes(&task), ["Before", "Poison", "Behind", "Aside"]);
    assert_ne!(deliveries[0].webhook_id(), deliveries[1].webhook_id(), "another end, another callback");
}

/// The task, once it has ended; a worker that has died is started again, as ECS would.
async fn ended_in_spite_of_crashes(stack: &Stack, id: &str) -> Value {
    let begun = Instant::now();
    let start = || Worker::start(stack, &faulty(), &[]);
    let mut worker = start();
    loop {
        let task = stack.api().task(id).await;
        if !is_open(&task) {
            return task;
        }
        assert!(begun.elapsed() < POISON_LIMIT, "it does not end: {task:#}");
        if !worker.runs() {
            worker = start();
        }
        sleep(Duration::from_millis(500)).await;
    }
}

fn is_open(task: &Value) -> bool {
    ["queued", "processing"].contains(&task["status"].as_str().expect("a status"))
}

/// A document of which a faulty worker reads all but one page, which it holds for ever.
async fn held_up(stack: &Stack, receiver: &Receiver, variables: &[(&str, &str)]) -> (String, Worker) {
    let worker = Worker::start(stack, &faulty(), variables);
    let sheets = [Sheet::new("Before"), Sheet::new("Held").cyan(), Sheet::new("Behind")];
    let id = stack.api().submit([Upload::new("three.pdf", pdf(&sheets))], &receiver.url()).await.accepted();
    eventually("the worker is stuck", || async { is_stuck(stack, &id).await.then_some(()) }).await;
    (id, worker)
}

/// It has pages in hand, and nothing has changed for longer than a page takes.
async fn is_stuck(stack: &Stack, id: &str) -> bool {
    let before = stack.api().task(id).await["progress"].clone();
    sleep(Duration::from_secs(3)).await;
    let task = stack.api().task(id).await;
    is_open(&task) && task["progress"] == before && pages_in_hand(stack).await > 0
}

/// All pages are read in the end, and the customer is told once.
async fn all_is_well(stack: &Stack, receiver: &Receiver, id: &str) {
    let task = stack.api().told(id, "delivered").await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    assert_eq!(outcomes(&task), ["Before", "Held", "Behind"]);
    assert_eq!(receiver.deliveries().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_in_the_middle_of_a_batch_is_taken_over_from() {
    let stack = Stack::apart("killed").await;
    let receiver = Receiver::start().await;
    let (id, mut killed) = held_up(&stack, &receiver, &[]).await;
    killed.kill().await;
    let _other = Worker::start(&stack, Path::new(QUIRE), &[]);
    all_is_well(&stack, &receiver, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_stopped_gives_back_at_once_what_it_cannot_finish() {
    let stack = Stack::apart("stopped").await;
    let receiver = Receiver::start().await;
    let agent = Receiver::start().await;
    let variables = [("QUIRE_DRAIN_SECS", DRAIN_SECS), ("ECS_AGENT_URI", &agent.missing(""))];
    let (id, mut stopped) = held_up(&stack, &receiver, &variables).await;
    assert!(stopped.is_alive().await, "a page that is held up is no reason to kill the worker");
    let protection = agent.received(1).await.remove(0);
    assert_eq!(protection.json()["ProtectionEnabled"], true, "ECS may not scale in what is at work");
    let asked = Instant::now();
    stopped.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(20), "it took {:?}:\n{}", asked.elapsed(), stopped.log());
    let _other = Worker::start(&stack, Path::new(QUIRE), &[]);
    let returned = Instant::now();
    all_is_well(&stack, &receiver, &id).await;
    assert!(returned.elapsed() < Duration::from_secs(25), "the lease ran out: it took {:?}", returned.elapsed());
}
