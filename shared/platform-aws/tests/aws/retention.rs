//! The table's time to live.

use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
};
use quire_platform::{Backend, Collection, Reopen, conformance};
use quire_platform_aws::Aws;
use quire_tasks::{
    Document, DocumentFormat, DocumentSource, DocumentState, Failure, FailureCode, Outcome, PageRef, SplitDocument,
    Task, TaskId, Tenant, UnixMillis,
};
use uuid::Uuid;

use crate::{connected, emulator, now, settings};

pub(crate) fn client() -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(emulator::url());
    Client::from_conf(config.build())
}

/// Creates a task with chunks of documents, and with pages of which some have ended.
async fn worked_on(backend: &Backend, created_at: UnixMillis) -> Task {
    let split = DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages: 2 });
    let pending = DocumentState::Pending {
        source: DocumentSource::Url { url: "https://example.com/".to_owned() + &"a".repeat(3000) },
    };
    let documents =
        [split.clone(), pending].into_iter().zip(1..).map(|(state, number)| Document::new(number, None, state));
    let task = Task::new(TaskId::new(Uuid::now_v7()), Tenant::default(), created_at, documents.collect(), None);
    backend.tasks.create(task.clone()).await.expect("created");
    backend.tasks.finish_document(task.id, 2, split).await.expect("settled");
    for document in 1..=2 {
        let page = PageRef { task_id: task.id, document, page: 1 };
        let failed = Outcome::Failed(Failure::new(FailureCode::UnreadablePage, "broken"));
        assert!(backend.tasks.complete_page(page, 1, failed).await.expect("completed").changed());
    }
    backend
        .tasks
        .reopen(task.id, Reopen::Pages(vec![PageRef { task_id: task.id, document: 1, page: 1 }]))
        .await
        .expect("an answer");
    backend.tasks.task(task.id).await.expect("a task")
}

#[tokio::test]
async fn the_time_to_live_of_a_task_is_two_days_after_its_expiry() {
    let settings = settings();
    Aws::provision_with(&settings, conformance::settings).await.expect("provisioned");
    // Provisioning is idempotent, including the time to live.
    Aws::provision_with(&settings, conformance::settings).await.expect("provisioned");
    let created_at = now();
    let task = worked_on(&connected(&settings).await, created_at).await;
    let items = client().scan().table_name(&settings.table).send().await.expect("scanned").items.expect("items");
    assert!(items.len() >= 6, "a task, its documents and four pages: {items:?}");
    let expected = (task.expires_at.0 / 1000 + 2 * 24 * 3600).to_string();
    for item in items {
        let expires_at = item.get("expires_at").and_then(|value| value.as_n().ok());
        assert_eq!(expires_at, Some(&expected), "{item:?}");
    }
    let told = client().describe_time_to_live().table_name(&settings.table).send().await.expect("described");
    let told = told.time_to_live_description.expect("a description");
    assert_eq!(told.attribute_name.as_deref(), Some("expires_at"));
    assert_eq!(told.time_to_live_status.expect("a status").as_str(), "ENABLED");
}

#[tokio::test]
async fn only_records_with_an_expiry_have_a_time_to_live() {
    let settings = settings();
    Aws::provision_with(&settings, conformance::settings).await.expect("provisioned");
    let records = connected(&settings).await.records;
    let at = now().0 + 60_000;
    records.set(Collection::Reports, "for-a-while", "1".to_owned(), Some(UnixMillis(at))).await.expect("set");
    records.set(Collection::Reports, "for-ever", "1".to_owned(), None).await.expect("set");
    let items = client().scan().table_name(&settings.table).send().await.expect("scanned").items.expect("items");
    let told = |key: &str| {
        let item =
            items.iter().find(|item| item.get("sk").is_some_and(|sort| sort.as_s().is_ok_and(|sort| sort == key)));
        item.expect("a record").get("expires_at").and_then(|value| value.as_n().ok()?.parse::<i64>().ok())
    };
    assert_eq!(told("for-ever"), None);
    let seconds = told("for-a-while").expect("a number");
    assert!((at..at + 1001).contains(&(seconds * 1000)), "in whole seconds, and not before its time: {seconds}");
}
