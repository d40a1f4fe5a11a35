//! A temporary backend for each test, with helper methods.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quire_callback::{Endpoint, Schedule, endpoint_key};
use quire_egress::{Client, EgressPolicy};
use quire_notifier::Notifier;
use quire_platform::{
    Backend, Collection, Completion, Consumer, QueueDepth, QueueName, ReceivedMessage, enqueue_callback,
};
use quire_platform_embedded::Embedded;
use quire_tasks::{
    CallbackMessage, CallbackState, DeliveryAttempt, Document, DocumentFormat, DocumentState, EngineName, Line,
    ObjectKey, Outcome, PageRef, PageText, SplitDocument, Task, TaskId, Tenant, UnixMillis,
};
use quire_tenants::Signing;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Timeout of each wait: long enough for a loaded machine.
const TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) struct NotifierHarness {
    pub(crate) backend: Backend,
    pub(crate) signing: Signing,
    _dir: TempDir,
}

/// A running notifier, which is shut down when dropped.
pub(crate) struct RunningNotifier {
    shutdown: DropGuard,
    ended: JoinHandle<anyhow::Result<()>>,
}

impl RunningNotifier {
    pub(crate) async fn stop(self) {
        drop(self.shutdown);
        let ended = tokio::time::timeout(TIMEOUT, self.ended).await.expect("it stops within the timeout");
        ended.expect("no panic").expect("no error");
    }
}

pub(crate) fn egress() -> Client {
    Client::new(EgressPolicy { allow_loopback_http: true }).expect("a client")
}

/// Three retries like the default schedule, but immediate.
pub(crate) fn schedule() -> Schedule {
    [10, 20, 30].map(Duration::from_millis).into_iter().collect()
}

pub(crate) fn now_secs() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64
}

pub(crate) fn run(notifier: Notifier) -> RunningNotifier {
    let shutdown = CancellationToken::new();
    let ended = tokio::spawn(notifier.run(shutdown.clone()));
    RunningNotifier { shutdown: shutdown.drop_guard(), ended }
}

impl NotifierHarness {
    pub(crate) async fn open() -> Self {
        let dir = TempDir::new().expect("a folder");
        let backend = Embedded::open(dir.path(), "test").expect("open the backend").backend();
        let signing = Signing::new(&backend, Some(SECRET.parse().expect("a secret"))).await.expect("a signing secret");
        Self { backend, signing, _dir: dir }
    }

    pub(crate) fn notifier(&self) -> Notifier {
        self.notifier_by(schedule())
    }

    pub(crate) fn notifier_by(&self, schedule: Schedule) -> Notifier {
        Notifier::new(self.backend.clone(), egress(), self.signing.clone(), schedule)
    }

    pub(crate) fn start(&self) -> RunningNotifier {
        run(self.notifier())
    }

    /// Creates an ended task of one page and enqueues its callback.
    pub(crate) async fn ended_task(&self, url: &str) -> Task {
        self.ended_task_of(url, &["Hello\n世界"]).await
    }

    /// Creates an ended task with these page texts and enqueues its callback.
    pub(crate) async fn ended_task_of(&self, url: &str, texts: &[&str]) -> Task {
        self.ended_as(url, texts, |task| task).await
    }

    /// Creates an ended task, changed by `shape` before it is stored, and enqueues its callback.
    pub(crate) async fn ended_as(&self, url: &str, texts: &[&str], shape: impl FnOnce(Task) -> Task) -> Task {
        let task = self.open_task(url, texts.len() as u32, shape).await;
        for (number, text) in (1..).zip(texts) {
            self.read(&task, number, text).await;
        }
        let task = self.task(task.id).await;
        enqueue_callback(&self.backend, &task).await.expect("enqueued");
        task
    }

    /// Creates an open task with a number of pages, changed by `shape` before it is stored.
    pub(crate) async fn open_task(&self, url: &str, pages: u32, shape: impl FnOnce(Task) -> Task) -> Task {
        let state = DocumentState::Split(SplitDocument { format: DocumentFormat::Png, pages });
        let id = TaskId::new(Uuid::now_v7());
        let now = UnixMillis(now_secs() * 1000);
        let documents = vec![Document::new(1, None, state)];
        let task = shape(Task::new(id, Tenant::default(), now, documents, Some(url.to_owned())));
        self.backend.tasks.create(task).await.expect("created").task().clone()
    }

    /// Completes a page.
    pub(crate) async fn read(&self, task: &Task, number: u32, text: &str) -> Completion {
        let page = PageRef { task_id: task.id, document: 1, page: number };
        self.store(page, task.round, text).await;
        self.backend.tasks.complete_page(page, task.round, Outcome::succeeded(Some(0.75))).await.expect("completed")
    }

    /// Returns the delivery log of a task.
    pub(crate) async fn log(&self, id: TaskId) -> Vec<DeliveryAttempt> {
        let records = self
            .backend
            .records
            .list_partition(Collection::Deliveries, &id.to_string(), None, 1000)
            .await
            .expect("a log");
        records.iter().map(|record| serde_json::from_str(&record.body).expect("an attempt")).collect()
    }

    /// Returns the record of an endpoint.
    pub(crate) async fn endpoint(&self, url: &str) -> Option<Endpoint> {
        let key = endpoint_key(&Tenant::default(), url);
        let record = self.backend.records.read(Collection::Endpoints, &key).await.expect("read")?;
        Some(serde_json::from_str(&record.body).expect("an endpoint"))
    }

    /// Writes the record of an endpoint.
    pub(crate) async fn put_endpoint(&self, url: &str, endpoint: &Endpoint) {
        let key = endpoint_key(&Tenant::default(), url);
        let body = serde_json::to_string(endpoint).expect("JSON");
        self.backend.records.set(Collection::Endpoints, &key, body, None).await.expect("written");
    }

    /// Enables an endpoint by deleting its record.
    pub(crate) async fn enable(&self, url: &str) {
        let key = endpoint_key(&Tenant::default(), url);
        assert!(
            self.backend.records.delete(Collection::Endpoints, &key, None).await.expect("deleted"),
            "the endpoint had a record"
        );
    }

    /// Asserts that the queues are empty.
    pub(crate) async fn assert_idle(&self) {
        for queue in [QueueName::Callbacks, QueueName::DeadCallbacks] {
            assert_eq!(self.depth(queue).await, QueueDepth::default(), "{queue:?}");
        }
    }

    /// Corrects the first page of an ended task and enqueues its callback.
    pub(crate) async fn correct(&self, task: &Task, text: &str) -> Task {
        let page = task.pages().next().expect("a page");
        let round = task.round + 1;
        self.store(page, round, text).await;
        let corrected = self.backend.tasks.correct_page(page, round, None).await.expect("corrected").task().clone();
        enqueue_callback(&self.backend, &corrected).await.expect("enqueued");
        corrected
    }

    async fn store(&self, page: PageRef, round: u32, text: &str) {
        let line =
            |text: &str| Line { text: text.to_owned(), confidence: Some(0.75), polygon: None, ..Line::default() };
        let engine = EngineName { name: "test".to_owned(), version: "1".to_owned() };
        let read = PageText::from_lines(engine, 1, 1, 0, text.lines().map(line).collect());
        let json = serde_json::to_vec(&read).expect("JSON");
        self.backend.objects.put(&ObjectKey::PageText { page, round }.to_string(), json.into()).await.expect("stored");
    }

    pub(crate) async fn task(&self, id: TaskId) -> Task {
        self.backend.tasks.task(id).await.expect("a task")
    }

    pub(crate) async fn until(&self, id: TaskId, state: CallbackState) -> Task {
        let reached = async {
            let mut task = self.task(id).await;
            while task.callback_state() != state {
                task = self.backend.tasks.wait_for_change(id, task.version, TIMEOUT).await.expect("a task");
            }
            task
        };
        tokio::time::timeout(TIMEOUT, reached).await.expect("within the timeout")
    }

    /// Receives one message and delivers it.
    pub(crate) async fn deliver_next(&self, notifier: &Notifier) {
        let queue = self.backend.queue(QueueName::Callbacks);
        let consumer: Consumer<CallbackMessage> = Consumer::new(queue, TIMEOUT);
        let delivery = consumer.receive(1, TIMEOUT).await.expect("received").pop().expect("a message");
        notifier.deliver(delivery.expect("a callback message")).await.expect("the backend works");
    }

    pub(crate) async fn receive(&self, queue: QueueName) -> ReceivedMessage {
        self.backend.queue(queue).receive(1, TIMEOUT).await.expect("received").pop().expect("a message")
    }

    pub(crate) async fn depth(&self, queue: QueueName) -> QueueDepth {
        self.backend.queue(queue).depth().await.expect("a depth")
    }
}
