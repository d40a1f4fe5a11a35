//! Reopening very many single pages takes more than one transaction. A crash between them reopens none.

use aws_sdk_dynamodb::types::AttributeValue;
use quire_platform::{Backend, Completion, Reopen, conformance};
use quire_platform_aws::{Aws, AwsSettings};
use quire_tasks::{
    Counts, Document, DocumentFormat, DocumentState, Failure, FailureCode, Outcome, PageRef, PageStatus, SplitDocument,
    Task, TaskId, TaskStatus, Tenant,
};
use uuid::Uuid;

use crate::{connected, now, retention::client, settings};

fn failed() -> Outcome {
    Outcome::Failed(Failure::new(FailureCode::UnreadablePage, "broken"))
}

/// Creates a task of failed pages, of which the last two have a marker of an interrupted reopening in round 2.
async fn half_reopened(pages: u32) -> (Backend, Task) {
    let settings = settings();
    Aws::provision_with(&settings, conformance::settings).await.expect("provisioned");
    let backend = connected(&settings).await;
    let state = DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages });
    let documents = vec![Document::new(1, None, state)];
    let task = Task::new(TaskId::new(Uuid::now_v7()), Tenant::default(), now(), documents, None);
    backend.tasks.create(task.clone()).await.expect("created");
    for page in task.pages() {
        assert!(backend.tasks.complete_page(page, 1, failed()).await.expect("completed").changed());
    }
    for number in [pages - 1, pages] {
        half_reopen(&settings, page(&task, number)).await;
        assert_page(&backend, page(&task, number), PageStatus::Failed, 1).await;
    }
    (backend, task)
}

async fn half_reopen(settings: &AwsSettings, of: PageRef) {
    let sort = format!("page#{:010}#{:010}", of.document, of.page);
    let number = |number: u64| AttributeValue::N(number.to_string());
    let update = client().update_item().table_name(&settings.table);
    let update = update.key("pk", AttributeValue::S(of.task_id.to_string())).key("sk", AttributeValue::S(sort));
    let update = update.update_expression("SET #t = :t, token_round = :r").expression_attribute_names("#t", "token");
    let update = update.expression_attribute_values(":t", number(7)).expression_attribute_values(":r", number(2));
    update.send().await.expect("written");
}

fn page(task: &Task, page: u32) -> PageRef {
    PageRef { task_id: task.id, document: 1, page }
}

async fn assert_page(backend: &Backend, page: PageRef, status: PageStatus, round: u32) {
    let page = backend.tasks.page(page).await.expect("a page");
    assert_eq!((page.status, page.round), (status, round));
}

async fn correct(backend: &Backend, of: PageRef, round: u32) -> Completion {
    backend.tasks.correct_page(of, round, None).await.expect("corrected")
}

#[tokio::test]
async fn a_half_reopened_page_is_still_failed_and_can_be_corrected() {
    let (backend, task) = half_reopened(3).await;
    let corrected = correct(&backend, page(&task, 2), 2).await;
    assert!(corrected.changed());
    assert_eq!(corrected.task().counts, Counts { succeeded: 1, failed: 2, ..Counts::default() });
    assert_page(&backend, page(&task, 2), PageStatus::Succeeded, 2).await;
    assert_page(&backend, page(&task, 3), PageStatus::Failed, 1).await;
}

#[tokio::test]
async fn half_reopened_pages_stay_failed_until_they_are_reopened() {
    let (backend, task) = half_reopened(4).await;
    assert!(correct(&backend, page(&task, 1), 2).await.changed());
    let opened =
        backend.tasks.reopen(task.id, Reopen::Pages(vec![page(&task, 2), page(&task, 3)])).await.expect("opened");
    assert_eq!(opened.task().counts, Counts { open: 2, succeeded: 1, failed: 1, ..Counts::default() });
    for round in [2, 3] {
        let stray =
            backend.tasks.complete_page(page(&task, 4), round, Outcome::succeeded(None)).await.expect("an answer");
        assert!(!stray.changed(), "it was not reopened: {stray:?}");
    }
    for number in [2, 3] {
        assert!(backend.tasks.complete_page(page(&task, number), 3, failed()).await.expect("completed").changed());
    }
    let opened = backend.tasks.reopen(task.id, Reopen::Unread).await.expect("opened");
    assert_eq!(opened.task().counts, Counts { open: 3, succeeded: 1, ..Counts::default() });
    for number in [2, 3, 4] {
        let read =
            backend.tasks.complete_page(page(&task, number), 4, Outcome::succeeded(None)).await.expect("completed");
        assert!(read.changed(), "{read:?}");
    }
    assert_eq!(backend.tasks.task(task.id).await.expect("a task").status(), TaskStatus::Succeeded);
}

#[tokio::test]
async fn reopening_many_pages_leaves_half_reopened_ones() {
    const PAGES: u32 = 112;
    let (backend, task) = half_reopened(PAGES).await;
    let named: Vec<PageRef> = task.pages().take(110).collect();
    let opened = backend.tasks.reopen(task.id, Reopen::Pages(named)).await.expect("opened");
    assert_eq!(opened.task().counts, Counts { open: 110, failed: 2, ..Counts::default() });
    assert_page(&backend, page(&task, 110), PageStatus::Queued, 2).await;
    assert_page(&backend, page(&task, 111), PageStatus::Failed, 1).await;
    assert!(!backend.tasks.complete_page(page(&task, 111), 2, failed()).await.expect("an answer").changed());
    assert!(backend.tasks.complete_page(page(&task, 1), 2, failed()).await.expect("completed").changed());
    assert_page(&backend, page(&task, 1), PageStatus::Failed, 2).await;
    let canceled = backend.tasks.cancel(task.id).await.expect("canceled");
    assert_eq!(canceled.task().counts, Counts { failed: 3, canceled: 109, ..Counts::default() });
    assert_page(&backend, page(&task, 110), PageStatus::Queued, 2).await;
    let opened = backend.tasks.reopen(task.id, Reopen::Unread).await.expect("opened");
    assert_eq!(opened.task().counts, Counts { open: PAGES, ..Counts::default() });
    let pages = backend.tasks.pages(task.id).await.expect("pages");
    assert!(pages.iter().all(|page| (page.status, page.round) == (PageStatus::Queued, 3)));
}
