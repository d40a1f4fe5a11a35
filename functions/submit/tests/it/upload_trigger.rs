//! The upload trigger.

use std::time::Duration;

use quire_platform::{Consumer, QueueName};
use quire_submit::{UploadEvent, handle_upload_event, ingest_one};
use quire_tasks::{
    Document, DocumentMessage, DocumentSource, DocumentState, ObjectKey, Task, TaskId, Tenant, UnixMillis,
};
use serde_json::{Value, json};

use crate::support::TestWorld;

fn record(key: &str, more: &Value) -> Value {
    let mut object =
        json!({"key": key, "size": 7, "eTag": "d41d8cd98f00b204e9800998ecf8427e", "sequencer": "0055AED6"});
    object.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1", "eventName": "ObjectCreated:Put",
        "eventTime": "2026-11-22T00:00:00.000Z",
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": "b", "arn": "arn:aws:s3:::b"}, "object": object},
    })
}

fn event(records: &[Value]) -> UploadEvent {
    serde_json::from_value(json!({ "Records": records })).expect("an event")
}

async fn take(world: &TestWorld, records: &[Value]) {
    let (event, callback_url) = (event(records), Some("https://example.com/hook"));
    handle_upload_event(&world.backend, &world.routes, event, callback_url).await.expect("the backend does not fail");
}

/// Ingests the next message of the documents queue and returns its task.
async fn ingested(world: &TestWorld) -> Task {
    let consumer = Consumer::<DocumentMessage>::new(world.backend.queue(QueueName::Documents), Duration::from_mins(1));
    let mut received = consumer.receive(1, Duration::from_secs(10)).await.expect("a receive");
    let delivery = received.pop().expect("a delivery").expect("a readable message");
    let id = delivery.message.task_id;
    ingest_one(&world.app, delivery).await.expect("the backend does not fail");
    world.backend.tasks.task(id).await.expect("the task")
}

#[tokio::test]
async fn an_unannounced_object_becomes_one_task_for_repeated_events() {
    let world = TestWorld::without_worker(|_| {}).await;
    world.backend.objects.put("inbox/scans/two words.pdf", "pages=2".into()).await.expect("put");
    let record = record("inbox/scans/two+words.pdf", &json!({}));
    take(&world, &[record.clone(), record.clone()]).await;
    take(&world, &[record]).await;
    assert_eq!(world.depth(QueueName::Documents).await, 1, "one task, and one message for it");
    let task = ingested(&world).await;
    assert_eq!(task.documents[0].name.as_deref(), Some("two words.pdf"));
    assert!(matches!(task.documents[0].state, DocumentState::Split(split) if split.pages == 2), "{task:?}");
    assert_eq!(task.callback.as_ref().map(|callback| callback.url.as_str()), Some("https://example.com/hook"));
    assert!(task.trace.is_some());
    assert_eq!(task.read_as.engine.map(|engine| engine.to_string()).as_deref(), Some("pp-ocr@v6-small"));
}

#[tokio::test]
async fn without_a_text_engine_an_object_still_becomes_a_task() {
    let world = TestWorld::with_routes(r#""routes": [{"modes": ["markdown"], "primary": "a@1"}]"#).await;
    take(&world, &[record("inbox/a.pdf", &json!({}))]).await;
    let mut received =
        world.backend.queue(QueueName::Documents).receive(1, Duration::from_secs(10)).await.expect("received");
    let body = received.pop().expect("a message").body;
    let DocumentMessage { task_id, .. } = quire_tasks::Message::decode(&body).expect("a message");
    let task = world.backend.tasks.task(task_id).await.expect("a task");
    assert!(task.read_as.is_default(), "the worker refuses it later: {task:?}");
}

#[tokio::test]
async fn another_version_of_an_object_is_another_task() {
    let world = TestWorld::without_worker(|_| {}).await;
    let versions =
        [json!({"versionId": "v1"}), json!({"versionId": "v2"}), json!({"sequencer": "0055AED7"}), json!({})];
    take(&world, &versions.map(|version| record("inbox/a.pdf", &version))).await;
    assert_eq!(world.depth(QueueName::Documents).await, 4);
    let mut sources = Vec::new();
    let received =
        world.backend.queue(QueueName::Documents).receive(10, Duration::from_secs(10)).await.expect("received");
    for message in received {
        let DocumentMessage { task_id, .. } = quire_tasks::Message::decode(&message.body).expect("a message");
        let task = world.backend.tasks.task(task_id).await.expect("a task");
        let DocumentState::Pending { source: DocumentSource::Inbox { key, version } } = task.documents[0].state.clone()
        else {
            panic!("{task:?}")
        };
        assert_eq!(key, "inbox/a.pdf");
        sources.push(version);
    }
    sources.sort();
    assert_eq!(sources, [None, None, Some("v1".to_owned()), Some("v2".to_owned())]);
}

#[tokio::test]
async fn a_repeated_event_dispatches_an_interrupted_task() {
    let world = TestWorld::without_worker(|_| {}).await;
    let record = record("inbox/a.pdf", &json!({"versionId": "v1"}));
    let id = TaskId::derive_from(&["upload", "b", "inbox/a.pdf", "version", "v1"]);
    let source = DocumentSource::Inbox { key: "inbox/a.pdf".to_owned(), version: Some("v1".to_owned()) };
    let document = Document::new(1, None, DocumentState::Pending { source });
    let task = Task::new(id, Tenant::default(), UnixMillis(1), vec![document], None);
    world.backend.tasks.create(task).await.expect("created");
    take(&world, &[record]).await;
    assert_eq!(world.depth(QueueName::Documents).await, 1);
    assert!(world.backend.tasks.task(id).await.expect("the task").dispatched);
}

#[tokio::test]
async fn an_announced_upload_is_ingested_once() {
    let world = TestWorld::without_worker(|_| {}).await;
    world.faults.take_uploads();
    let answer = world.post_json("/uploads", &json!({"content_type": "application/pdf", "bytes": 7})).await;
    let task_id: TaskId = answer.json()["task_id"].as_str().expect("a task id").parse().expect("an id");
    world.app.drained().await;
    let key = ObjectKey::Inbox { task_id }.to_string();
    world.backend.objects.put(&key, "pages=1".into()).await.expect("uploaded");
    take(&world, &[record(&key, &json!({"versionId": "v1"}))]).await;
    let task = ingested(&world).await;
    assert_eq!((task.id, task.counts.open, world.depth(QueueName::Pages).await), (task_id, 1, 1));
    take(&world, &[record(&key, &json!({"versionId": "v1"}))]).await;
    let depth = world.backend.queue(QueueName::Documents).depth().await.expect("a depth");
    assert_eq!((depth.ready, depth.delayed), (0, 1), "only the message that waits for the upload is left");
}

#[tokio::test]
async fn other_events_are_ignored() {
    let world = TestWorld::without_worker(|_| {}).await;
    let unknown = ObjectKey::Inbox { task_id: TaskId::derive_from(&["unknown"]) }.to_string();
    let keys = ["inbox/", "inbox/folder/", "documents/task_1/1", &unknown];
    take(&world, &keys.map(|key| record(key, &json!({})))).await;
    let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b", "RequestId": "x"});
    let test: UploadEvent = serde_json::from_value(test).expect("an event");
    handle_upload_event(&world.backend, &world.routes, test, None).await.expect("nothing to do");
    world.assert_empty().await;
}

#[tokio::test]
async fn one_failing_object_fails_the_event_after_the_others_are_processed() {
    let world = TestWorld::without_worker(|_| {}).await;
    let records = [record("inbox/%FF.pdf", &json!({})), record("inbox/good.pdf", &json!({}))];
    let failed =
        handle_upload_event(&world.backend, &world.routes, event(&records), None).await.expect_err("one failed");
    assert_eq!(failed.to_string(), "cannot process 1 uploads");
    assert_eq!(world.depth(QueueName::Documents).await, 1);
}
