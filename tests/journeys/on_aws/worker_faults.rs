//! Crashed and stopped workers on AWS, and pages that crash them.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::time::sleep;

use crate::{
    harness::{CallbackReceiver, QUIRE, TestPage, UploadFile, eventually, faulty_quire, pdf},
    poison_pages::{documents, outcomes},
};

use super::{emulator::pages_in_flight, stack::EmulatedStack, stack_worker::StackWorker};

/// Five receives, each ended by a crash, with a visibility timeout of 30 s each; doubled for a busy machine.
const POISON_LIMIT: Duration = Duration::from_mins(6);
/// The drain timeout of the worker.
const DRAIN_SECS: &str = "2";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_kills_its_worker_fails_alone_and_can_be_redriven() {
    let stack = EmulatedStack::poisoned().await;
    let receiver = CallbackReceiver::start().await;
    let poison = TestPage::new("Poison").magenta();
    let id = stack.api().submit(documents(poison), &receiver.url()).await.accepted_task_id();
    let task = await_end_with_restarts(stack, &id).await;
    assert_eq!(task["status"], "partially_succeeded", "{task:#}");
    assert_eq!(outcomes(&task), ["Before", "attempts_exhausted", "Behind", "Aside"]);
    assert_eq!(receiver.await_callbacks(1).await[0].json()["status"], "partially_succeeded");
    stack.await_dead_letter("pages", &id).await;

    let _healthy = StackWorker::start(stack, Path::new(QUIRE), &[]);
    stack.quire(&["dead-letters", "redrive", "pages"]).await.expect_stdout();
    let deliveries = receiver.await_callbacks(2).await;
    let task = stack.api().await_callback(&id, "delivered").await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    assert_eq!(outcomes(&task), ["Before", "Poison", "Behind", "Aside"]);
    assert_ne!(deliveries[0].webhook_id(), deliveries[1].webhook_id(), "the redriven task has its own callback");
}

/// Waits until the task ends, and restarts crashed workers, as ECS does.
async fn await_end_with_restarts(stack: &EmulatedStack, id: &str) -> Value {
    let begun = Instant::now();
    let start = || StackWorker::start(stack, &faulty_quire(), &[]);
    let mut worker = start();
    loop {
        let task = stack.api().task(id).await;
        if !is_open(&task) {
            return task;
        }
        assert!(begun.elapsed() < POISON_LIMIT, "timeout: the task does not end: {task:#}");
        if !worker.is_running() {
            worker = start();
        }
        sleep(Duration::from_millis(500)).await;
    }
}

fn is_open(task: &Value) -> bool {
    ["queued", "processing"].contains(&task["status"].as_str().expect("a status"))
}

/// Submits a document and starts a faulty worker that never finishes one of its pages. Returns the task id and the
/// worker.
async fn start_stuck_worker(
    stack: &EmulatedStack,
    receiver: &CallbackReceiver,
    variables: &[(&str, &str)],
) -> (String, StackWorker) {
    let worker = StackWorker::start(stack, &faulty_quire(), variables);
    let sheets = [TestPage::new("Before"), TestPage::new("Held").cyan(), TestPage::new("Behind")];
    let id = stack.api().submit([UploadFile::new("three.pdf", pdf(&sheets))], &receiver.url()).await.accepted_task_id();
    eventually("the worker is stuck", || async { is_stuck(stack, &id).await.then_some(()) }).await;
    (id, worker)
}

/// Whether pages are in flight and the progress has not changed for longer than a page takes.
async fn is_stuck(stack: &EmulatedStack, id: &str) -> bool {
    let before = stack.api().task(id).await["progress"].clone();
    sleep(Duration::from_secs(3)).await;
    let task = stack.api().task(id).await;
    is_open(&task) && task["progress"] == before && pages_in_flight(stack).await > 0
}

/// Asserts that all pages succeed and that one callback is delivered.
async fn assert_all_succeed(stack: &EmulatedStack, receiver: &CallbackReceiver, id: &str) {
    let task = stack.api().await_callback(id, "delivered").await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    assert_eq!(outcomes(&task), ["Before", "Held", "Behind"]);
    assert_eq!(receiver.callbacks().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_a_killed_worker_are_read_by_another() {
    let stack = EmulatedStack::apart("killed").await;
    let receiver = CallbackReceiver::start().await;
    let (id, mut killed) = start_stuck_worker(&stack, &receiver, &[]).await;
    killed.kill().await;
    let _other = StackWorker::start(&stack, Path::new(QUIRE), &[]);
    assert_all_succeed(&stack, &receiver, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_worker_releases_the_pages_it_cannot_finish() {
    let stack = EmulatedStack::apart("stopped").await;
    let receiver = CallbackReceiver::start().await;
    let agent = CallbackReceiver::start().await;
    let variables = [("QUIRE_DRAIN_SECS", DRAIN_SECS), ("ECS_AGENT_URI", &agent.url_of(""))];
    let (id, mut stopped) = start_stuck_worker(&stack, &receiver, &variables).await;
    assert!(stopped.is_alive().await, "a hanging page does not fail the health check");
    let protection = agent.await_callbacks(1).await.remove(0);
    assert_eq!(protection.json()["ProtectionEnabled"], true, "scale-in protection is on while pages are in flight");
    let stop_requested = Instant::now();
    stopped.stop().await;
    assert!(
        stop_requested.elapsed() < Duration::from_secs(20),
        "it took {:?}:\n{}",
        stop_requested.elapsed(),
        stopped.log()
    );
    let _other = StackWorker::start(&stack, Path::new(QUIRE), &[]);
    let released = Instant::now();
    assert_all_succeed(&stack, &receiver, &id).await;
    assert!(
        released.elapsed() < Duration::from_secs(25),
        "the lease was not released: it took {:?}",
        released.elapsed()
    );
}
