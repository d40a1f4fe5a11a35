//! `POST /task/{task_id}/cancel`.

use std::time::{Duration, Instant};

use quire_platform::QueueName;
use quire_submit::sweep;
use quire_tasks::{Outcome, UnixMillis};
use serde_json::json;

use crate::support::{Part, World, images};

async fn submitted(world: &World, contents: &[&str]) -> String {
    let mut parts = images(contents);
    parts.push(Part { field: "callback_url", file: None, content: "https://example.com/hook" });
    let answer = world.post("/ocr/async", &parts).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    world.door.drained().await;
    answer.json()["task_id"].as_str().expect("a task id").to_owned()
}

#[tokio::test]
async fn a_canceled_task_has_ended_keeps_what_was_read_and_tells_its_customer() {
    let world = World::without_worker(|_| {}).await;
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
async fn a_page_that_ends_after_its_task_was_canceled_changes_nothing() {
    let world = World::without_worker(|_| {}).await;
    let id = submitted(&world, &["pages=1"]).await;
    let page = world.task(&id).await.pages().next().expect("a page");
    let canceled = world.post_empty(&format!("/task/{id}/cancel")).await.json();
    let late = world.backend.tasks.complete_page(page, 1, Outcome::succeeded(Some(0.9))).await.expect("it is no error");
    assert!(!late.changed());
    assert_eq!(world.get(&format!("/task/{id}")).await.json(), canceled);
}

#[tokio::test]
async fn cancel_and_the_last_page_race_and_one_of_them_wins() {
    let world = World::without_worker(|_| {}).await;
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
async fn a_document_that_was_still_to_be_fetched_is_canceled_too_and_fetched_no_more() {
    let world = World::without_worker(|_| {}).await;
    // Nobody listens there, and nobody is asked.
    let answer = world.post_json("/ocr/async", &json!({"image_url": "http://127.0.0.1:9/a.pdf"})).await;
    let id = answer.json()["task_id"].as_str().expect("a task id").to_owned();
    world.reaches(QueueName::Documents, 1).await;
    let task = world.post_empty(&format!("/task/{id}/cancel")).await.json();
    assert_eq!((&task["status"], &task["documents"][0]["status"]), (&json!("canceled"), &json!("canceled")));
    let (_consumer, delivery) = world.document_delivery().await;
    quire_submit::ingest_one(&world.door, delivery).await.expect("the backend does not fail");
    assert_eq!(world.get(&format!("/task/{id}")).await.json(), task);
    assert_eq!(world.depth(QueueName::Documents).await, 0);
}

#[tokio::test]
async fn a_wait_ends_when_the_task_is_canceled() {
    let world = World::without_worker(|_| {}).await;
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
async fn the_messages_of_a_task_that_was_canceled_before_they_were_sent_are_not_sent() {
    let world = World::without_worker(|_| {}).await;
    let id = world.submitted(&["pages=2"]).await;
    world.reaches(QueueName::Pages, 2).await;
    world.post_empty(&format!("/task/{id}/cancel")).await;
    // A round that somebody opened and canceled before anybody had sent its messages.
    world.backend.tasks.reopen(world.task(&id).await.id, quire_platform::Reopen::All).await.expect("opened");
    world.post_empty(&format!("/task/{id}/cancel")).await;
    sweep(&world.backend, UnixMillis(i64::MAX)).await.expect("a sweep");
    assert_eq!(world.depth(QueueName::Pages).await, 2, "those of the first round");
}

#[tokio::test]
async fn what_has_ended_otherwise_and_what_is_not_there_cannot_be_canceled() {
    let world = World::new().await;
    let id = world.submitted(&["pages=1"]).await;
    let task = world.ended(&id).await;
    let problem = world.post_empty(&format!("/task/{id}/cancel")).await.problem(409, "task_ended");
    assert_eq!((&problem["task_id"], &problem["retryable"]), (&json!(id), &json!(false)));
    assert_eq!(world.get(&format!("/task/{id}")).await.json(), task);
    let nowhere = "/task/task_00000000000000000000000000000000/cancel";
    world.post_empty(nowhere).await.problem(404, "task_not_found");
    world.get(&format!("/task/{id}/cancel")).await.problem(405, "method_not_allowed");
}
