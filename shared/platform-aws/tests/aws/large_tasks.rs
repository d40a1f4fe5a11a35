//! Tasks too large for one transaction or one item, and tasks changed by several processes.

use quire_platform::{Backend, Completion, Reopen, conformance, retry_with_backoff};
use quire_platform_aws::Aws;
use quire_tasks::{
    Document, DocumentFormat, DocumentSource, DocumentState, Failure, FailureCode, Outcome, PageRef, PageStatus,
    SplitDocument, Task, TaskId, TaskStatus, Tenant,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{connected, open, settings};

const URL: &str = "https://example.com/a.pdf";

fn split(pages: u32) -> DocumentState {
    DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages })
}

fn pending() -> DocumentState {
    DocumentState::Pending { source: DocumentSource::Url { url: URL.to_owned() } }
}

fn failed() -> Outcome {
    Outcome::Failed(Failure::new(FailureCode::UnreadablePage, "broken"))
}

async fn created(backend: &Backend, states: impl IntoIterator<Item = DocumentState>) -> Task {
    let document = |(number, state)| Document::new(number, Some("a.pdf".to_owned()), state);
    let documents = (1..).zip(states).map(document).collect();
    let task = Task::new(TaskId::new(Uuid::now_v7()), Tenant::default(), crate::now(), documents, None);
    match backend.tasks.create(task).await.expect("create") {
        Completion::Applied(task) => task,
        Completion::Unchanged(task) => panic!("{} was there before", task.id),
    }
}

async fn agrees(backend: &Backend, task: &Task) {
    assert_eq!(&backend.tasks.task(task.id).await.expect("task"), task);
    let pages = backend.tasks.pages(task.id).await.expect("pages");
    assert_eq!(pages.iter().map(|page| page.page).collect::<Vec<_>>(), task.pages().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_task_of_very_many_pages_is_created_atomically() {
    let (backend, ()) = open().await;
    let task = created(&backend, [split(350), pending()]).await;
    agrees(&backend, &task).await;
    let again = backend.tasks.create(task.clone()).await.expect("create");
    assert_eq!(again, Completion::Unchanged(task.clone()));
    let settled = backend.tasks.finish_document(task.id, 2, split(250)).await.expect("settle");
    assert!(settled.changed());
    assert_eq!(settled.task().counts.open, 600);
    agrees(&backend, settled.task()).await;
}

#[tokio::test]
async fn a_task_of_very_many_documents_is_stored_in_chunks() {
    let (backend, ()) = open().await;
    let task = created(&backend, (1..=900).map(|n| if n % 3 == 0 { pending() } else { split(1) })).await;
    agrees(&backend, &task).await;
    let settled = backend.tasks.finish_document(task.id, 450, split(2)).await.expect("settle");
    assert!(settled.changed());
    agrees(&backend, settled.task()).await;
    let page = PageRef { task_id: task.id, document: 450, page: 2 };
    let completion = backend.tasks.complete_page(page, 1, failed()).await.expect("complete");
    assert!(completion.changed());
    agrees(&backend, completion.task()).await;
}

#[tokio::test]
async fn very_many_failed_pages_are_reopened() {
    const PAGES: u32 = 130;
    let (backend, ()) = open().await;
    let task = created(&backend, [split(PAGES)]).await;
    for page in task.pages() {
        assert!(backend.tasks.complete_page(page, 1, failed()).await.expect("complete").changed());
    }
    assert_eq!(backend.tasks.task(task.id).await.expect("task").status(), TaskStatus::Failed);
    let opened = backend.tasks.reopen(task.id, Reopen::Pages(task.pages().collect())).await.expect("reopen");
    assert!(opened.changed());
    assert_eq!((opened.task().counts.open, opened.task().round), (PAGES, 2));
    let pages = backend.tasks.pages(task.id).await.expect("pages");
    assert!(pages.iter().all(|page| page.status == PageStatus::Queued && page.round == 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_several_processes_completes_each_page() {
    const PAGES: u32 = 25;
    let settings = settings();
    Aws::provision_with(&settings, conformance::settings).await.expect("provisioned");
    let mut tries = JoinSet::new();
    let task = created(&connected(&settings).await, [split(PAGES)]).await;
    for _ in 0..3 {
        // With locks of its own, as another process.
        let backend = connected(&settings).await;
        for page in task.pages() {
            let tasks = backend.tasks.clone();
            tries.spawn(async move {
                retry_with_backoff(|| tasks.complete_page(page, 1, failed())).await.expect("complete").changed()
            });
        }
    }
    let completed = tries.join_all().await.into_iter().filter(|&changed| changed).count();
    assert_eq!(completed as u32, PAGES);
    let ended = connected(&settings).await.tasks.task(task.id).await.expect("task");
    assert_eq!((ended.counts.failed, ended.counts.open, ended.status()), (PAGES, 0, TaskStatus::Failed));
}

#[tokio::test]
async fn concurrent_creations_of_one_task_are_idempotent() {
    let settings = settings();
    Aws::provision_with(&settings, conformance::settings).await.expect("provisioned");
    let one = connected(&settings).await;
    let other = connected(&settings).await;
    let documents = vec![Document::new(1, None, split(220))];
    let task = Task::new(TaskId::new(Uuid::now_v7()), Tenant::default(), crate::now(), documents, None);
    let (first, second) = tokio::join!(one.tasks.create(task.clone()), other.tasks.create(task.clone()));
    let first = first.expect("create");
    let second = second.expect("create");
    assert!(first.changed() != second.changed(), "one of them made it");
    assert_eq!((first.task(), second.task()), (&task, &task));
    agrees(&one, &task).await;
}
