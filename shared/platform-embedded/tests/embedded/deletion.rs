//! What was deleted is in no file of the data folder.

use std::{fs, path::Path, time::Duration};

use quire_platform::{Backend, Collection, OutgoingMessage, QueueName, conformance, now, purge, retry_with_backoff};
use quire_platform_embedded::Embedded;
use quire_tasks::{
    Document, DocumentFormat, DocumentSource, DocumentState, ObjectKey, PageRef, RedactPattern, RedactPolicy,
    SplitDocument, Task, TaskId, Tenant,
};
use tempfile::TempDir;

/// The customer's texts of the task with this number.
fn texts(number: usize) -> [String; 5] {
    ["file", "tag", "urltoken", "pattern", "callback"].map(|kind| format!("{kind}-of-customer-{number}"))
}

fn task(number: usize) -> Task {
    let [file, tag, token, pattern, callback] = texts(number);
    let state = DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages: 2 });
    let mut document = Document::new(1, Some(format!("{file}.pdf")), state);
    document.source = Some(DocumentSource::Url { url: format!("https://example.com/a?token={token}") });
    let id = TaskId::derive_from(&["deletion", &number.to_string()]);
    let redact = RedactPolicy {
        patterns: vec![RedactPattern { name: "custom".to_owned(), regex: pattern }],
        ..RedactPolicy::default()
    };
    let callback = Some(format!("https://example.com/{callback}"));
    Task::new(id, Tenant::default(), now(), vec![document], callback).with_tags(vec![tag]).with_redaction(Some(redact))
}

/// Creates a task with everything that is stored for it.
async fn create(backend: &Backend, number: usize) -> Task {
    let task = task(number);
    retry_with_backoff(|| backend.tasks.create(task.clone())).await.expect("created");
    let messages: Vec<_> = task.page_messages().map(|message| OutgoingMessage::new(&message, &task.tenant)).collect();
    backend.queue(QueueName::Pages).send(messages).await.expect("sent");
    let page = PageRef { task_id: task.id, document: 1, page: 1 };
    let key = ObjectKey::PageText { page, round: 1 }.to_string();
    backend.objects.put(&key, texts(number)[0].clone().into()).await.expect("stored");
    let delivery = format!("{}/1", task.id);
    let body = format!("{{\"excerpt\":\"{}\"}}", texts(number)[4]);
    backend.records.set(Collection::Deliveries, &delivery, body, None).await.expect("logged");
    backend.tasks.mark_dispatched(task.id).await.expect("dispatched");
    task
}

/// Returns the files under `dir` that contain the text, in their names or their bytes.
fn files_with(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.display().to_string();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if name.contains(text) || has_bytes(&path, text) {
            found.push(name);
        }
    }
    found
}

fn has_bytes(path: &Path, text: &str) -> bool {
    // A socket has no bytes.
    let bytes = fs::read(path).unwrap_or_default();
    bytes.windows(text.len()).any(|found| found == text.as_bytes())
}

fn assert_gone(dir: &Path, number: usize) {
    for text in texts(number) {
        assert_eq!(files_with(dir, &text), Vec::<String>::new(), "{text}");
    }
}

#[tokio::test]
async fn nothing_of_a_deleted_task_is_in_the_data_folder_as_soon_as_the_deletion_returns() {
    let dir = TempDir::new().expect("a folder");
    let embedded = Embedded::open_with(dir.path(), "test", conformance::settings).expect("open the backend");
    // Another process, which reads.
    let other = Embedded::open_with(dir.path(), "other", conformance::settings).expect("open it again");
    let backend = embedded.backend();
    for number in 1..=3 {
        create(&backend, number).await;
    }
    for text in texts(2) {
        assert!(!files_with(dir.path(), &text).is_empty(), "{text} is stored");
    }
    // A worker holds the messages of the first task.
    let held = other.backend().queue(QueueName::Pages).receive(2, Duration::ZERO).await.expect("received");
    assert_eq!(held.len(), 2);
    for number in [1, 2] {
        purge(&backend, &task(number)).await.expect("deleted");
        assert_gone(dir.path(), number);
    }
    assert!(!files_with(dir.path(), &texts(3)[1]).is_empty(), "other tasks are kept");
    let left = backend.queue(QueueName::Pages).depth().await.expect("a depth");
    assert_eq!((left.ready, left.in_flight), (2, 0), "only the messages of the third task");
    drop((backend, embedded, other));
    assert_gone(dir.path(), 1);
}

#[tokio::test]
async fn nothing_of_an_expired_task_is_in_the_data_folder() {
    let dir = TempDir::new().expect("a folder");
    let embedded = Embedded::open_with(dir.path(), "test", conformance::settings).expect("open the backend");
    let backend = embedded.backend();
    let created = create(&backend, 4).await;
    backend.tasks.expire(created.id, now()).await.expect("expired");
    for expired in backend.tasks.list_expired(now(), 10).await.expect("a list") {
        purge(&backend, &expired).await.expect("deleted");
    }
    assert_gone(dir.path(), 4);
}
