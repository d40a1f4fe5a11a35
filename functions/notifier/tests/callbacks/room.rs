//! A home of its own for each test, and what a test does in it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quire_callback::Schedule;
use quire_egress::{Client, Policy};
use quire_notifier::Notifier;
use quire_platform::{Consumer, Depth, Embedded, Home, QueueName, Received, owe_callback};
use quire_tasks::{
    CallbackMessage, CallbackState, Document, DocumentState, EngineName, Format, Key, Line, Outcome, PageRef, PageText,
    Split, Task, TaskId, Tenant, UnixMillis,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Long enough for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Room {
    pub(crate) home: Home,
    _dir: TempDir,
}

/// A notifier at work, until it is dropped.
pub(crate) struct Running {
    shutdown: DropGuard,
    ended: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    pub(crate) async fn stop(self) {
        drop(self.shutdown);
        let ended = tokio::time::timeout(PATIENCE, self.ended).await.expect("it stops in time");
        ended.expect("no panic").expect("no error");
    }
}

pub(crate) fn egress() -> Client {
    Client::new(Policy { allow_loopback_http: true }).expect("a client")
}

/// Three retries, as by default, but at once.
pub(crate) fn schedule() -> Schedule {
    [10, 20, 30].map(Duration::from_millis).into_iter().collect()
}

pub(crate) fn now_secs() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64
}

impl Room {
    pub(crate) fn open() -> Self {
        let dir = TempDir::new().expect("a folder");
        let home = Embedded::open(dir.path(), "test").expect("a home").home();
        Self { home, _dir: dir }
    }

    pub(crate) fn notifier(&self) -> Notifier {
        Notifier::new(self.home.clone(), egress(), SECRET.parse().expect("a secret"), schedule())
    }

    pub(crate) fn start(&self) -> Running {
        let shutdown = CancellationToken::new();
        let ended = tokio::spawn(self.notifier().run(shutdown.clone()));
        Running { shutdown: shutdown.drop_guard(), ended }
    }

    /// A task of one page that was read, whose callback is owed.
    pub(crate) async fn ended_task(&self, url: &str) -> Task {
        self.ended_task_of(url, &["Hello\n世界"]).await
    }

    /// A task of pages that were read with these lines, whose callback is owed.
    pub(crate) async fn ended_task_of(&self, url: &str, texts: &[&str]) -> Task {
        let state = DocumentState::Split(Split { format: Format::Png, pages: texts.len() as u32 });
        let documents = vec![Document::new(1, None, state)];
        let id = TaskId::new(Uuid::now_v7());
        let task = Task::new(id, Tenant::default(), UnixMillis(0), documents, Some(url.to_owned()));
        self.home.tasks.create(task.clone()).await.expect("created");
        for (page, text) in task.pages().zip(texts) {
            self.store(page, 1, text).await;
            let outcome = Outcome::read(Some(0.75));
            self.home.tasks.complete_page(page, 1, outcome).await.expect("completed");
        }
        let task = self.task(id).await;
        owe_callback(&self.home, &task).await.expect("owed");
        task
    }

    /// Gives the first page of an ended task another text, and owes the callback anew.
    pub(crate) async fn correct(&self, task: &Task, text: &str) -> Task {
        let (page, round) = (task.pages().next().expect("a page"), task.round + 1);
        self.store(page, round, text).await;
        let corrected = self.home.tasks.correct_page(page, round, None).await.expect("corrected").task().clone();
        owe_callback(&self.home, &corrected).await.expect("owed");
        corrected
    }

    async fn store(&self, page: PageRef, round: u32, text: &str) {
        let line = |text: &str| Line { text: text.to_owned(), confidence: Some(0.75), polygon: None };
        let engine = EngineName { name: "test".to_owned(), version: "1".to_owned() };
        let read = PageText::of_lines(engine, 1, 1, 0, text.lines().map(line).collect());
        let json = serde_json::to_vec(&read).expect("JSON");
        self.home.objects.put(&Key::PageText { page, round }.to_string(), json.into()).await.expect("stored");
    }

    pub(crate) async fn task(&self, id: TaskId) -> Task {
        self.home.tasks.task(id).await.expect("a task")
    }

    pub(crate) async fn until(&self, id: TaskId, state: CallbackState) -> Task {
        let reached = async {
            let mut task = self.task(id).await;
            while task.callback_state() != state {
                task = self.home.tasks.changed(id, task.version, PATIENCE).await.expect("a task");
            }
            task
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("in time")
    }

    /// Receives one message and delivers it.
    pub(crate) async fn deliver_next(&self, notifier: &Notifier) {
        let queue = self.home.queue(QueueName::Callbacks);
        let consumer: Consumer<CallbackMessage> = Consumer::new(queue, PATIENCE);
        let delivery = consumer.receive(1, PATIENCE).await.expect("received").pop().expect("a message");
        notifier.deliver(delivery.expect("a callback message")).await.expect("the home works");
    }

    pub(crate) async fn receive(&self, queue: QueueName) -> Received {
        self.home.queue(queue).receive(1, PATIENCE).await.expect("received").pop().expect("a message")
    }

    pub(crate) async fn depth(&self, queue: QueueName) -> Depth {
        self.home.queue(queue).depth().await.expect("a depth")
    }
}
