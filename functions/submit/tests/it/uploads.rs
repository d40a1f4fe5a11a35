//! `POST /uploads`, on backends with and without upload URLs.

use std::time::Duration;

use quire_platform::{Consumer, QueueName};
use quire_submit::ingest_one;
use quire_tasks::{DocumentJob, DocumentMessage, ObjectKey, TaskId};
use serde_json::{Value, json};

use crate::support::{TestWorld, body, boundary, image};

async fn world() -> TestWorld {
    let world = TestWorld::without_worker(|settings| settings.limits.max_bytes = 1000).await;
    world.faults.take_uploads();
    world
}

/// Announces a document and returns the id of its task.
async fn announced(world: &TestWorld) -> (TaskId, Value) {
    let body = json!({
        "filename": "C:\\scans\\a.pdf", "content_type": "application/pdf", "bytes": 999,
        "callback_url": "https://example.com/hook",
    });
    let answer = world.post_json("/uploads", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    world.app.drained().await;
    let body = answer.json();
    assert_eq!(answer.header("location"), body["status_url"].as_str());
    (body["task_id"].as_str().expect("a task id").parse().expect("an id"), body)
}

/// Ingests the message that was sent with the task, as the attempt with this number.
async fn attempt(world: &TestWorld, task_id: TaskId, number: u32) -> Value {
    let queue = world.backend.queue(QueueName::Documents);
    let message = DocumentMessage { task_id, document: 1, round: 1, job: DocumentJob::Split };
    let task = world.backend.tasks.task(task_id).await.expect("the task");
    quire_platform::send(queue.as_ref(), &task, [message]).await.expect("sent");
    let consumer = Consumer::<DocumentMessage>::new(queue, Duration::from_mins(1));
    let mut received = consumer.receive(1, Duration::from_secs(10)).await.expect("a receive");
    let mut delivery = received.pop().expect("a delivery").expect("a readable message");
    delivery.attempt = number;
    ingest_one(&world.app, delivery).await.expect("the backend does not fail");
    world.get(&format!("/task/{task_id}")).await.json()
}

#[tokio::test]
async fn an_announcement_returns_a_task_and_an_upload_url() {
    let world = world().await;
    let (task_id, answer) = announced(&world).await;
    let upload = &answer["upload"];
    assert_eq!(upload["method"], "PUT");
    assert_eq!(upload["url"], format!("https://store.example/inbox/{task_id}/1?signature=secret"));
    assert_eq!(upload["headers"], json!({"content-type": "application/pdf", "content-length": "999"}));
    assert!(upload["expires_at"].as_str().is_some_and(|time| time.ends_with('Z')), "{upload}");
    let task = world.get(&format!("/task/{task_id}")).await.json();
    assert_eq!((&task["status"], &task["documents"][0]["file"]), (&"queued".into(), &"a.pdf".into()));
    assert_eq!(task["callback"]["state"], "pending");
    assert!(!task.to_string().contains("secret"), "the address is its client's only");
    // The message that ends the task if the upload never arrives.
    let depth = world.backend.queue(QueueName::Documents).depth().await.expect("a depth");
    assert_eq!((depth.ready, depth.delayed), (0, 1));
}

#[tokio::test]
async fn an_upload_is_validated_and_split() {
    let world = world().await;
    let (task_id, _) = announced(&world).await;
    world.backend.objects.put(&ObjectKey::Inbox { task_id }.to_string(), "pages=2".into()).await.expect("uploaded");
    let task = attempt(&world, task_id, 1).await;
    assert_eq!((&task["status"], &task["progress"]["open"]), (&"queued".into(), &2.into()));
    assert_eq!(world.depth(QueueName::Pages).await, 2);
    assert_eq!(world.backend.objects.list("documents/").await.expect("a list"), [format!("documents/{task_id}/1")]);
    assert_eq!(world.spooled(), 0);
}

#[tokio::test]
async fn a_missing_upload_is_retried_and_then_the_task_ends() {
    let world = world().await;
    let (task_id, _) = announced(&world).await;
    let task = attempt(&world, task_id, 1).await;
    assert_eq!(task["status"], "queued");
    let depth = world.backend.queue(QueueName::Documents).depth().await.expect("a depth");
    assert_eq!((depth.ready, depth.delayed + depth.in_flight), (0, 2), "it is looked for again after a while");
    let task = attempt(&world, task_id, QueueName::Documents.settings().max_receives).await;
    assert_eq!((&task["status"], &task["documents"][0]["error"]["code"]), (&"failed".into(), &"upload_missing".into()));
    assert_eq!(world.depth(QueueName::Callbacks).await, 1);
}

#[tokio::test]
async fn an_upload_over_the_size_limit_fails_without_being_read() {
    let world = world().await;
    let (task_id, _) = announced(&world).await;
    let large = format!("pages=1 {}", "x".repeat(1000));
    world.backend.objects.put(&ObjectKey::Inbox { task_id }.to_string(), large.into()).await.expect("uploaded");
    let task = attempt(&world, task_id, 1).await;
    assert_eq!(task["documents"][0]["error"]["code"], "document_too_large", "{task}");
    assert_eq!(world.spooled(), 0);
}

#[tokio::test]
async fn an_invalid_announcement_is_refused_with_its_pointer() {
    let world = world().await;
    let (kind, bytes) = ("application/pdf", 10);
    for (body, status, code, pointer) in [
        (json!({"bytes": bytes}), 422, "missing_field", "#/content_type"),
        (json!({"content_type": kind}), 422, "missing_field", "#/bytes"),
        (json!({"content_type": "pdf", "bytes": bytes}), 422, "invalid_field", "#/content_type"),
        (json!({"content_type": "a/b\r\nx: y", "bytes": bytes}), 422, "invalid_field", "#/content_type"),
        (json!({"content_type": kind, "bytes": 0}), 422, "invalid_field", "#/bytes"),
        (json!({"content_type": kind, "bytes": "10"}), 422, "invalid_field", "#/bytes"),
        (json!({"content_type": kind, "bytes": 1001}), 413, "document_too_large", "#/bytes"),
        (json!({"content_type": kind, "bytes": bytes, "filename": 7}), 422, "invalid_field", "#/filename"),
        (json!({"content_type": kind, "bytes": bytes, "size": 7}), 422, "unknown_field", "#/size"),
        (
            json!({"content_type": kind, "bytes": bytes, "callback_url": "https://10.0.0.1"}),
            422,
            "url_refused",
            "#/callback_url",
        ),
    ] {
        let problem = world.post_json("/uploads", &body).await.problem(status, code);
        assert_eq!(problem["pointer"], pointer, "{body}");
    }
    world.post("/uploads", &[image("pages=1")]).await.problem(415, "unsupported_media_type");
    world.assert_empty().await;
}

#[tokio::test]
async fn without_upload_urls_the_problem_names_the_alternative() {
    let world = TestWorld::without_worker(|_| {}).await;
    let body = json!({"content_type": "application/pdf", "bytes": 10});
    let problem = world.post_json("/uploads", &body).await.problem(404, "uploads_not_taken");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("POST /ocr/async")), "{problem}");
    world.assert_empty().await;
}

#[tokio::test]
async fn a_request_over_the_size_limit_is_referred_to_uploads() {
    let large = "x".repeat(2000);
    for (uploads, mentions) in [(false, false), (true, true)] {
        let world = TestWorld::without_worker(|settings| settings.max_body_bytes = 1024).await;
        if uploads {
            world.faults.take_uploads();
        }
        let announced = world.post("/ocr", &[image(&large)]).await.problem(413, "body_too_large");
        let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>(body(&[image(&large)]))]);
        let post = world.client.post(world.url("/ocr")).header("content-type", boundary());
        let grown = post.body(reqwest::Body::wrap_stream(chunks)).send().await.expect("an answer");
        let grown = crate::support::TestResponse::read(grown).await.problem(413, "body_too_large");
        for problem in [announced, grown] {
            let detail = problem["detail"].as_str().expect("a detail");
            assert_eq!(detail.contains("POST /uploads"), mentions, "{detail}");
        }
    }
}
