//! `GET /task/{task_id}`.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{TestResponse, TestWorld, image, images};

async fn submitted(world: &TestWorld, contents: &[&str]) -> String {
    let answer = world.post("/ocr/async", &images(contents)).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json()["task_id"].as_str().expect("a task id").to_owned()
}

async fn known(world: &TestWorld, path: &str, etag: &str) -> TestResponse {
    TestResponse::read(world.client.get(world.url(path)).header("if-none-match", etag).send().await.expect("an answer"))
        .await
}

#[tokio::test]
async fn an_open_task_has_its_progress_and_retry_after() {
    let world = TestWorld::without_worker(|_| {}).await;
    let id = submitted(&world, &["pages=2", "garbage"]).await;
    let answer = world.get(&format!("/task/{id}")).await;
    assert_eq!(answer.header("retry-after"), Some("1"));
    let task = answer.json();
    assert_eq!(task["task_id"], id);
    assert_eq!(task["status"], "processing", "one document has failed already");
    assert_eq!(task["progress"], json!({"pages": 3, "open": 2, "succeeded": 0, "failed": 1, "canceled": 0}));
    assert_eq!((&task["ended_at"], &task["callback"]["state"]), (&serde_json::Value::Null, &"none".into()));
    assert!(task["created_at"].as_str().is_some_and(|time| time.ends_with('Z') && time.contains('T')));
    let document = &task["documents"][0];
    assert_eq!((&document["status"], &document["file"]), (&"queued".into(), &"scan.png".into()));
    assert_eq!(document["pages"][1], json!({"page": 2, "status": "queued", "confidence": null}));
    assert!(document.get("text").is_none());
    assert_eq!(task["documents"][1]["error"]["code"], "unsupported_format");
}

#[tokio::test]
async fn an_ended_task_has_its_text() {
    let world = TestWorld::new().await;
    let id = submitted(&world, &["pages=2 broken=2", "pages=1"]).await;
    let task = world.ended(&id).await;
    assert_eq!(task["status"], "partially_succeeded");
    assert!(task["avg_confidence"].as_f64().is_some_and(|confidence| (confidence - 0.9).abs() < 1e-6));
    assert_eq!(task["documents"][0]["text"], "page 1 of pages=2 broken=2");
    assert_eq!(task["documents"][0]["pages"][1]["error"]["code"], "model_failed");
    assert_eq!(task["documents"][1]["pages"][0]["lines"][0]["text"], "page 1 of pages=1");
    assert!(task["ended_at"].as_str() >= task["created_at"].as_str());
    let answer = world.get(&format!("/task/{id}")).await;
    assert_eq!(answer.header("retry-after"), None);
}

#[tokio::test]
async fn unknown_and_malformed_ids_are_not_found() {
    let world = TestWorld::new().await;
    for id in ["task_00000000000000000000000000000000", "1", "task_..%2f..%2fetc", "%ff", "TASK_x"] {
        world.get(&format!("/task/{id}")).await.problem(404, "task_not_found");
    }
}

#[tokio::test]
async fn a_wait_ends_with_the_task() {
    let mut world = TestWorld::without_worker(|_| {}).await;
    let id = submitted(&world, &["pages=3"]).await;
    let path = format!("/task/{id}?wait=20");
    let begun = Instant::now();
    let work = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        crate::support::work(world.backend.clone()).await;
    };
    let answer = tokio::select! {
        answer = world.get(&path) => answer,
        () = work => unreachable!("the worker never ends"),
    };
    assert_eq!(answer.json()["status"], "succeeded");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    world.start_worker();
}

#[tokio::test]
async fn a_wait_ends_after_its_timeout() {
    let world = TestWorld::without_worker(|settings| settings.longest_wait = Duration::from_millis(300)).await;
    let id = submitted(&world, &["pages=1"]).await;
    let begun = Instant::now();
    assert_eq!(world.get(&format!("/task/{id}?wait=20")).await.json()["status"], "queued");
    assert!(begun.elapsed() >= Duration::from_millis(300) && begun.elapsed() < Duration::from_secs(5));
    for wrong in ["x", "-1", "1.5", ""] {
        let problem = world.get(&format!("/task/{id}?wait={wrong}")).await.problem(422, "invalid_field");
        assert_eq!(problem["pointer"], "#/wait");
    }
}

#[tokio::test]
async fn a_known_version_responds_304() {
    let world = TestWorld::new().await;
    let id = world.post("/ocr", &[image("pages=1")]).await.json()["task_id"].as_str().expect("an id").to_owned();
    let path = format!("/task/{id}");
    let etag = world.get(&path).await.header("etag").expect("an etag").to_owned();
    let answer = known(&world, &path, &etag).await;
    assert_eq!((answer.status, answer.text.as_str(), answer.header("etag")), (304, "", Some(etag.as_str())));
    assert_eq!(known(&world, &path, "\"0\"").await.status, 200);
    let begun = Instant::now();
    assert_eq!(known(&world, &format!("{path}?wait=1"), &etag).await.status, 304);
    assert!(begun.elapsed() >= Duration::from_secs(1), "an ended task has nothing new either");
}

#[tokio::test]
async fn a_wait_with_if_none_match_ends_on_progress() {
    let world = TestWorld::without_worker(|_| {}).await;
    let id = submitted(&world, &["pages=2"]).await;
    // Marking the task as dispatched changes its version as well.
    world.app.drained().await;
    let path = format!("/task/{id}?wait=20");
    let etag = world.get(&format!("/task/{id}")).await.header("etag").expect("an etag").to_owned();
    let first_page = async {
        let task = world.backend.tasks.task(id.parse().expect("an id")).await.expect("the task");
        let page = task.pages().next().expect("a page");
        let failure = quire_tasks::Failure::new(quire_tasks::FailureCode::UnreadablePage, "broken");
        tokio::time::sleep(Duration::from_millis(200)).await;
        let outcome = quire_tasks::Outcome::Failed(failure);
        world.backend.tasks.complete_page(page, task.round, outcome).await.expect("the page ends");
    };
    let (answer, ()) = tokio::join!(known(&world, &path, &etag), first_page);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["progress"]["failed"], 1);
    assert_eq!(answer.json()["status"], "processing");
}
