//! Permanent deletion in a bucket with versions, and interrupted deletions of tasks.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
    types::{BucketVersioningStatus, VersioningConfiguration},
};
use quire_platform::{Backend, conformance, purge};
use quire_platform_aws::{Aws, AwsSettings};
use quire_tasks::{
    Document, DocumentFormat, DocumentSource, DocumentState, ObjectKey, SplitDocument, Task, TaskId, Tenant,
};
use uuid::Uuid;

use crate::{connected, emulator, now, retention, settings};

fn client() -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(emulator::url())
        .force_path_style(true);
    Client::from_conf(config.build())
}

/// Opens a backend whose bucket keeps versions.
async fn versioned() -> (AwsSettings, Backend) {
    let settings = settings();
    Aws::provision_with(&settings, conformance::settings).await.expect("provisioned");
    let on = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let versioning = client().put_bucket_versioning().bucket(&settings.bucket).versioning_configuration(on);
    versioning.send().await.expect("versions are kept");
    let backend = connected(&settings).await;
    (settings, backend)
}

/// Returns all versions and delete markers, by key.
async fn versions(settings: &AwsSettings) -> Vec<(String, String)> {
    let listed = client().list_object_versions().bucket(&settings.bucket).send().await.expect("listed");
    let versions = listed.versions.unwrap_or_default().into_iter().map(|one| (one.key, one.version_id));
    let marks = listed.delete_markers.unwrap_or_default().into_iter().map(|one| (one.key, one.version_id));
    let mut all: Vec<_> =
        versions.chain(marks).map(|(key, version)| (key.unwrap_or_default(), version.unwrap_or_default())).collect();
    all.sort();
    all
}

#[tokio::test]
async fn erasing_deletes_all_versions() {
    let (settings, backend) = versioned().await;
    for key in ["a/1", "a/2", "ab"] {
        for text in ["first", "second"] {
            backend.objects.put(key, text.into()).await.expect("put");
        }
    }
    backend.objects.delete("a/2").await.expect("marked as deleted");
    assert_eq!(versions(&settings).await.len(), 7, "each twice, and a mark");
    assert_eq!(backend.objects.erase("a/").await.expect("erased"), 2);
    let left: Vec<String> = versions(&settings).await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(left, ["ab", "ab"]);
}

#[tokio::test]
async fn more_versions_than_one_page_are_erased() {
    let (settings, backend) = versioned().await;
    let puts = (0..1_010).map(|number| {
        let objects = backend.objects.clone();
        async move { objects.put(&format!("many/{number}"), "x".into()).await.expect("put") }
    });
    let mut putting: tokio::task::JoinSet<()> = puts.collect();
    while let Some(put) = putting.join_next().await {
        put.expect("no panic");
    }
    assert_eq!(backend.objects.erase("many/").await.expect("erased"), 1_010);
    assert_eq!(versions(&settings).await, []);
}

#[tokio::test]
async fn only_the_given_version_of_a_key_is_erased() {
    let (settings, backend) = versioned().await;
    let key = "inbox/chosen.pdf";
    for text in ["of the task", "of another"] {
        backend.objects.put(key, text.into()).await.expect("put");
    }
    let announced = client().list_object_versions().bucket(&settings.bucket).send().await.expect("listed");
    let announced = announced.versions.unwrap_or_default().into_iter().find(|one| one.is_latest != Some(true));
    let version = announced.expect("an older version").version_id;
    let state =
        DocumentState::Pending { source: DocumentSource::Inbox { key: key.to_owned(), version: version.clone() } };
    let task = created(&backend, vec![Document::new(1, None, state)]).await;
    backend
        .objects
        .put(&ObjectKey::Document { task_id: task.id, document: 1 }.to_string(), "x".into())
        .await
        .expect("put");
    purge(&backend, &task).await.expect("purged");
    let left = versions(&settings).await;
    assert_eq!(left.len(), 1, "{left:?}");
    assert_ne!(Some(&left[0].1), version.as_ref());
    assert_eq!(backend.objects.read(key).await.expect("read"), "of another");
}

async fn created(backend: &Backend, documents: Vec<Document>) -> Task {
    let task = Task::new(TaskId::new(Uuid::now_v7()), Tenant::default(), now(), documents, None);
    backend.tasks.create(task.clone()).await.expect("created");
    task
}

#[tokio::test]
async fn an_interrupted_removal_of_a_task_is_completed() {
    let settings = settings();
    Aws::provision_with(&settings, conformance::settings).await.expect("provisioned");
    let backend = connected(&settings).await;
    let state = || DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages: 1 });
    // Enough documents to be stored in chunks.
    let documents = (1..=150).map(|number| Document::new(number, Some("a".repeat(100)), state())).collect();
    let task = created(&backend, documents).await;
    let task = backend.tasks.expire(task.id, now()).await.expect("expired").task().clone();
    let table = retention::client();
    for page in task.pages().take(100) {
        let sort = format!("page#{:010}#{:010}", page.document, page.page);
        let delete = table.delete_item().table_name(&settings.table).key("pk", AttributeValue::S(task.id.to_string()));
        delete.key("sk", AttributeValue::S(sort)).send().await.expect("deleted");
    }
    assert_eq!(backend.tasks.list_expired(now(), 10).await.expect("expired"), std::slice::from_ref(&task));
    purge(&backend, &task).await.expect("purged");
    let items = table.scan().table_name(&settings.table).send().await.expect("scanned").items.unwrap_or_default();
    assert!(items.is_empty(), "{items:?}");
}

#[tokio::test]
async fn a_download_url_returns_the_object_as_an_attachment() {
    let settings = settings();
    Aws::provision_with(&settings, conformance::settings).await.expect("provisioned");
    let backend = connected(&settings).await;
    backend.objects.put("results/a/1.pdf", "%PDF".into()).await.expect("put");
    let address = |name: &'static str| {
        let objects = backend.objects.clone();
        async move {
            let url = objects.download_url("results/a/1.pdf", name, "application/pdf", Duration::from_mins(5)).await;
            url.expect("an answer").expect("an address")
        }
    };
    let answer = fetched(&address("the \"first\"\r\n résumé.pdf").await).await;
    assert_eq!(answer.body, "%PDF");
    assert_eq!(answer.kind, "application/pdf");
    assert_eq!(answer.disposition, "attachment; filename=\"the _first___ r_sum_.pdf\"");
    let url = address("a.pdf").await;
    assert!(url.contains("X-Amz-Expires=300"), "{url}");
}

struct Answer {
    body: String,
    kind: String,
    disposition: String,
}

async fn fetched(url: &str) -> Answer {
    use http_body_util::{BodyExt, Empty};
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let request = http::Request::get(url).body(Empty::<bytes::Bytes>::new()).expect("a request");
    let answer = client.request(request).await.expect("an answer");
    let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let kind = header("content-type");
    let disposition = header("content-disposition");
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    Answer { body: String::from_utf8_lossy(&body).into_owned(), kind, disposition }
}
