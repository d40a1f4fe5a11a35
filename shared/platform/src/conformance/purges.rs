//! The deletion of everything that is stored for a task.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use quire_tasks::{
    AttemptResult, DeliveryAttempt, Document, DocumentSource, DocumentState, ObjectKey, PageRef, ReviewEntry,
    ReviewReason, Task, UnixMillis, WebhookId,
};

use super::{
    tasks::{created, now, page, split, task},
    unique,
};
use crate::{Backend, Collection, Error, Record, RecordStore, Result, file_for_review, purge};

/// More records than one list call returns.
const ATTEMPTS: i64 = 120;

/// Creates a task with one of everything that is stored for a task. Returns it and the keys of its objects.
async fn full_task(backend: &Backend) -> (Task, Vec<String>) {
    let key = format!("{}{}.pdf", ObjectKey::INBOX, unique("upload"));
    let source = DocumentSource::Inbox { key: key.clone(), version: None };
    let mut task = task([split(2)]);
    task.documents.push(Document::new(2, None, DocumentState::Pending { source }));
    task.counts = task.counts.add(1, quire_tasks::PageStatus::Queued);
    let task = backend.tasks.create(task).await.expect("create").task().clone();
    let id = task.id;
    let pages = (1..=2).map(|round| ObjectKey::PageText { page: page(&task, 1, 1), round });
    let letters =
        ["documents", "pages", "callbacks"].map(|queue| ObjectKey::DeadLetter { queue, name: format!("{id}-1") });
    let results = ["pdf", "json"].map(|ending| ObjectKey::Result { task_id: id, round: 1, ending });
    let own = [ObjectKey::Document { task_id: id, document: 1 }, ObjectKey::Inbox { task_id: id }];
    let keys = own.into_iter().chain(pages).chain(letters).chain(results).map(|key| key.to_string());
    let keys: Vec<String> = keys.chain([key]).collect();
    for key in &keys {
        backend.objects.put(key, Bytes::from_static(b"x")).await.expect("put");
    }
    for of in task.pages() {
        file_for_review(backend, &review(of)).await.expect("filed");
    }
    for number in 0..ATTEMPTS {
        let attempt = attempt(&task, number);
        let body = serde_json::to_string(&attempt).expect("JSON");
        backend.records.set(Collection::Deliveries, &attempt.key(), body, None).await.expect("set");
    }
    (task, keys)
}

fn review(page: PageRef) -> ReviewEntry {
    ReviewEntry {
        page,
        round: 1,
        reason: ReviewReason::Unreadable,
        detail: String::new(),
        engine: None,
        confidence: None,
        filed_at: now(),
        claim: None,
    }
}

fn attempt(task: &Task, number: i64) -> DeliveryAttempt {
    DeliveryAttempt {
        webhook_id: WebhookId::for_round_end(task.id, 1),
        event: "task.succeeded".to_owned(),
        attempt: 1,
        at: UnixMillis(number),
        duration_ms: 1,
        result: AttemptResult::Retrying,
        status: None,
        error: None,
        response: None,
        next_at: None,
    }
}

/// Returns the numbers of the task's objects, review entries and delivery attempts, and whether the task exists.
async fn left(backend: &Backend, task: &Task, keys: &[String]) -> (usize, usize, usize, bool) {
    let mut objects = 0;
    for key in keys {
        objects += backend.objects.list(key).await.expect("list").iter().filter(|found| *found == key).count();
    }
    let mut entries = 0;
    for of in task.pages() {
        entries += usize::from(
            backend.records.read(Collection::Review, &ReviewEntry::key_for(of)).await.expect("read").is_some(),
        );
    }
    let partition = task.id.to_string();
    let attempts =
        backend.records.list_partition(Collection::Deliveries, &partition, None, usize::MAX).await.expect("list").len();
    (objects, entries, attempts, backend.tasks.task(task.id).await.is_ok())
}

/// Nothing of the task is left, and nothing of other tasks is deleted.
pub async fn a_purge_deletes_everything_of_a_task(backend: &Backend) {
    let (task, keys) = full_task(backend).await;
    let (other, others) = full_task(backend).await;
    let neighbor = format!("{}.bak", keys.last().expect("a key that its customer chose"));
    backend.objects.put(&neighbor, Bytes::from_static(b"x")).await.expect("put");
    let whole = (keys.len(), 2, ATTEMPTS as usize, true);
    assert_eq!(left(backend, &task, &keys).await, whole);
    for _ in 0..2 {
        purge(backend, &task).await.expect("purged");
        assert_eq!(left(backend, &task, &keys).await, (0, 0, 0, false));
    }
    for prefix in ObjectKey::task_prefixes(task.id) {
        assert_eq!(backend.objects.list(&prefix).await.expect("list"), [""; 0]);
    }
    assert_eq!(left(backend, &other, &others).await, whole);
    assert_eq!(backend.objects.list(&neighbor).await.expect("list"), [neighbor]);
}

/// A task without objects and records can be purged.
pub async fn a_task_without_objects_is_purged(backend: &Backend) {
    let task = created(backend, [split(1)]).await;
    purge(backend, &task).await.expect("purged");
    assert!(matches!(backend.tasks.task(task.id).await, Err(Error::NotFound { .. })));
}

/// An interrupted purge is completed by the next one.
pub async fn an_interrupted_purge_is_completed_by_the_next(backend: &Backend) {
    let (task, keys) = full_task(backend).await;
    let at = now();
    let task = backend.tasks.expire(task.id, at).await.expect("expire").task().clone();
    for deletions in [0, 1, 50] {
        let failing = FailingRecords { store: Arc::clone(&backend.records), left: AtomicUsize::new(deletions) };
        let (objects, tasks, secrets) =
            (Arc::clone(&backend.objects), Arc::clone(&backend.tasks), Arc::clone(&backend.secrets));
        let mortal = Backend::new(objects, tasks, secrets, Arc::new(failing), |name| backend.queue(name));
        assert!(matches!(purge(&mortal, &task).await, Err(Error::Failed { .. })));
        assert!(backend.tasks.list_expired(at, 10_000).await.expect("expired").contains(&task), "after {deletions}");
    }
    purge(backend, &task).await.expect("purged");
    assert_eq!(left(backend, &task, &keys).await, (0, 0, 0, false));
    assert!(!backend.tasks.list_expired(at, 10_000).await.expect("expired").iter().any(|one| one.id == task.id));
}

/// A record store whose deletions fail after a number of calls.
#[derive(Debug)]
struct FailingRecords {
    store: Arc<dyn RecordStore>,
    left: AtomicUsize,
}

#[async_trait]
impl RecordStore for FailingRecords {
    async fn read(&self, on: Collection, key: &str) -> Result<Option<Record>> {
        self.store.read(on, key).await
    }

    async fn put(
        &self,
        on: Collection,
        key: &str,
        body: String,
        seen: Option<u64>,
        expires_at: Option<UnixMillis>,
    ) -> Result<bool> {
        self.store.put(on, key, body, seen, expires_at).await
    }

    async fn set(&self, on: Collection, key: &str, body: String, expires_at: Option<UnixMillis>) -> Result<()> {
        self.store.set(on, key, body, expires_at).await
    }

    async fn delete(&self, on: Collection, key: &str, seen: Option<u64>) -> Result<bool> {
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        taken.map_err(|_| Error::Failed { what: "records", why: "the process is killed here".to_owned() })?;
        self.store.delete(on, key, seen).await
    }

    async fn list(&self, on: Collection, after: Option<&str>, limit: usize) -> Result<Vec<Record>> {
        self.store.list(on, after, limit).await
    }

    async fn list_partition(
        &self,
        on: Collection,
        partition: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.store.list_partition(on, partition, after, limit).await
    }
}
