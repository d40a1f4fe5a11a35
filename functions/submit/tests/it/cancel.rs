//! `POST /task/{task_id}/cancel`.

use std::time::{Duration, Instant};

use quire_platform::QueueName;
use quire_submit::sweep_undispatched;
use quire_tasks::{Outcome, UnixMillis};
use serde_json::json;

use crate::support::{FormPart, TestWorld, images};

async fn submitted(world: &TestWorld, contents: &[&str]) -> String {
    let mut parts = images(contents);
    parts.push(FormPart { field: "callback_url", file: None, content: "https://example.com/hook" });
    let answer = world.post("/ocr/async", &parts).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    world.app.drained().await;
    answer.json()["task_id"].as_str().expect("a task id").to_owned()
}

#[tokio::test]
async fn a_canceled_task_keeps_its_text_and_sends_its_callback() {
    let world = TestWorld::without_worker(|_| {}).await;
    let id = submitted(&world, &["pages=3", "garbage"]).await;
    world.read_page(&id, 1, 2, "read in time").await;
    let answer = world.post_empty(&format!("/task/{id}/cancel")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let task = answer.json();
    assert_eq!((&task["status"], task["ended_at"].is_string()), (&json!("canceled"), true));
    assert_eq!(task["progress"], json!({"pages": 4, "open": 0, "succeeded": 1, "failed": 1, "canceled": 2}));
    let document = &task["documents"][0];
    let status: Vec<&str> = (0..3).filter_map(|page| document["pages"][page]["status"].as_str()).collect();
    assert_eq!((status, &document["status"]), (vec!["canceled", "succeeded", "canceled"], &json!("canceled")));
    assert_eq!(document["text"], "read in time");
    assert_eq!(world.depth(QueueName::Callbacks).await, 1);
    let seen = world.get(&format!("/task/{id}")).await;
    assert_eq!((seen.json(), seen.header("etag")), (task.clone(), answer.header("etag")));

    let again = world.post_empty(&format!("/task/{id}/cancel")).await;
    assert_eq!((again.status, again.json()), (200, task), "as it was");
}

#[tokio::test]
async fn a_page_that_ends_after_the_cancellation_changes_nothing() {
    let world = TestWorld::without_worker(|_| {}).await;
    let id = submitted(&world, &["pages=1"]).await;
    let page = world.task(&id).await.pages().next().expect("a page");
    let canceled = world.post_empty(&format!("/task/{id}/cancel")).await.json();
    let late = world.backend.tasks.complete_page(page, 1, Outcome::succeeded(Some(0.9))).await.expect("it is no error");
    assert!(!late.changed());
    assert_eq!(world.get(&format!("/task/{id}")).await.json(), canceled);
}

#[tokio::test]
async fn a_race_of_cancel_and_the_last_page_has_one_winner() {
    let world = TestWorld::without_worker(|_| {}).await;
    for _ in 0..20 {
        let id = world.submitted(&["pages=1"]).await;
        let page = world.task(&id).await.pages().next().expect("a page");
        let path = format!("/task/{id}/cancel");
        let outcome = Outcome::Failed(quire_tasks::Failure::new(quire_tasks::FailureCode::UnreadablePage, "broken"));
        let complete = world.backend.tasks.complete_page(page, 1, outcome);
        let (answer, completion) = tokio::join!(world.post_empty(&path), complete);
        let task = world.get(&format!("/task/{id}")).await.json();
        if completion.expect("it is no error").changed() {
            answer.problem(409, "task_ended");
            assert_eq!((&task["status"], &task["progress"]["failed"]), (&json!("failed"), &json!(1)));
        } else {
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert_eq!((&task["status"], &task["progress"]["canceled"]), (&json!("canceled"), &json!(1)));
        }
    }
}

#[tokio::test]
async fn a_pending_document_is_canceled_and_not_fetched() {
    let world = TestWorld::without_worker(|_| {}).await;
    // A closed port: no request may be sent.
    let answer = world.post_json("/ocr/async", &json!({"image_url": "http://127.0.0.1:9/a.pdf"})).await;
    let id = answer.json()["task_id"].as_str().expect("a task id").to_owned();
    world.reaches(QueueName::Documents, 1).await;
    let task = world.post_empty(&format!("/task/{id}/cancel")).await.json();
    assert_eq!((&task["status"], &task["documents"][0]["status"]), (&json!("canceled"), &json!("canceled")));
    let (_consumer, delivery) = world.document_delivery().await;
    quire_submit::ingest_one(&world.app, delivery).await.expect("the backend does not fail");
    assert_eq!(world.get(&format!("/task/{id}")).await.json(), task);
    assert_eq!(world.depth(QueueName::Documents).await, 0);
}

#[tokio::test]
async fn a_wait_ends_when_the_task_is_canceled() {
    let world = TestWorld::without_worker(|_| {}).await;
    let id = world.submitted(&["pages=1"]).await;
    let (begun, path) = (Instant::now(), format!("/task/{id}?wait=20"));
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.post_empty(&format!("/task/{id}/cancel")).await
    };
    let (waited, canceled) = tokio::join!(world.get(&path), cancel);
    assert_eq!((waited.json(), waited.header("retry-after")), (canceled.json(), None));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_canceled_task_is_not_dispatched() {
    let world = TestWorld::without_worker(|_| {}).await;
    let id = world.submitted(&["pages=2"]).await;
    world.reaches(QueueName::Pages, 2).await;
    world.post_empty(&format!("/task/{id}/cancel")).await;
    // A round that was opened and canceled before its messages were sent.
    world.backend.tasks.reopen(world.task(&id).await.id, quire_platform::Reopen::All).await.expect("opened");
    world.post_empty(&format!("/task/{id}/cancel")).await;
    sweep_undispatched(&world.backend, UnixMillis(i64::MAX)).await.expect("a sweep");
    assert_eq!(world.depth(QueueName::Pages).await, 2, "those of the first round");
}

#[tokio::test]
async fn an_ended_or_unknown_task_cannot_be_canceled() {
    let world = TestWorld::new().await;
    let id = world.submitted(&["pages=1"]).await;
    let task = world.ended(&id).await;
    let problem = world.post_empty(&format!("/task/{id}/cancel")).await.problem(409, "task_ended");
    assert_eq!((&problem["task_id"], &problem["retryable"]), (&json!(id), &json!(false)));
    assert_eq!(world.get(&format!("/task/{id}")).await.json(), task);
    let nowhere = "/task/task_00000000000000000000000000000000/cancel";
    world.post_empty(nowhere).await.problem(404, "task_not_found");
    world.get(&format!("/task/{id}/cancel")).await.problem(405, "method_not_allowed");
}
