//! Fakes around the API. A document is text, and its words control what happens to it:
//!
//! | word | effect |
//! | --- | --- |
//! | `pages=3` | it has three pages |
//! | `refuse=encrypted_document` | the inspector refuses it with this code |
//! | `panic` | the inspector panics |
//! | `stuck` | the inspector never returns |
//! | `bad=2` | its second page is unreadable |
//! | `broken=2` | the model fails on its second page |
//!
//! Without one of the first two it is not a document.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use quire_platform::{
    Backend, Collection, Consumer, Delivery, DiskSpace, Download, Error, ObjectStore, QueueName, Record, RecordStore,
    Result, UploadUrl,
};
use quire_submit::{Health, HealthReport, Inspector};
use quire_tasks::{
    DocumentFormat, EngineName, Failure, FailureCode, Line, ObjectKey, Outcome, PageMessage, PageText, SplitDocument,
    UnixMillis, Word,
};

use super::table::{FaultyTable, Switch, TableFault};

fn words(text: &str) -> HashMap<&str, &str> {
    text.split_whitespace().map(|word| word.split_once('=').unwrap_or((word, ""))).collect()
}

#[derive(Debug)]
pub(crate) struct ScriptedInspector;

#[async_trait]
impl Inspector for ScriptedInspector {
    async fn inspect(&self, file: &Path) -> Result<SplitDocument, Failure> {
        let text = std::fs::read_to_string(file).expect("a readable file");
        let words = words(&text);
        assert!(!words.contains_key("panic"), "the document requests a panic");
        if words.contains_key("stuck") {
            return std::future::pending().await;
        }
        if let Some(code) = words.get("refuse") {
            let code: FailureCode = serde_json::from_value((*code).into()).expect("a code");
            return Err(Failure::new(code, "The document is refused."));
        }
        let pages = words.get("pages").map(|pages| pages.parse().expect("a number of pages"));
        let failure = || Failure::new(FailureCode::UnsupportedFormat, "The bytes are of no format that is read.");
        pages.map(|pages| SplitDocument { format: DocumentFormat::Pdf, pages }).ok_or_else(failure)
    }
}

#[derive(Debug)]
pub(crate) struct AlwaysHealthy;

#[async_trait]
impl Health for AlwaysHealthy {
    async fn health(&self) -> HealthReport {
        let details = [("workers".to_owned(), 2.into())].into_iter().collect();
        HealthReport { ok: true, details }
    }
}

/// Reads pages until it is aborted.
pub(crate) async fn work(backend: Backend) {
    let consumer = Consumer::<PageMessage>::new(backend.queue(QueueName::Pages), Duration::from_mins(1));
    loop {
        for delivery in consumer.receive(10, Duration::from_secs(5)).await.expect("a receive") {
            read(&backend, delivery.expect("a page message")).await;
        }
    }
}

/// Does what a worker does with a page: store, complete, acknowledge.
async fn read(backend: &Backend, delivery: Delivery<PageMessage>) {
    let PageMessage { page, round, .. } = delivery.message;
    let document = ObjectKey::Document { task_id: page.task_id, document: page.document };
    let bytes = backend.objects.read(&document.to_string()).await.expect("the document is in the store");
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    let words = words(&text);
    let is = |word: &str| words.get(word) == Some(&page.page.to_string().as_str());
    let failed = |code| Outcome::Failed(Failure::new(code, "The page could not be read."));
    let outcome = if is("bad") {
        failed(FailureCode::UnreadablePage)
    } else if is("broken") {
        failed(FailureCode::ModelFailed)
    } else {
        let read = page_text(&format!("page {} of {text}", page.page));
        let key = ObjectKey::PageText { page, round }.to_string();
        let bytes = serde_json::to_vec(&read).expect("JSON");
        backend.objects.put_new(&key, bytes.into()).await.expect("the result is stored");
        Outcome::succeeded(read.confidence())
    };
    backend.tasks.complete_page(page, round, outcome).await.expect("the page is completed");
    delivery.lease.acknowledge().await.expect("the message is acknowledged");
}

pub(super) fn page_text(text: &str) -> PageText {
    let polygon = [[1.0, 2.0], [30.5, 2.0], [30.5, 12.0], [1.0, 12.0]];
    // The words are stored with every page, whether they are wanted or not.
    let word = |word: &str| Word { text: word.to_owned(), confidence: Some(0.8), polygon };
    let words = text.split_whitespace().map(word).collect();
    let lines = vec![Line { text: text.to_owned(), confidence: Some(0.9), polygon: Some(polygon), words }];
    let engine = EngineName { name: "fake".to_owned(), version: "1".to_owned() };
    PageText::from_lines(engine, 640, 480, 90, lines)
}

/// The faults of the object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreFault {
    Full,
    Busy,
    Broken,
    Slow,
}

/// Faults that a test switches on, and upload URLs.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    now: Mutex<Option<StoreFault>>,
    takes_uploads: AtomicBool,
    no_records: AtomicBool,
    no_keys: AtomicBool,
    no_new_records: AtomicBool,
    table: Switch,
}

impl Faults {
    pub(crate) fn set(&self, fault: Option<StoreFault>) {
        *self.now.lock().expect("no test panics while it holds this") = fault;
    }

    pub(crate) fn set_table(&self, fault: Option<TableFault>) {
        *self.table.lock().expect("no test panics while it holds this") = fault;
    }

    /// Enables upload URLs.
    pub(crate) fn take_uploads(&self) {
        self.takes_uploads.store(true, Ordering::Relaxed);
    }

    /// Makes records unlistable, except keys.
    pub(crate) fn hide_records(&self) {
        self.no_records.store(true, Ordering::Relaxed);
    }

    /// Makes keys unreadable.
    pub(crate) fn hide_keys(&self) {
        self.no_keys.store(true, Ordering::Relaxed);
    }

    fn hides(&self, on: Collection) -> bool {
        if on == Collection::Keys { &self.no_keys } else { &self.no_records }.load(Ordering::Relaxed)
    }

    /// Makes records unwritable.
    pub(crate) fn refuse_records(&self) {
        self.no_new_records.store(true, Ordering::Relaxed);
    }

    fn now(&self) -> Option<StoreFault> {
        *self.now.lock().expect("no test panics while it holds this")
    }

    /// Applies the current fault to a write or deletion.
    async fn apply_fault(&self) -> Result<()> {
        let (what, why) = ("the object store", "secret detail".to_owned());
        match self.now() {
            Some(StoreFault::Full) => Err(Error::Full { what }),
            Some(StoreFault::Busy) => Err(Error::Busy { what, why }),
            Some(StoreFault::Broken) => Err(Error::Failed { what, why }),
            Some(StoreFault::Slow) => {
                tokio::time::sleep(Duration::from_millis(500)).await;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// Returns the backend with an object store and a record store that fail on demand.
pub(crate) fn faulty(backend: &Backend, faults: &Arc<Faults>) -> Backend {
    let objects = Arc::new(FaultyStore { store: Arc::clone(&backend.objects), faults: Arc::clone(faults) });
    let records = Arc::new(FaultyRecords { store: Arc::clone(&backend.records), faults: Arc::clone(faults) });
    let tasks = Arc::new(FaultyTable::new(Arc::clone(&backend.tasks), Arc::clone(&faults.table)));
    let secrets = Arc::clone(&backend.secrets);
    Backend::new(objects, tasks, secrets, records, |name| backend.queue(name))
}

#[derive(Debug)]
struct FaultyStore {
    store: Arc<dyn ObjectStore>,
    faults: Arc<Faults>,
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<()> {
        self.store.put(key, bytes).await
    }

    async fn put_new(&self, key: &str, bytes: Bytes) -> Result<bool> {
        self.store.put_new(key, bytes).await
    }

    async fn put_file(&self, key: &str, file: &Path) -> Result<()> {
        self.faults.apply_fault().await?;
        self.store.put_file(key, file).await
    }

    async fn read(&self, key: &str) -> Result<Bytes> {
        self.store.read(key).await
    }

    async fn local_file(&self, key: &str) -> Result<PathBuf> {
        self.store.local_file(key).await
    }

    async fn download(&self, key: &str, version: Option<&str>, max_bytes: u64, into: &Path) -> Result<Download> {
        self.store.download(key, version, max_bytes, into).await
    }

    fn supports_uploads(&self) -> bool {
        self.faults.takes_uploads.load(Ordering::Relaxed)
    }

    async fn upload_url(&self, key: &str, kind: &str, bytes: u64, _: Duration) -> Result<Option<UploadUrl>> {
        let headers =
            vec![("content-type".to_owned(), kind.to_owned()), ("content-length".to_owned(), bytes.to_string())];
        Ok(Some(UploadUrl { url: format!("https://store.example/{key}?signature=secret"), headers }))
    }

    async fn download_url(&self, key: &str, name: &str, _: &str, _: Duration) -> Result<Option<String>> {
        Ok(self.supports_uploads().then(|| format!("https://store.example/{key}?name={name}&signature=secret")))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.store.list(prefix).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.store.delete(key).await
    }

    async fn erase(&self, prefix: &str) -> Result<usize> {
        self.faults.apply_fault().await?;
        self.store.erase(prefix).await
    }

    fn disk_space(&self) -> Option<DiskSpace> {
        self.store.disk_space()
    }

    fn spool(&self) -> PathBuf {
        self.store.spool()
    }
}

#[derive(Debug)]
struct FaultyRecords {
    store: Arc<dyn RecordStore>,
    faults: Arc<Faults>,
}

#[async_trait]
impl RecordStore for FaultyRecords {
    async fn read(&self, on: Collection, key: &str) -> Result<Option<Record>> {
        if on == Collection::Keys && self.faults.hides(on) {
            return Err(Error::Failed { what: "records", why: "secret detail".to_owned() });
        }
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
        if self.faults.no_new_records.load(Ordering::Relaxed) {
            return Err(Error::Failed { what: "records", why: "secret detail".to_owned() });
        }
        self.store.put(on, key, body, seen, expires_at).await
    }

    async fn set(&self, on: Collection, key: &str, body: String, expires_at: Option<UnixMillis>) -> Result<()> {
        self.store.set(on, key, body, expires_at).await
    }

    async fn delete(&self, on: Collection, key: &str, seen: Option<u64>) -> Result<bool> {
        self.store.delete(on, key, seen).await
    }

    async fn list(&self, on: Collection, after: Option<&str>, limit: usize) -> Result<Vec<Record>> {
        if self.faults.hides(on) {
            return Err(Error::Failed { what: "records", why: "secret detail".to_owned() });
        }
        self.store.list(on, after, limit).await
    }

    async fn list_partition(
        &self,
        on: Collection,
        room: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        if self.faults.hides(on) {
            return Err(Error::Failed { what: "records", why: "secret detail".to_owned() });
        }
        self.store.list_partition(on, room, after, limit).await
    }
}
