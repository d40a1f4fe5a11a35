//! A temporary backend for each test, with helper methods.

use std::time::Duration;

use quire_dead_letter::{
    DeadLetter, DeadLetterKind, DeadLetterSelection, RedriveOutcome, list_dead_letters, redrive, run,
};
pub(crate) use quire_platform::now;
use quire_platform::{Backend, OutgoingMessage, QueueName, QueueSettings, ReceivedMessage};
use quire_platform_embedded::Embedded;
use quire_tasks::{
    CallbackMessage, Document, DocumentFormat, DocumentState, Message, Outcome, PageRef, ReadAs, RedactPolicy,
    SplitDocument, Task, TaskId, Tenant,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// Timeout of each wait: long enough for a loaded machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);
pub(crate) const URL: &str = "https://example.com/hook";

pub(crate) struct DeadLetterHarness {
    pub(crate) backend: Backend,
    _dir: TempDir,
}

/// The running consumers, which are shut down when dropped.
pub(crate) struct RunningConsumers {
    shutdown: DropGuard,
    ended: JoinHandle<anyhow::Result<()>>,
}

impl RunningConsumers {
    pub(crate) async fn stop(self) {
        drop(self.shutdown);
        let ended = tokio::time::timeout(TIMEOUT, self.ended).await.expect("they stop within the timeout");
        ended.expect("no panic").expect("no error");
    }
}

impl DeadLetterHarness {
    /// Opens a backend whose queues dead-letter a message after two short leases.
    pub(crate) fn open() -> Self {
        let dir = TempDir::new().expect("a folder");
        let settings = |name: QueueName| match name {
            QueueName::Pages | QueueName::Documents | QueueName::Callbacks => {
                QueueSettings { lease: Duration::from_millis(50), max_receives: 2 }
            }
            dead => dead.settings(),
        };
        let backend = Embedded::open_with(dir.path(), "test", settings).expect("open the backend").backend();
        Self { backend, _dir: dir }
    }

    pub(crate) fn start(&self) -> RunningConsumers {
        let shutdown = CancellationToken::new();
        let ended = tokio::spawn(run(self.backend.clone(), shutdown.clone()));
        RunningConsumers { shutdown: shutdown.drop_guard(), ended }
    }

    pub(crate) async fn create(&self, states: impl IntoIterator<Item = DocumentState>) -> Task {
        self.create_with_read_as(states, ReadAs::default()).await
    }

    pub(crate) async fn create_with_read_as(
        &self,
        states: impl IntoIterator<Item = DocumentState>,
        read_as: ReadAs,
    ) -> Task {
        self.create_with_redaction(states, read_as, None).await
    }

    pub(crate) async fn create_with_redaction(
        &self,
        states: impl IntoIterator<Item = DocumentState>,
        read_as: ReadAs,
        redact: Option<RedactPolicy>,
    ) -> Task {
        let documents = states.into_iter().zip(1..).map(|(state, number)| Document::new(number, None, state));
        let id = TaskId::new(Uuid::now_v7());
        let task =
            Task::new(id, Tenant::default(), now(), documents.collect(), Some(URL.to_owned())).with_redaction(redact);
        self.backend.tasks.create(task.with_read_as(read_as)).await.expect("created").task().clone()
    }

    /// Creates a task of one document with a number of pages, and sends their messages.
    pub(crate) async fn task(&self, pages: u32) -> Task {
        let task = self.create([DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages })]).await;
        let messages: Vec<_> = task.page_messages().collect();
        self.send(QueueName::Pages, messages).await;
        task
    }

    pub(crate) async fn send<M: Message>(&self, queue: QueueName, messages: impl IntoIterator<Item = M>) {
        let messages = messages.into_iter().map(|message| OutgoingMessage::new(&message, &Tenant::default())).collect();
        self.backend.queue(queue).send(messages).await.expect("sent");
    }

    /// Receives messages without acknowledgment, as a crashing consumer, until the queue is empty.
    pub(crate) async fn use_up_attempts(&self, queue: QueueName) {
        let queue = self.backend.queue(queue);
        let emptied = async {
            loop {
                queue.receive(10, Duration::from_millis(100)).await.expect("received");
                let depth = queue.depth().await.expect("a depth");
                if depth.ready + depth.in_flight + depth.delayed == 0 {
                    return;
                }
            }
        };
        tokio::time::timeout(TIMEOUT, emptied).await.expect("within the timeout");
    }

    pub(crate) async fn receive(&self, queue: QueueName) -> ReceivedMessage {
        self.backend.queue(queue).receive(1, TIMEOUT).await.expect("received").pop().expect("a message")
    }

    pub(crate) async fn is_empty(&self, queue: QueueName) -> bool {
        let depth = self.backend.queue(queue).depth().await.expect("a depth");
        depth.ready + depth.in_flight + depth.delayed == 0
    }

    pub(crate) async fn wait_until_empty(&self, queue: QueueName) {
        let emptied = async {
            while !self.is_empty(queue).await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(TIMEOUT, emptied).await.expect("within the timeout");
    }

    pub(crate) async fn current(&self, task: &Task) -> Task {
        self.backend.tasks.task(task.id).await.expect("a task")
    }

    pub(crate) async fn list(&self, kind: DeadLetterKind) -> Vec<DeadLetter> {
        list_dead_letters(&self.backend, kind).await.expect("a list")
    }

    pub(crate) async fn redrive(&self, kind: DeadLetterKind) -> Vec<RedriveOutcome> {
        let redriven = redrive(&self.backend, kind, DeadLetterSelection::All).await.expect("redriven");
        redriven.into_iter().map(|redriven| redriven.outcome).collect()
    }

    pub(crate) async fn complete(&self, page: PageRef, round: u32) -> Task {
        let outcome = Outcome::succeeded(None);
        self.backend.tasks.complete_page(page, round, outcome).await.expect("completed").task().clone()
    }

    /// Creates a task whose only page is a handled dead letter.
    pub(crate) async fn task_with_dead_page(&self) -> Task {
        let task = self.task(1).await;
        self.use_up_attempts(QueueName::Pages).await;
        let running = self.start();
        self.wait_until_empty(QueueName::DeadPages).await;
        running.stop().await;
        self.current(&task).await
    }

    /// Creates a task whose callback is a handled dead letter.
    pub(crate) async fn task_with_dead_callback(&self) -> Task {
        let task = self.task(1).await;
        self.receive(QueueName::Pages).await;
        self.complete(PageRef { task_id: task.id, document: 1, page: 1 }, 1).await;
        self.send(QueueName::Callbacks, [CallbackMessage::for_round_end(task.id, 1)]).await;
        let received = self.receive(QueueName::Callbacks).await;
        self.backend.queue(QueueName::Callbacks).dead_letter(&received, "refused").await.expect("moved");
        let running = self.start();
        self.wait_until_empty(QueueName::DeadCallbacks).await;
        running.stop().await;
        self.current(&task).await
    }
}

pub(crate) fn page(task: &Task, page: u32) -> PageRef {
    PageRef { task_id: task.id, document: 1, page }
}
