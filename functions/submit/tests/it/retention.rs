//! Expired tasks.

use std::time::Duration;

use futures_util::future::join_all;
use quire_platform::{Error, QueueName};
use quire_submit::{sweep_expired, sweep_undispatched};
use quire_tasks::{
    Document, DocumentFormat, DocumentState, ObjectKey, SplitDocument, Task, TaskId, Tenant, UnixMillis,
};
use uuid::Uuid;

use crate::support::{StoreFault, TestWorld, now};

/// Stores a task of one page with its document, accepted at `created_at` with this retention in hours.
async fn stored(world: &TestWorld, created_at: i64, hours: u64) -> Task {
    let id = TaskId::new(Uuid::now_v7());
    let key = ObjectKey::Document { task_id: id, document: 1 }.to_string();
    world.backend.objects.put(&key, "pages=1 confidential_words".into()).await.expect("the document is stored");
    let documents =
        vec![Document::new(1, None, DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages: 1 }))];
    let task = Task::new(id, Tenant::default(), UnixMillis(created_at), documents, None);
    let task = task.with_retention(Duration::from_hours(hours));
    world.backend.tasks.create(task).await.expect("the task is created").task().clone()
}

async fn is_there(world: &TestWorld, task: &Task) -> bool {
    match world.backend.tasks.task(task.id).await {
        Ok(_) => true,
        Err(Error::NotFound { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

fn hours(count: u64) -> UnixMillis {
    UnixMillis(0).plus(Duration::from_hours(count))
}

#[tokio::test]
async fn an_expired_task_is_deleted_and_no_other() {
    let world = TestWorld::without_worker(|_| {}).await;
    let (short, long) = (stored(&world, 0, 1).await, stored(&world, 0, 2).await);
    assert_eq!(sweep_expired(&world.backend, UnixMillis(hours(1).0 - 1)).await.expect("a sweep"), 0);
    assert_eq!(sweep_expired(&world.backend, hours(1)).await.expect("a sweep"), 1);
    assert_eq!((is_there(&world, &short).await, is_there(&world, &long).await), (false, true));
    assert_eq!(world.files_with("confidential_words").len(), 1);
    assert_eq!(sweep_expired(&world.backend, hours(3)).await.expect("a sweep"), 1);
    assert_eq!(world.files_with("confidential_words"), Vec::<String>::new());
    assert_eq!(sweep_expired(&world.backend, hours(9)).await.expect("a sweep"), 0);
}

#[tokio::test]
async fn an_expired_task_is_not_found_before_its_deletion() {
    let world = TestWorld::without_worker(|_| {}).await;
    let task = stored(&world, now().0 - 3_600_000, 1).await;
    let id = task.id;
    for path in ["", "/result", "/pages"] {
        world.get(&format!("/task/{id}{path}")).await.problem(404, "task_not_found");
    }
    for path in ["retry", "cancel"] {
        world.post_empty(&format!("/task/{id}/{path}")).await.problem(404, "task_not_found");
    }
    assert!(is_there(&world, &task).await);
    assert_eq!(world.delete(&format!("/task/{id}")).await.status, 204, "what is left of it can be removed");
    assert!(!is_there(&world, &task).await);
}

#[tokio::test]
async fn one_sweep_deletes_several_batches() {
    let world = TestWorld::without_worker(|_| {}).await;
    join_all((0..250).map(|_| stored(&world, 0, 1))).await;
    let kept = stored(&world, 0, 2).await;
    assert_eq!(sweep_expired(&world.backend, hours(1)).await.expect("a sweep"), 250);
    let left = world.backend.objects.list("documents/").await.expect("a list");
    assert_eq!(left, [ObjectKey::Document { task_id: kept.id, document: 1 }.to_string()]);
}

#[tokio::test]
async fn a_task_that_cannot_be_deleted_is_hidden_and_deleted_later() {
    let world = TestWorld::without_worker(|_| {}).await;
    let task = stored(&world, 0, 1).await;
    world.faults.set(Some(StoreFault::Broken));
    assert!(sweep_expired(&world.backend, hours(1)).await.is_err());
    assert!(is_there(&world, &task).await, "it is needed to find what is left to delete");
    world.faults.set(None);
    assert_eq!(sweep_expired(&world.backend, hours(1)).await.expect("a sweep"), 1);
    assert_eq!(world.files_with("confidential_words"), Vec::<String>::new());
}

#[tokio::test]
async fn concurrent_sweeps_succeed() {
    let world = TestWorld::without_worker(|_| {}).await;
    join_all((0..20).map(|_| stored(&world, 0, 1))).await;
    let sweeps = join_all((0..4).map(|_| sweep_expired(&world.backend, hours(1)))).await;
    let removed: usize = sweeps.into_iter().map(|sweep| sweep.expect("no sweep fails")).sum();
    assert!(removed >= 20, "{removed}");
    assert_eq!(world.backend.objects.list("documents/").await.expect("a list"), Vec::<String>::new());
}

#[tokio::test]
async fn an_expired_open_task_is_not_dispatched() {
    let world = TestWorld::without_worker(|_| {}).await;
    let task = stored(&world, 0, 1).await;
    world.backend.tasks.expire(task.id, hours(1)).await.expect("expired");
    sweep_undispatched(&world.backend, UnixMillis(i64::MAX)).await.expect("a sweep");
    assert_eq!(world.depth(QueueName::Pages).await, 0);
    assert_eq!(sweep_expired(&world.backend, hours(1)).await.expect("a sweep"), 1);
}
