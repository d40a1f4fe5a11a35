//! The trace of a request: stored in its task and in every message.

use quire_platform::QueueName;
use quire_tasks::Task;
use serde_json::json;

use crate::support::{TestResponse, TestWorld};

const THEIRS: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn submitted(world: &TestWorld, traceparent: Option<&str>) -> Task {
    let mut request =
        world.client.post(world.url("/ocr/async")).json(&json!({"image_url": "https://example.com/a.pdf"}));
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    let answer = TestResponse::read(request.send().await.expect("an answer")).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let id = answer.json()["task_id"].as_str().expect("a task id").parse().expect("an id");
    world.backend.tasks.task(id).await.expect("the task")
}

#[tokio::test]
async fn the_client_s_trace_is_stored_in_the_task_and_its_messages() {
    let world = TestWorld::without_worker(|_| {}).await;
    let task = submitted(&world, Some(THEIRS)).await;
    assert_eq!(task.trace.map(|trace| trace.to_string()).as_deref(), Some(THEIRS));
    let queue = world.backend.queue(QueueName::Documents);
    let received = queue.receive(1, std::time::Duration::from_secs(10)).await.expect("received");
    assert_eq!(received[0].trace.as_deref(), Some(THEIRS));
}

#[tokio::test]
async fn without_a_valid_trace_a_task_gets_a_new_one() {
    let world = TestWorld::without_worker(|_| {}).await;
    let mut seen = Vec::new();
    for wrong in [None, Some("nonsense"), Some("00-00000000000000000000000000000000-00f067aa0ba902b7-01")] {
        let trace = submitted(&world, wrong).await.trace.expect("a trace");
        assert!(!seen.contains(&trace), "each its own");
        seen.push(trace);
    }
}
