//! The sweep of interrupted tasks.

use quire_platform::QueueName;
use quire_submit::sweep_undispatched;
use quire_tasks::{
    Document, DocumentFormat, DocumentSource, DocumentState, ObjectKey, SplitDocument, Task, TaskId, Tenant, UnixMillis,
};
use uuid::Uuid;

use crate::support::TestWorld;

/// Creates a task as if its submitter had crashed before it sent any message.
async fn interrupted(world: &TestWorld, created_at: i64) -> Task {
    let id = TaskId::new(Uuid::now_v7());
    let key = ObjectKey::Document { task_id: id, document: 1 }.to_string();
    world.backend.objects.put(&key, "pages=2".into()).await.expect("the document is stored");
    let split = DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages: 2 });
    let pending = DocumentState::Pending { source: DocumentSource::Url { url: "http://127.0.0.1:9/".to_owned() } };
    let documents = vec![Document::new(1, None, split), Document::new(2, None, pending)];
    let task = Task::new(id, Tenant::default(), UnixMillis(created_at), documents, None);
    // At any age.
    let task = Task { expires_at: UnixMillis(i64::MAX), ..task };
    world.backend.tasks.create(task).await.expect("the task is created").task().clone()
}

#[tokio::test]
async fn the_messages_of_an_interrupted_task_are_sent_once() {
    let world = TestWorld::without_worker(|_| {}).await;
    let task = interrupted(&world, 1_000).await;
    assert_eq!(
        sweep_undispatched(&world.backend, UnixMillis(1_000)).await.expect("a sweep"),
        0,
        "it may still be on its way"
    );
    assert_eq!(sweep_undispatched(&world.backend, UnixMillis(1_001)).await.expect("a sweep"), 1);
    assert_eq!((world.depth(QueueName::Pages).await, world.depth(QueueName::Documents).await), (2, 1));
    assert!(world.backend.tasks.task(task.id).await.expect("the task").dispatched);
    assert_eq!(sweep_undispatched(&world.backend, UnixMillis(i64::MAX)).await.expect("a sweep"), 0);
    assert_eq!(world.depth(QueueName::Pages).await, 2);
}

#[tokio::test]
async fn a_page_that_ended_is_not_sent_again() {
    let world = TestWorld::without_worker(|_| {}).await;
    let task = interrupted(&world, 1_000).await;
    let page = task.pages().next().expect("a page");
    let outcome = quire_tasks::Outcome::succeeded(None);
    world.backend.tasks.complete_page(page, task.round, outcome).await.expect("the page ends");
    assert_eq!(sweep_undispatched(&world.backend, UnixMillis(i64::MAX)).await.expect("a sweep"), 1);
    assert_eq!(world.depth(QueueName::Pages).await, 1);
}

#[tokio::test]
async fn a_dispatched_task_is_not_swept() {
    let world = TestWorld::new().await;
    let answer = world.post("/ocr", &[crate::support::image("pages=1")]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    world.app.drained().await;
    assert_eq!(sweep_undispatched(&world.backend, UnixMillis(i64::MAX)).await.expect("a sweep"), 0);
}
