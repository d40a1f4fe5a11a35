//! The trace of a request: kept in its task, and with every message about it.

use quire_platform::QueueName;
use quire_tasks::Task;
use serde_json::json;

use crate::support::{Answer, World};

const THEIRS: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn submitted(world: &World, traceparent: Option<&str>) -> Task {
    let mut request =
        world.client.post(world.url("/ocr/async")).json(&json!({"image_url": "https://example.com/a.pdf"}));
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    let answer = Answer::of(request.send().await.expect("an answer")).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let id = answer.json()["task_id"].as_str().expect("a task id").parse().expect("an id");
    world.backend.tasks.task(id).await.expect("the task")
}

#[tokio::test]
async fn a_client_s_trace_is_kept_in_the_task_and_goes_with_its_messages() {
    let world = World::without_worker(|_| {}).await;
    let task = submitted(&world, Some(THEIRS)).await;
    assert_eq!(task.trace.map(|trace| trace.to_string()).as_deref(), Some(THEIRS));
    let queue = world.backend.queue(QueueName::Documents);
    let received = queue.receive(1, std::time::Duration::from_secs(10)).await.expect("received");
    assert_eq!(received[0].trace.as_deref(), Some(THEIRS));
}

#[tokio::test]
async fn without_a_trace_that_can_be_read_a_task_gets_one_of_its_own() {
    let world = World::without_worker(|_| {}).await;
    let mut seen = Vec::new();
    for wrong in [None, Some("nonsense"), Some("00-00000000000000000000000000000000-00f067aa0ba902b7-01")] {
        let trace = submitted(&world, wrong).await.trace.expect("a trace");
        assert!(!seen.contains(&trace), "each its own");
        seen.push(trace);
    }
}
