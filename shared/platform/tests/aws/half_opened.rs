//! A task of very many pages is opened in more than one transaction. Whoever dies between them leaves pages that are
//! queued while their task has ended: corrections must neither lose them nor count them twice.

use aws_sdk_dynamodb::types::AttributeValue;
use quire_platform::{Aws, AwsSettings, Completion, Home, conformance};
use quire_tasks::{
    Counts, Document, DocumentState, Failure, FailureCode, Format, Outcome, Page, PageRef, PageStatus, Split, Task,
    TaskId, Tenant,
};
use uuid::Uuid;

use crate::{connected, now, retention::client, settings};

/// A task with three failed pages, of which the last two are opened by halves for round 2.
async fn half_opened() -> (Home, Task) {
    let settings = settings();
    Aws::provision_with(&settings, conformance::settings).await.expect("provisioned");
    let home = connected(&settings).await;
    let state = DocumentState::Split(Split { format: Format::Pdf, pages: 3 });
    let documents = vec![Document::new(1, None, state)];
    let task = Task::new(TaskId::new(Uuid::now_v7()), Tenant::default(), now(), documents, None);
    home.tasks.create(task.clone()).await.expect("created");
    for page in task.pages() {
        let failed = Outcome::Failed(Failure::new(FailureCode::UnreadablePage, "broken"));
        assert!(home.tasks.complete_page(page, 1, failed).await.expect("completed").changed());
    }
    for number in [2, 3] {
        open_by_half(&settings, page(&task, number)).await;
        let half = home.tasks.page(page(&task, number)).await.expect("a page");
        assert_eq!((half.status, half.round), (PageStatus::Queued, 2));
    }
    (home, task)
}

async fn open_by_half(settings: &AwsSettings, of: PageRef) {
    let failure = None;
    let (status, confidence, ended_at) = (PageStatus::Queued, None, None);
    let page = Page { page: of, status, round: 2, failure, confidence, ended_at, needs_review: false };
    let sort = format!("page#{:010}#{:010}", of.document, of.page);
    let put = client().put_item().table_name(&settings.table);
    let put = put.item("pk", AttributeValue::S(of.task_id.to_string())).item("sk", AttributeValue::S(sort));
    let put = put.item("open", AttributeValue::N("2".to_owned()));
    let record = serde_json::to_string(&page).expect("JSON");
    put.item("record", AttributeValue::S(record)).send().await.expect("written");
}

fn page(task: &Task, page: u32) -> PageRef {
    PageRef { task_id: task.id, document: 1, page }
}

async fn correct(home: &Home, of: PageRef, round: u32) -> Completion {
    home.tasks.correct_page(of, round, None).await.expect("corrected")
}

#[tokio::test]
async fn a_page_that_was_opened_by_half_is_corrected_as_the_failed_one_it_is() {
    let (home, task) = half_opened().await;
    let corrected = correct(&home, page(&task, 2), 2).await;
    assert!(corrected.changed());
    assert_eq!(corrected.task().counts, Counts { succeeded: 1, failed: 2, ..Counts::default() });
    assert_eq!(home.tasks.page(page(&task, 2)).await.expect("a page").status, PageStatus::Succeeded);
}

#[tokio::test]
async fn pages_that_were_opened_by_half_are_opened_after_a_correction_of_another() {
    let (home, task) = half_opened().await;
    assert!(correct(&home, page(&task, 1), 2).await.changed());
    let stray = home.tasks.complete_page(page(&task, 3), 2, Outcome::read(None)).await.expect("an answer");
    assert!(!stray.changed(), "its task has ended: {stray:?}");
    let opened = home.tasks.reopen(task.id, vec![page(&task, 2)]).await.expect("opened");
    assert_eq!(opened.task().counts, Counts { open: 2, succeeded: 1, ..Counts::default() });
    for number in [2, 3] {
        let read = home.tasks.complete_page(page(&task, number), 3, Outcome::read(None)).await.expect("completed");
        assert!(read.changed(), "{read:?}");
    }
    assert_eq!(home.tasks.task(task.id).await.expect("a task").counts, Counts { succeeded: 3, ..Counts::default() });
}
