//! `Idempotency-Key`: a request that is sent again makes nothing again.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use quire_platform::QueueName;
use quire_tasks::TaskId;
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};

use crate::support::{Answer, Part, World, body, boundary, image, image_named, images};

pub(crate) async fn form(world: &World, key: &str, path: &str, parts: &[Part<'_>]) -> Answer {
    let request = world.client.post(world.url(path)).header("content-type", boundary()).header("idempotency-key", key);
    Answer::of(request.body(body(parts)).send().await.expect("an answer")).await
}

async fn json(world: &World, key: &str, path: &str, json: &Value) -> Answer {
    let request = world.client.post(world.url(path)).header("idempotency-key", key).json(json);
    Answer::of(request.send().await.expect("an answer")).await
}

/// By a task id in its body, or in its header.
pub(crate) fn task_id(answer: &Answer) -> String {
    let id = answer.header("quire-task-id").map(str::to_owned);
    id.or_else(|| answer.json()["task_id"].as_str().map(str::to_owned)).expect("a task id")
}

pub(crate) fn assert_replayed(first: &Answer, again: &Answer) {
    assert_eq!((first.status, &first.text), (again.status, &again.text));
    assert_eq!(first.header("location"), again.header("location"));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
}

fn url() -> Value {
    json!({"image_url": "https://example.com/a.pdf", "tags": ["a"]})
}

#[tokio::test]
async fn the_same_request_again_is_answered_with_the_same_task() {
    let world = World::without_worker(|_| {}).await;
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
async fn calls_that_answer_with_what_was_read_answer_with_it_again() {
    let world = World::new().await;
    for (path, parts) in [
        ("/ocr", vec![image("pages=2")]),
        ("/ocr/batch", images(&["pages=1", "garbage"])),
        ("/ocr/async", images(&["pages=1"])),
        // Of a document that could not be read, too.
        ("/ocr", vec![image("pages=1 bad=1")]),
    ] {
        let key = format!("{path}-{}", parts[0].content).replace(' ', "+");
        let first = form(&world, &key, path, &parts).await;
        let again = form(&world, &key, path, &parts).await;
        let without_request_id = |answer: &Answer| {
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
async fn a_form_is_the_same_whatever_its_boundary_is() {
    let world = World::without_worker(|_| {}).await;
    let parts = [Part { field: "tags", file: None, content: "a" }, image("pages=1")];
    let first = form(&world, "key", "/ocr/async", &parts).await;
    let other = body(&parts).replace("quire-test-boundary", "another-boundary");
    let request = world.client.post(world.url("/ocr/async")).header("idempotency-key", "key");
    let request = request.header("content-type", "multipart/form-data; boundary=another-boundary").body(other);
    assert_replayed(&first, &Answer::of(request.send().await.expect("an answer")).await);
}

#[tokio::test]
async fn what_took_too_long_at_first_is_waited_for_again() {
    let mut world = World::without_worker(|settings| settings.sync_limit = Duration::from_millis(100)).await;
    let parts = [image("pages=1")];
    let first = form(&world, "key", "/ocr", &parts).await;
    assert_eq!(first.status, 202, "{}", first.text);
    world.hire();
    world.ended(&task_id(&first)).await;
    let again = form(&world, "key", "/ocr", &parts).await;
    assert_eq!((again.status, again.json()["text"].clone()), (200, "page 1 of pages=1".into()));
    assert_eq!(again.json()["task_id"], task_id(&first));
}

#[tokio::test]
async fn an_announced_upload_is_the_same_task_with_an_address_of_now() {
    let world = World::without_worker(|_| {}).await;
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
async fn a_key_is_good_for_one_request_only() {
    let world = World::without_worker(|_| {}).await;
    form(&world, "key", "/ocr/async", &[image("pages=1")]).await;
    let tagged = [image("pages=1"), Part { field: "tags", file: None, content: "a" }];
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
async fn a_key_that_is_none_is_refused_before_anything_is_read() {
    let world = World::without_worker(|_| {}).await;
    world.faults.take_uploads();
    for key in ["", "a b", "\"\"", &"x".repeat(256)] {
        for path in ["/ocr", "/ocr/batch", "/ocr/async"] {
            form(&world, key, path, &[image("pages=1")]).await.problem(400, "malformed_idempotency_key");
        }
        json(&world, key, "/uploads", &json!({})).await.problem(400, "malformed_idempotency_key");
    }
    world.holds_nothing().await;
}

#[tokio::test]
async fn while_the_first_request_is_at_work_the_same_one_is_told_so() {
    let world = World::without_worker(|_| {}).await;
    let parts = [image("pages=1")];
    let (waiting, told) = tokio::join!(form(&world, "key", "/ocr", &parts), async {
        world.reaches(QueueName::Pages, 1).await;
        let told = form(&world, "key", "/ocr", &parts).await;
        form(&world, "key", "/ocr", &[image("pages=2")]).await.problem(422, "idempotency_key_reused");
        world.app.close();
        told
    });
    let problem = told.problem(409, "idempotency_key_in_use");
    assert_eq!((told.header("retry-after"), &problem["retryable"]), (Some("1"), &true.into()));
    assert_eq!(problem["task_id"].as_str(), Some(task_id(&waiting).as_str()), "it can be asked for");
    assert_eq!(waiting.status, 202, "{}", waiting.text);
    assert_replayed(&waiting, &form(&world, "key", "/ocr", &parts).await);
}

#[tokio::test]
async fn of_many_requests_at_once_one_makes_a_task_at_whichever_door() {
    let mut world = World::without_worker(|_| {}).await;
    let apps = [world.address, world.another_door(|_| {}).await.1];
    let mut requests = JoinSet::new();
    for number in 0..50 {
        let request = world.client.post(format!("http://{}/ocr/async", apps[number % 2]));
        let request = request.header("content-type", boundary()).header("idempotency-key", "key");
        let request = request.body(body(&images(&["pages=1", "pages=2"])));
        requests.spawn(async move { Answer::of(request.send().await.expect("an answer")).await });
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
async fn a_key_is_forgotten_after_its_time() {
    let world = World::without_worker(|settings| settings.keys_kept_for = Duration::from_millis(500)).await;
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
async fn a_task_that_was_deleted_meanwhile_is_not_made_again() {
    let world = World::without_worker(|_| {}).await;
    let first = json(&world, "key", "/ocr/async", &url()).await;
    world.app.drained().await;
    let id: TaskId = task_id(&first).parse().expect("an id");
    world.backend.tasks.remove(id).await.expect("removed");
    let again = json(&world, "key", "/ocr/async", &url()).await;
    again.problem(404, "task_not_found");
}
