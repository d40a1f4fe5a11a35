//! `Idempotency-Key`: repeated requests.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use quire_platform::QueueName;
use quire_tasks::TaskId;
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};

use crate::support::{FormPart, TestResponse, TestWorld, body, boundary, image, image_named, images};

pub(crate) async fn form(world: &TestWorld, key: &str, path: &str, parts: &[FormPart<'_>]) -> TestResponse {
    let request = world.client.post(world.url(path)).header("content-type", boundary()).header("idempotency-key", key);
    TestResponse::read(request.body(body(parts)).send().await.expect("an answer")).await
}

async fn json(world: &TestWorld, key: &str, path: &str, json: &Value) -> TestResponse {
    let request = world.client.post(world.url(path)).header("idempotency-key", key).json(json);
    TestResponse::read(request.send().await.expect("an answer")).await
}

/// Returns the task id of the body, or of the header.
pub(crate) fn task_id(answer: &TestResponse) -> String {
    let id = answer.header("quire-task-id").map(str::to_owned);
    id.or_else(|| answer.json()["task_id"].as_str().map(str::to_owned)).expect("a task id")
}

pub(crate) fn assert_replayed(first: &TestResponse, again: &TestResponse) {
    assert_eq!((first.status, &first.text), (again.status, &again.text));
    assert_eq!(first.header("location"), again.header("location"));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
}

fn url() -> Value {
    json!({"image_url": "https://example.com/a.pdf", "tags": ["a"]})
}

#[tokio::test]
async fn a_repeated_request_returns_the_same_task() {
    let world = TestWorld::without_worker(|_| {}).await;
    let first = json(&world, "key-1", "/ocr/async", &url()).await;
    assert_eq!(first.status, 202, "{}", first.text);
    for key in ["key-1", "\"key-1\""] {
        assert_replayed(&first, &json(&world, key, "/ocr/async", &url()).await);
    }
    let other = json(&world, "key-2", "/ocr/async", &url()).await;
    assert_ne!(task_id(&other), task_id(&first));
    let without = world.post_json("/ocr/async", &url()).await;
    assert!(![task_id(&first), task_id(&other)].contains(&task_id(&without)));
    world.reaches(QueueName::Documents, 3).await;
}

#[tokio::test]
async fn a_repeated_synchronous_request_returns_the_same_text() {
    let world = TestWorld::new().await;
    for (path, parts) in [
        ("/ocr", vec![image("pages=2")]),
        ("/ocr/batch", images(&["pages=1", "garbage"])),
        ("/ocr/async", images(&["pages=1"])),
        // Also for a document that could not be read.
        ("/ocr", vec![image("pages=1 bad=1")]),
    ] {
        let key = format!("{path}-{}", parts[0].content).replace(' ', "+");
        let first = form(&world, &key, path, &parts).await;
        let again = form(&world, &key, path, &parts).await;
        let without_request_id = |answer: &TestResponse| {
            let mut body = answer.json();
            body.as_object_mut().map(|body| body.remove("request_id"));
            body
        };
        assert_eq!((first.status, without_request_id(&first)), (again.status, without_request_id(&again)));
        assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
    }
    assert_eq!(world.backend.objects.list("documents/").await.expect("a list").len(), 4);
}

#[tokio::test]
async fn the_boundary_of_a_form_does_not_matter() {
    let world = TestWorld::without_worker(|_| {}).await;
    let parts = [FormPart { field: "tags", file: None, content: "a" }, image("pages=1")];
    let first = form(&world, "key", "/ocr/async", &parts).await;
    let other = body(&parts).replace("quire-test-boundary", "another-boundary");
    let request = world.client.post(world.url("/ocr/async")).header("idempotency-key", "key");
    let request = request.header("content-type", "multipart/form-data; boundary=another-boundary").body(other);
    assert_replayed(&first, &TestResponse::read(request.send().await.expect("an answer")).await);
}

#[tokio::test]
async fn a_repeated_request_waits_for_the_first_task() {
    let mut world = TestWorld::without_worker(|settings| settings.sync_limit = Duration::from_millis(100)).await;
    let parts = [image("pages=1")];
    let first = form(&world, "key", "/ocr", &parts).await;
    assert_eq!(first.status, 202, "{}", first.text);
    world.start_worker();
    world.ended(&task_id(&first)).await;
    let again = form(&world, "key", "/ocr", &parts).await;
    assert_eq!((again.status, again.json()["text"].clone()), (200, "page 1 of pages=1".into()));
    assert_eq!(again.json()["task_id"], task_id(&first));
}

#[tokio::test]
async fn a_repeated_announcement_has_a_new_upload_url() {
    let world = TestWorld::without_worker(|_| {}).await;
    world.faults.take_uploads();
    let announced = json!({"filename": "a.pdf", "content_type": "application/pdf", "bytes": 999});
    let first = json(&world, "key", "/uploads", &announced).await;
    let again = json(&world, "key", "/uploads", &announced).await;
    assert_eq!((first.status, again.status, task_id(&first)), (201, 201, task_id(&again)));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.json()["upload"]["url"], first.json()["upload"]["url"], "the same place");
    assert!(again.json()["upload"]["expires_at"].is_string());
    let other = json!({"filename": "a.pdf", "content_type": "application/pdf", "bytes": 998});
    json(&world, "key", "/uploads", &other).await.problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn a_key_of_a_different_request_is_refused() {
    let world = TestWorld::without_worker(|_| {}).await;
    form(&world, "key", "/ocr/async", &[image("pages=1")]).await;
    let tagged = [image("pages=1"), FormPart { field: "tags", file: None, content: "a" }];
    for (path, parts) in [
        ("/ocr/async", vec![image("pages=2")]),
        ("/ocr/async", vec![image_named("other.png", "pages=1")]),
        ("/ocr/async", vec![image("pages=1"), image("pages=1")]),
        ("/ocr/async", tagged.to_vec()),
        ("/ocr", vec![image("pages=1")]),
        ("/ocr/batch", images(&["pages=1"])),
    ] {
        let problem = form(&world, "key", path, &parts).await.problem(422, "idempotency_key_reused");
        assert_eq!(problem["retryable"], false, "{path}");
    }
    json(&world, "key", "/ocr/async", &url()).await.problem(422, "idempotency_key_reused");
    json(&world, "url", "/ocr/async", &url()).await;
    let other = json!({"image_url": "https://example.com/b.pdf", "tags": ["a"]});
    json(&world, "url", "/ocr/async", &other).await.problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn a_malformed_key_is_refused_before_the_body_is_read() {
    let world = TestWorld::without_worker(|_| {}).await;
    world.faults.take_uploads();
    for key in ["", "a b", "\"\"", &"x".repeat(256)] {
        for path in ["/ocr", "/ocr/batch", "/ocr/async"] {
            form(&world, key, path, &[image("pages=1")]).await.problem(400, "malformed_idempotency_key");
        }
        json(&world, key, "/uploads", &json!({})).await.problem(400, "malformed_idempotency_key");
    }
    world.assert_empty().await;
}

#[tokio::test]
async fn a_repeated_request_is_refused_while_the_first_is_running() {
    let world = TestWorld::without_worker(|_| {}).await;
    let parts = [image("pages=1")];
    let (waiting, refused) = tokio::join!(form(&world, "key", "/ocr", &parts), async {
        world.reaches(QueueName::Pages, 1).await;
        let refused = form(&world, "key", "/ocr", &parts).await;
        form(&world, "key", "/ocr", &[image("pages=2")]).await.problem(422, "idempotency_key_reused");
        world.app.close();
        refused
    });
    let problem = refused.problem(409, "idempotency_key_in_use");
    assert_eq!((refused.header("retry-after"), &problem["retryable"]), (Some("1"), &true.into()));
    assert_eq!(problem["task_id"].as_str(), Some(task_id(&waiting).as_str()), "the id of the running task");
    assert_eq!(waiting.status, 202, "{}", waiting.text);
    assert_replayed(&waiting, &form(&world, "key", "/ocr", &parts).await);
}

#[tokio::test]
async fn concurrent_requests_to_two_servers_create_one_task() {
    let mut world = TestWorld::without_worker(|_| {}).await;
    let apps = [world.address, world.another_server(|_| {}).await.1];
    let mut requests = JoinSet::new();
    for number in 0..50 {
        let request = world.client.post(format!("http://{}/ocr/async", apps[number % 2]));
        let request = request.header("content-type", boundary()).header("idempotency-key", "key");
        let request = request.body(body(&images(&["pages=1", "pages=2"])));
        requests.spawn(async move { TestResponse::read(request.send().await.expect("an answer")).await });
    }
    let answers = requests.join_all().await;
    let mut tasks = BTreeSet::new();
    for answer in &answers {
        match answer.status {
            202 => tasks.insert(task_id(answer)),
            _ => answer.problem(409, "idempotency_key_in_use")["task_id"]
                .as_str()
                .is_some_and(|id| tasks.insert(id.to_owned())),
        };
    }
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    let firsts =
        answers.iter().filter(|answer| answer.status == 202 && answer.header("idempotency-replayed").is_none());
    assert_eq!(firsts.count(), 1);
    world.app.drained().await;
    world.reaches(QueueName::Pages, 3).await;
    assert_eq!(world.backend.objects.list("documents/").await.expect("a list").len(), 2);
}

#[tokio::test]
async fn a_key_expires() {
    let world = TestWorld::without_worker(|settings| settings.keys_kept_for = Duration::from_millis(500)).await;
    let first = json(&world, "key", "/ocr/async", &url()).await;
    assert_eq!(first.status, 202, "{}", first.text);
    let begun = Instant::now();
    while json(&world, "key", "/ocr/async", &url()).await.header("idempotency-replayed").is_some() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it is known for ever");
        sleep(Duration::from_millis(50)).await;
    }
    world.reaches(QueueName::Documents, 2).await;
}

#[tokio::test]
async fn a_deleted_task_is_not_created_again() {
    let world = TestWorld::without_worker(|_| {}).await;
    let first = json(&world, "key", "/ocr/async", &url()).await;
    world.app.drained().await;
    let id: TaskId = task_id(&first).parse().expect("an id");
    world.backend.tasks.remove(id).await.expect("removed");
    let again = json(&world, "key", "/ocr/async", &url()).await;
    again.problem(404, "task_not_found");
}
