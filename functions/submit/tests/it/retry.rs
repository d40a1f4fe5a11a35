//! `POST /task/{task_id}/retry`.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::{Router, http::StatusCode, routing::get};
use quire_platform::{QueueName, Reopen};
use quire_submit::{ingest_one, sweep_undispatched};
use quire_tasks::{CallbackState, CallbackUpdate, DocumentState, Failure, FailureCode, ObjectKey, UnixMillis};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{FormPart, TestWorld, body, boundary, id, image};

async fn retry(world: &TestWorld, task_id: &str, pages: &str) -> Value {
    let answer = world.post_json(&format!("/task/{task_id}/retry"), &json!({"pages": pages})).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert_eq!(answer.header("location"), answer.json()["status_url"].as_str());
    answer.json()
}

/// Replaces a stored document.
async fn replace(world: &TestWorld, task_id: &str, document: u32, text: &'static str) {
    let key = ObjectKey::Document { task_id: id(task_id), document }.to_string();
    world.backend.objects.put(&key, text.into()).await.expect("stored");
}

/// A server whose document is missing on the first request.
async fn late_server() -> (SocketAddr, impl Future<Output = ()>) {
    let asked = Arc::new(AtomicU32::new(0));
    let late = async move || match asked.fetch_add(1, Ordering::Relaxed) {
        0 => (StatusCode::NOT_FOUND, ""),
        _ => (StatusCode::OK, "pages=2"),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let app = Router::new().route("/late", get(late));
    (address, async move { axum::serve(listener, app).await.expect("a server") })
}

#[tokio::test]
async fn only_failed_pages_are_retried() {
    let world = TestWorld::new().await;
    let task_id = world.submitted(&["pages=2 broken=2", "pages=1", "garbage"]).await;
    assert_eq!(world.ended(&task_id).await["status"], "partially_succeeded");
    replace(&world, &task_id, 1, "pages=2").await;
    // The default of an empty body is `failed`.
    let answer = world.post_empty(&format!("/task/{task_id}/retry")).await;
    assert_eq!((answer.status, &answer.json()["reopened"]), (202, &json!(1)), "{}", answer.text);
    let task = world.ended(&task_id).await;
    assert_eq!(task["progress"], json!({"pages": 4, "open": 0, "succeeded": 3, "failed": 1, "canceled": 0}));
    let texts = |page: usize| task["documents"][0]["pages"][page]["text"].as_str().expect("a text");
    assert_eq!((texts(0), texts(1)), ("page 1 of pages=2 broken=2", "page 2 of pages=2"), "one of each round");
}

#[tokio::test]
async fn all_pages_are_retried_on_request() {
    let world = TestWorld::new().await;
    let task_id = world.submitted(&["pages=2 bad=1", "pages=1"]).await;
    world.ended(&task_id).await;
    replace(&world, &task_id, 1, "pages=2 again").await;
    let answer = retry(&world, &task_id, "all").await;
    assert_eq!((&answer["task_id"], &answer["reopened"]), (&json!(task_id), &json!(3)));
    let task = world.ended(&task_id).await;
    assert_eq!((&task["status"], &task["progress"]["succeeded"]), (&json!("succeeded"), &json!(3)));
    assert_eq!(task["documents"][0]["text"], "page 1 of pages=2 again\n\npage 2 of pages=2 again");
    assert!(task["documents"][0]["pages"][0].get("error").is_none(), "the failure is one of before");
}

#[tokio::test]
async fn canceled_pages_are_retried() {
    let mut world = TestWorld::without_worker(|_| {}).await;
    let task_id = world.submitted(&["pages=3"]).await;
    world.read_page(&task_id, 1, 1, "read before").await;
    world.post_empty(&format!("/task/{task_id}/cancel")).await;
    assert_eq!(retry(&world, &task_id, "failed").await["reopened"], 2);
    let open = world.get(&format!("/task/{task_id}")).await.json();
    assert_eq!((&open["status"], &open["ended_at"]), (&json!("processing"), &Value::Null));
    world.start_worker();
    let task = world.ended(&task_id).await;
    assert_eq!((&task["status"], &task["progress"]["succeeded"]), (&json!("succeeded"), &json!(3)));
    assert_eq!(task["documents"][0]["text"], "read before\n\npage 2 of pages=3\n\npage 3 of pages=3");
}

#[tokio::test]
async fn a_document_that_could_not_be_fetched_is_retried() {
    let world = TestWorld::new().await;
    let (address, server) = late_server().await;
    let test = async {
        let answer = world.post_json("/ocr/async", &json!({"image_url": format!("http://{address}/late")})).await;
        let task_id = answer.json()["task_id"].as_str().expect("a task id").to_owned();
        let (_consumer, delivery) = world.document_delivery().await;
        ingest_one(&world.app, delivery).await.expect("the backend does not fail");
        assert_eq!(world.ended(&task_id).await["documents"][0]["error"]["code"], "fetch_failed");
        assert_eq!(retry(&world, &task_id, "failed").await["reopened"], 1);
        let (_consumer, delivery) = world.document_delivery().await;
        ingest_one(&world.app, delivery).await.expect("the backend does not fail");
        let task = world.ended(&task_id).await;
        assert_eq!(task["documents"][0]["text"], "page 1 of pages=2\n\npage 2 of pages=2");
        assert_eq!(task["progress"], json!({"pages": 2, "open": 0, "succeeded": 2, "failed": 0, "canceled": 0}));
    };
    tokio::select! {
        () = test => {}
        () = server => unreachable!("the server never ends"),
    }
}

#[tokio::test]
async fn a_missing_upload_is_retried_at_once() {
    let world = TestWorld::without_worker(|_| {}).await;
    world.faults.take_uploads();
    let answer = world.post_json("/uploads", &json!({"content_type": "application/pdf", "bytes": 7})).await;
    let task_id = answer.json()["task_id"].as_str().expect("a task id").to_owned();
    let delayed = async || world.backend.queue(QueueName::Documents).depth().await.expect("a depth").delayed;
    world.reaches(QueueName::Documents, 1).await;
    assert_eq!(delayed().await, 1, "it has time to come");
    let missing = DocumentState::Failed(Failure::new(FailureCode::UploadMissing, "It never came."));
    world.backend.tasks.finish_document(id(&task_id), 1, missing).await.expect("settled");
    let key = ObjectKey::Inbox { task_id: id(&task_id) }.to_string();
    world.backend.objects.put(&key, "pages=1".into()).await.expect("the late upload");
    retry(&world, &task_id, "failed").await;
    world.reaches(QueueName::Documents, 2).await;
    assert_eq!(delayed().await, 1, "the new message is not delayed");
    let (_consumer, delivery) = world.document_delivery().await;
    ingest_one(&world.app, delivery).await.expect("the backend does not fail");
    assert_eq!(world.task(&task_id).await.counts.total(), 1);
    assert_eq!(world.depth(QueueName::Pages).await, 1);
}

#[tokio::test]
async fn the_callback_is_sent_for_the_new_round() {
    let world = TestWorld::without_worker(|_| {}).await;
    let hook = FormPart { field: "callback_url", file: None, content: "https://example.com/hook" };
    let answer = world.post("/ocr/async", &[FormPart { field: "images", ..image("pages=1") }, hook]).await;
    let task_id = answer.json()["task_id"].as_str().expect("a task id").to_owned();
    world.read_page(&task_id, 1, 1, "read").await;
    world.backend.tasks.update_callback(id(&task_id), 1, CallbackUpdate::Delivered).await.expect("delivered");
    retry(&world, &task_id, "all").await;
    let task = world.task(&task_id).await;
    assert_eq!((task.round, task.callback_state(), task.updated), (2, CallbackState::Pending, false));
}

#[tokio::test]
async fn the_sweep_dispatches_an_interrupted_retry() {
    let world = TestWorld::without_worker(|_| {}).await;
    let task_id = world.submitted(&["pages=2"]).await;
    world.post_empty(&format!("/task/{task_id}/cancel")).await;
    world.backend.tasks.reopen(id(&task_id), Reopen::Unread).await.expect("opened, and nothing more");
    assert_eq!(sweep_undispatched(&world.backend, UnixMillis(i64::MAX)).await.expect("a sweep"), 1);
    assert_eq!(world.depth(QueueName::Pages).await, 4, "two of each round");
    assert_eq!(sweep_undispatched(&world.backend, UnixMillis(i64::MAX)).await.expect("a sweep"), 0);
}

#[tokio::test]
async fn an_open_or_fully_read_task_is_not_retried() {
    let mut world = TestWorld::without_worker(|_| {}).await;
    let task_id = world.submitted(&["pages=1"]).await;
    let path = format!("/task/{task_id}/retry");
    let early = world.post_empty(&path).await.problem(409, "task_not_ended");
    assert_eq!((&early["retryable"], &early["task_id"]), (&json!(true), &json!(task_id)));
    world.start_worker();
    world.ended(&task_id).await;
    let nothing = world.post_empty(&path).await.problem(409, "nothing_to_retry");
    assert_eq!((&nothing["retryable"], &nothing["task_id"]), (&json!(false), &json!(task_id)));
}

#[tokio::test]
async fn one_of_concurrent_retries_reopens_the_task() {
    let world = TestWorld::without_worker(|_| {}).await;
    let task_id = world.submitted(&["pages=2"]).await;
    world.post_empty(&format!("/task/{task_id}/cancel")).await;
    let path = format!("/task/{task_id}/retry");
    let answers = futures_util::future::join_all((0..10).map(|_| world.post_empty(&path))).await;
    let (opened, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 202);
    assert_eq!((opened.len(), world.task(&task_id).await.round), (1, 2));
    for answer in refused {
        answer.problem(409, "task_not_ended");
    }
}

#[tokio::test]
async fn an_invalid_retry_is_refused_and_changes_nothing() {
    let world = TestWorld::without_worker(|_| {}).await;
    let task_id = world.submitted(&["pages=1"]).await;
    world.post_empty(&format!("/task/{task_id}/cancel")).await;
    let path = format!("/task/{task_id}/retry");
    let post = async |json: Value| world.post_json(&path, &json).await;
    assert_eq!(post(json!({"pages": "some"})).await.problem(422, "invalid_field")["pointer"], "#/pages");
    assert_eq!(post(json!({"pages": 1})).await.problem(422, "invalid_field")["pointer"], "#/pages");
    assert_eq!(post(json!({"page": "all"})).await.problem(422, "unknown_field")["pointer"], "#/page");
    post(json!(["all"])).await.problem(400, "malformed_json");
    let form = world.client.post(world.url(&path)).header("content-type", boundary()).body(body(&[image("x")]));
    let form = crate::support::TestResponse::read(form.send().await.expect("an answer")).await;
    form.problem(415, "unsupported_media_type");
    assert_eq!(world.task(&task_id).await.round, 1);
    world.post_empty("/task/task_00000000000000000000000000000000/retry").await.problem(404, "task_not_found");
}
