//! `DELETE /task/{task_id}`.

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use quire_platform::Error;
use quire_submit::{ingest_one, sweep_expired};
use quire_tasks::{ObjectKey, Outcome};
use serde_json::json;
use tokio::{net::TcpListener, sync::Notify};

use crate::support::{StoreFault, TestWorld, id, now};

const MISSING: &str = "task_not_found";

async fn assert_gone(world: &TestWorld, task_id: &str) {
    for path in ["", "/result", "/pages"] {
        world.get(&format!("/task/{task_id}{path}")).await.problem(404, MISSING);
    }
    for path in ["retry", "cancel"] {
        world.post_empty(&format!("/task/{task_id}/{path}")).await.problem(404, MISSING);
    }
    world.delete(&format!("/task/{task_id}")).await.problem(404, MISSING);
    assert_eq!(world.get("/task").await.json()["tasks"], json!([]));
    assert!(matches!(world.backend.tasks.task(id(task_id)).await, Err(Error::NotFound { .. })));
    assert_eq!(world.backend.tasks.pages(id(task_id)).await.expect("a list"), []);
}

/// Asserts that no object has the task's id in its key.
async fn assert_nothing_stored(world: &TestWorld, task_id: &str) {
    let kept = world.backend.objects.list("").await.expect("a list");
    assert_eq!(kept.iter().filter(|key| key.contains(task_id)).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[tokio::test]
async fn a_deleted_task_leaves_no_file() {
    let world = TestWorld::new().await;
    // In the bytes of the document and in its text.
    let task_id = world.submitted(&["pages=2 confidential_words", "pages=1 broken=1"]).await;
    let other = world.submitted(&["pages=1 words_of_another"]).await;
    world.ended(&task_id).await;
    world.ended(&other).await;
    assert_eq!(world.files_with("confidential_words").len(), 3, "a document and two pages");
    let answer = world.delete(&format!("/task/{task_id}")).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    assert_eq!(world.files_with("confidential_words"), Vec::<String>::new());
    assert_nothing_stored(&world, &task_id).await;
    assert_eq!(world.files_with("words_of_another").len(), 2, "others keep theirs");
    assert_eq!(world.get(&format!("/task/{other}")).await.status, 200);
    world.delete(&format!("/task/{other}")).await;
    assert_gone(&world, &task_id).await;
}

#[tokio::test]
async fn a_page_in_flight_of_a_deleted_task_leaves_nothing() {
    let world = TestWorld::without_worker(|_| {}).await;
    let task_id = world.submitted(&["pages=2"]).await;
    let page = world.task(&task_id).await.pages().next().expect("a page");
    assert_eq!(world.delete(&format!("/task/{task_id}")).await.status, 204);
    let late = world.backend.tasks.complete_page(page, 1, Outcome::succeeded(Some(0.9))).await;
    assert!(matches!(late, Err(Error::NotFound { .. })), "{late:?}");
    assert_gone(&world, &task_id).await;
    assert_nothing_stored(&world, &task_id).await;
}

#[tokio::test]
async fn a_wait_for_a_deleted_task_ends() {
    let world = TestWorld::without_worker(|_| {}).await;
    let task_id = world.submitted(&["pages=1"]).await;
    let path = format!("/task/{task_id}?wait=20");
    let delete = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.delete(&format!("/task/{task_id}")).await
    };
    let (waited, deleted) = tokio::join!(world.get(&path), delete);
    assert_eq!(deleted.status, 204);
    waited.problem(404, MISSING);
}

#[tokio::test]
async fn a_failed_deletion_hides_the_task_and_a_second_call_finishes_it() {
    let world = TestWorld::new().await;
    let task_id = world.submitted(&["pages=1 confidential_words"]).await;
    world.ended(&task_id).await;
    world.faults.set(Some(StoreFault::Broken));
    let path = format!("/task/{task_id}");
    world.delete(&path).await.problem(500, "internal");
    world.get(&path).await.problem(404, MISSING);
    assert_eq!(world.get("/task").await.json()["tasks"], json!([]));
    world.delete(&path).await.problem(500, "internal");
    assert!(sweep_expired(&world.backend, now()).await.is_err(), "the sweep cannot either");
    world.faults.set(None);
    assert_eq!(world.delete(&path).await.status, 204);
    assert_eq!(world.files_with("confidential_words"), Vec::<String>::new());
    assert_gone(&world, &task_id).await;
}

#[tokio::test]
async fn a_deletion_is_finished_after_a_disconnect() {
    let world = TestWorld::new().await;
    let task_id = world.submitted(&["pages=1 confidential_words"]).await;
    world.ended(&task_id).await;
    world.faults.set(Some(StoreFault::Slow));
    let request = world.client.delete(world.url(&format!("/task/{task_id}"))).timeout(Duration::from_millis(200));
    assert!(request.send().await.is_err_and(|error| error.is_timeout()), "the store is slow");
    world.app.drained().await;
    assert_eq!(world.files_with("confidential_words"), Vec::<String>::new());
    assert_gone(&world, &task_id).await;
}

#[tokio::test]
async fn concurrent_deletions_all_succeed() {
    let world = TestWorld::new().await;
    let task_id = world.submitted(&["pages=3"]).await;
    world.ended(&task_id).await;
    let path = format!("/task/{task_id}");
    let answers = futures_util::future::join_all((0..8).map(|_| world.delete(&path))).await;
    assert!(answers.iter().any(|answer| answer.status == 204));
    for answer in answers.iter().filter(|answer| answer.status != 204) {
        answer.problem(404, MISSING);
    }
    assert_gone(&world, &task_id).await;
    assert_nothing_stored(&world, &task_id).await;
}

#[tokio::test]
async fn a_document_in_flight_of_a_deleted_task_leaves_nothing() {
    let world = TestWorld::without_worker(|_| {}).await;
    let (asked, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (was_asked, may_answer) = (Arc::clone(&asked), Arc::clone(&answer));
    let slow = async move || {
        was_asked.notify_one();
        may_answer.notified().await;
        "pages=1 confidential_words"
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/slow", listener.local_addr().expect("an address"));
    let server = axum::serve(listener, Router::new().route("/slow", get(slow))).into_future();
    let test = async {
        let task_id = world.post_json("/ocr/async", &json!({"image_url": url})).await.json()["task_id"].clone();
        let task_id = task_id.as_str().expect("a task id");
        let (_consumer, delivery) = world.document_delivery().await;
        let delete = async {
            asked.notified().await;
            assert_eq!(world.delete(&format!("/task/{task_id}")).await.status, 204);
            answer.notify_one();
        };
        let (ingested, ()) = tokio::join!(ingest_one(&world.app, delivery), delete);
        ingested.expect("that a task is deleted is no error");
        assert_nothing_stored(&world, task_id).await;
        assert_gone(&world, task_id).await;
    };
    tokio::select! {
        () = test => {}
        _ = server => unreachable!("the server never ends"),
    }
    assert_eq!(world.files_with("confidential_words"), Vec::<String>::new());
}

#[tokio::test]
async fn only_its_owner_can_delete_a_task() {
    let world = TestWorld::new().await;
    let task_id = world.submitted(&["pages=1"]).await;
    world.ended(&task_id).await;
    let mut of_another = world.task(&task_id).await;
    of_another.id = quire_tasks::TaskId::derive_from(&["of another"]);
    of_another.tenant = "another".parse().expect("a tenant");
    let of_another = world.backend.tasks.create(of_another).await.expect("created").task().id;
    let key = ObjectKey::Document { task_id: of_another, document: 1 }.to_string();
    world.backend.objects.put(&key, "pages=1".into()).await.expect("stored");
    world.delete(&format!("/task/{of_another}")).await.problem(404, MISSING);
    assert!(world.backend.objects.read(&key).await.is_ok() && world.backend.tasks.task(of_another).await.is_ok());
    for wrong in ["task_00000000000000000000000000000000", "1", "%ff"] {
        world.delete(&format!("/task/{wrong}")).await.problem(404, MISSING);
    }
}
