//! `POST /ocr`.

use std::time::Duration;

use quire_platform::QueueName;
use quire_submit::SubmitSettings;
use serde_json::json;

use crate::support::{TestResponse, TestWorld, body, boundary, image, image_named};

#[tokio::test]
async fn an_image_returns_its_text_and_lines() {
    let world = TestWorld::new().await;
    let answer = world.post("/ocr", &[image_named("folder/發票.png", "pages=1")]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    assert_eq!(body["text"], "page 1 of pages=1");
    assert_eq!(body["file"], "發票.png");
    // The shortest decimal of the f32, and not of its f64 conversion, 0.8999999761581421.
    assert!(answer.text.contains(r#""avg_confidence":0.9,"#), "{}", answer.text);
    let page = &body["pages"][0];
    assert_eq!((&page["page"], &page["status"], &page["text"]), (&1.into(), &"succeeded".into(), &body["text"]));
    assert_eq!((&page["width"], &page["height"], &page["rotation"]), (&640.into(), &480.into(), &90.into()));
    assert_eq!(page["engine"], json!({"name": "fake", "version": "1"}));
    assert_eq!(page["lines"][0]["text"], "page 1 of pages=1");
    assert_eq!(page["lines"][0]["polygon"][1], json!([30.5, 2.0]));
    assert!(page.get("error").is_none(), "{page}");
    let task_id = body["task_id"].as_str().expect("a task id");
    assert_eq!(world.ended(task_id).await["status"], "succeeded");
}

#[tokio::test]
async fn a_document_with_bad_pages_returns_the_others() {
    let world = TestWorld::new().await;
    let body = world.post("/ocr", &[image("pages=3 bad=2")]).await.json();
    let statuses: Vec<_> = body["pages"].as_array().expect("pages").iter().map(|page| page["status"].clone()).collect();
    assert_eq!(statuses, ["succeeded", "failed", "succeeded"]);
    assert_eq!(body["text"], "page 1 of pages=3 bad=2\n\npage 3 of pages=3 bad=2");
    assert_eq!(body["pages"][1]["error"]["code"], "unreadable_page");
    assert_eq!((&body["pages"][1]["text"], &body["pages"][1]["confidence"]), (&"".into(), &serde_json::Value::Null));
    assert!(body.get("error").is_none(), "{body}");
}

#[tokio::test]
async fn a_document_without_a_readable_page_is_a_problem() {
    let world = TestWorld::new().await;
    let answer = world.post("/ocr", &[image("pages=1 bad=1")]).await;
    let problem = answer.problem(422, "unreadable_page");
    assert_eq!(problem["retryable"], false);
    let task = world.ended(problem["task_id"].as_str().expect("a task id")).await;
    assert_eq!(task["status"], "failed");

    let problem = world.post("/ocr", &[image("pages=1 broken=1")]).await.problem(500, "model_failed");
    assert_eq!(problem["retryable"], true);
    assert!(problem["task_id"].is_string());
}

#[tokio::test]
async fn after_the_sync_limit_the_task_continues_and_202_is_returned() {
    let mut world = TestWorld::without_worker(|settings| settings.sync_limit = Duration::from_millis(200)).await;
    let answer = world.post("/ocr", &[image("pages=1")]).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let body = answer.json();
    let task_id = body["task_id"].as_str().expect("a task id");
    assert_eq!(body["status_url"], world.url(&format!("/task/{task_id}")));
    assert_eq!(answer.header("location"), body["status_url"].as_str());
    assert_eq!(answer.header("quire-task-id"), Some(task_id));
    world.start_worker();
    assert_eq!(world.ended(task_id).await["documents"][0]["text"], "page 1 of pages=1");
}

#[tokio::test]
async fn a_graceful_shutdown_ends_waiting_requests() {
    let world = TestWorld::without_worker(|_| {}).await;
    let close = async {
        world.reaches(QueueName::Pages, 1).await;
        world.app.close();
    };
    let form = [image("pages=1")];
    let (answer, ()) = tokio::join!(world.post("/ocr", &form), close);
    assert_eq!(answer.status, 202, "{}", answer.text);
    world.app.drained().await;
}

#[tokio::test]
async fn a_status_url_begins_with_the_public_url_or_the_host_or_is_relative() {
    let status_url = async |public_url: Option<&str>, host: &str| {
        let public_url = public_url.map(|url| url.parse().expect("a URL"));
        let adjust = |settings: &mut SubmitSettings| {
            settings.sync_limit = Duration::from_millis(1);
            settings.public_url = public_url;
        };
        let world = TestWorld::without_worker(adjust).await;
        let request = world.client.post(world.url("/ocr")).header("host", host).header("content-type", boundary());
        let answer = TestResponse::read(request.body(body(&[image("pages=1")])).send().await.expect("an answer")).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let body = answer.json();
        let id = body["task_id"].as_str().expect("a task id");
        body["status_url"].as_str().expect("a status URL").replace(id, "ID")
    };
    let public = Some("https://ocr.example.com/base/");
    assert_eq!(status_url(public, "inner:8000").await, "https://ocr.example.com/base/task/ID");
    assert_eq!(status_url(None, "ocr.example.com").await, "http://ocr.example.com/task/ID");
    assert_eq!(status_url(None, "user@example.com").await, "/task/ID");
}
