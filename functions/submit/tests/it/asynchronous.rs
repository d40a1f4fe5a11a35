//! `POST /ocr/async`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use quire_platform::QueueName;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::{FormPart, TestWorld, image, images};

#[tokio::test]
async fn a_url_becomes_a_task_without_a_fetch() {
    let world = TestWorld::without_worker(|_| {}).await;
    // A closed port: the response cannot depend on it.
    let body = json!({"image_url": "http://127.0.0.1:9/scan.pdf?token=x", "callback_url": "https://example.com/hook"});
    let answer = world.post_json("/ocr/async", &body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let task_id = answer.json()["task_id"].as_str().expect("a task id").to_owned();
    assert_eq!(answer.header("location"), Some(world.url(&format!("/task/{task_id}")).as_str()));
    world.reaches(QueueName::Documents, 1).await;
    let task = world.get(&format!("/task/{task_id}")).await.json();
    assert_eq!(task["status"], "queued");
    assert_eq!(task["progress"]["open"], 1);
    assert_eq!(task["callback"], json!({"state": "pending", "attempts": 0, "last_error": null}));
    assert!(!task.to_string().contains("token"), "{task}");
}

#[tokio::test]
async fn a_stalled_document_server_delays_no_response() {
    let world = TestWorld::without_worker(|_| {}).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/300-pages.pdf", silent.local_addr().expect("an address"));
    let shutdown = CancellationToken::new();
    let ingesting = tokio::spawn(quire_submit::ingest(Arc::clone(&world.app), shutdown.clone()));
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let begun = Instant::now();
        assert_eq!(world.post_json("/ocr/async", &json!({"image_url": url})).await.status, 202);
        slowest = slowest.max(begun.elapsed());
    }
    // Ingest is fetching it and will wait for a minute.
    silent.accept().await.expect("it is fetched from");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    eprintln!("the slowest of 20 answers took {slowest:?}");
    shutdown.cancel();
    ingesting.abort();
}

#[tokio::test]
async fn a_disallowed_url_is_refused_with_its_pointer() {
    let world = TestWorld::new().await;
    let good = "https://example.com/a.pdf";
    for (body, pointer) in [
        (json!({"image_url": "https://169.254.169.254/latest/meta-data"}), "#/image_url"),
        (json!({"image_url": "file:///etc/passwd"}), "#/image_url"),
        (json!({"image_url": "nonsense"}), "#/image_url"),
        (json!({"image_url": good, "callback_url": "http://example.com"}), "#/callback_url"),
        (json!({"image_url": good, "callback_url": ""}), "#/callback_url"),
    ] {
        let problem = world.post_json("/ocr/async", &body).await.problem(422, "url_refused");
        assert_eq!(problem["pointer"], pointer, "{body}");
    }
    world.assert_empty().await;
}

#[tokio::test]
async fn invalid_json_is_refused_with_its_pointer() {
    let world = TestWorld::new().await;
    let image_url = "https://example.com/a.pdf";
    for (body, code, pointer) in [
        (json!({}), "missing_field", "#/image_url"),
        (json!({"image_url": null}), "missing_field", "#/image_url"),
        (json!({"image_url": 7}), "invalid_field", "#/image_url"),
        (json!({"image_url": image_url, "calback_url": "https://example.com"}), "unknown_field", "#/calback_url"),
        (json!({"image_url": image_url, "a/b~c": 1}), "unknown_field", "#/a~1b~0c"),
    ] {
        let problem = world.post_json("/ocr/async", &body).await.problem(422, code);
        assert_eq!(problem["pointer"], pointer, "{body}");
    }
    for body in ["{", "[]", "null", ""] {
        let request = world.client.post(world.url("/ocr/async")).header("content-type", "application/json").body(body);
        let answer = crate::support::TestResponse::read(request.send().await.expect("an answer")).await;
        answer.problem(400, "malformed_json");
    }
}

#[tokio::test]
async fn refused_files_of_an_upload_are_failed_documents() {
    let world = TestWorld::new().await;
    let mut parts = images(&["garbage", "pages=1"]);
    parts.push(FormPart { field: "callback_url", file: None, content: "https://example.com/hook" });
    let answer = world.post("/ocr/async", &parts).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let body = answer.json();
    let task = world.ended(body["task_id"].as_str().expect("a task id")).await;
    assert_eq!(task["status"], "partially_succeeded");
    assert_eq!(task["documents"][0]["error"]["code"], "unsupported_format");
    assert_eq!(task["documents"][1]["text"], "page 1 of pages=1");
    assert_eq!(task["callback"]["state"], "pending");
}

#[tokio::test]
async fn an_upload_of_only_refused_files_is_a_problem() {
    let world = TestWorld::new().await;
    let problem = world.post("/ocr/async", &[image("refuse=too_many_pages")]).await.problem(413, "too_many_pages");
    assert_eq!(problem["pointer"], "#/images/0");
    world.assert_empty().await;
}

#[tokio::test]
async fn a_refused_callback_url_in_a_form_stores_nothing() {
    let world = TestWorld::new().await;
    let callback = FormPart { field: "callback_url", file: None, content: "https://10.0.0.1/hook" };
    let problem = world.post("/ocr/async", &[image("pages=1"), callback]).await.problem(422, "url_refused");
    assert_eq!(problem["pointer"], "#/callback_url");
    world.assert_empty().await;
}
