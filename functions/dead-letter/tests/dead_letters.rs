//! Dead letters in an embedded home: what becomes of them, of their tasks, and of a second chance.

use std::time::Duration;

use quire_dead_letter::{DeadLetter, Kind, RedriveOutcome, Redriven, Selection, list, redrive, run, show};
use quire_platform::{Consumer, Delivery, Embedded, Error, Home, Outgoing, QueueName, QueueSettings, Received, send};
use quire_tasks::{
    CallbackMessage, CallbackState, CallbackUpdate, Document, DocumentMessage, DocumentState, FailureCode, Format,
    Message, Outcome, PageMessage, PageRef, PageStatus, Split, Task, TaskId, TaskStatus, Tenant, UnixMillis,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// Long enough for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);
const URL: &str = "https://example.com/hook";

struct Room {
    home: Home,
    _dir: TempDir,
}

/// The function at work, until it is dropped.
struct Running {
    shutdown: DropGuard,
    ended: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    async fn stop(self) {
        drop(self.shutdown);
        let ended = tokio::time::timeout(PATIENCE, self.ended).await.expect("it stops in time");
        ended.expect("no panic").expect("no error");
    }
}

impl Room {
    /// A home that has enough after two short leases.
    fn open() -> Self {
        let dir = TempDir::new().expect("a folder");
        let settings = |name: QueueName| match name {
            QueueName::Pages | QueueName::Documents | QueueName::Callbacks => {
                QueueSettings { lease: Duration::from_millis(50), max_receives: 2 }
            }
            dead => dead.settings(),
        };
        let home = Embedded::open_with(dir.path(), "test", settings).expect("a home").home();
        Self { home, _dir: dir }
    }

    fn start(&self) -> Running {
        let shutdown = CancellationToken::new();
        let ended = tokio::spawn(run(self.home.clone(), shutdown.clone()));
        Running { shutdown: shutdown.drop_guard(), ended }
    }

    async fn create(&self, states: impl IntoIterator<Item = DocumentState>) -> Task {
        let documents = states.into_iter().zip(1..).map(|(state, number)| Document { number, name: None, state });
        let id = TaskId::new(Uuid::now_v7());
        let task = Task::new(id, Tenant::default(), UnixMillis(0), documents.collect(), Some(URL.to_owned()));
        self.home.tasks.create(task).await.expect("created").task().clone()
    }

    /// A task of one document with so many pages, whose messages are on their way.
    async fn task(&self, pages: u32) -> Task {
        let task = self.create([DocumentState::Split(Split { format: Format::Pdf, pages })]).await;
        let messages: Vec<_> = task.pages().map(|page| PageMessage { page, round: 1 }).collect();
        self.send(QueueName::Pages, messages).await;
        task
    }

    async fn send<M: Message>(&self, queue: QueueName, messages: impl IntoIterator<Item = M>) {
        send(self.home.queue(queue).as_ref(), &Tenant::default(), messages).await.expect("sent");
    }

    /// Receives until nothing is left, and dies each time.
    async fn die_of(&self, queue: QueueName) {
        let queue = self.home.queue(queue);
        let died = async {
            loop {
                queue.receive(10, Duration::from_millis(100)).await.expect("received");
                let depth = queue.depth().await.expect("a depth");
                if depth.ready + depth.in_flight + depth.delayed == 0 {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, died).await.expect("in time");
    }

    async fn receive(&self, queue: QueueName) -> Received {
        self.home.queue(queue).receive(1, PATIENCE).await.expect("received").pop().expect("a message")
    }

    async fn is_empty(&self, queue: QueueName) -> bool {
        let depth = self.home.queue(queue).depth().await.expect("a depth");
        depth.ready + depth.in_flight + depth.delayed == 0
    }

    async fn until_empty(&self, queue: QueueName) {
        let emptied = async {
            while !self.is_empty(queue).await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, emptied).await.expect("in time");
    }

    async fn current(&self, task: &Task) -> Task {
        self.home.tasks.task(task.id).await.expect("a task")
    }

    async fn list(&self, kind: Kind) -> Vec<DeadLetter> {
        list(&self.home, kind).await.expect("a list")
    }

    async fn redrive(&self, kind: Kind) -> Vec<RedriveOutcome> {
        let redriven = redrive(&self.home, kind, Selection::All).await.expect("redriven");
        redriven.into_iter().map(|redriven| redriven.outcome).collect()
    }

    async fn complete(&self, page: PageRef, round: u32) -> Task {
        let outcome = Outcome::Succeeded { confidence: None };
        self.home.tasks.complete_page(page, round, outcome).await.expect("completed").task().clone()
    }

    /// A dead page, buried: its task has ended, and its letter is filed.
    async fn buried_page(&self) -> Task {
        let task = self.task(1).await;
        self.die_of(QueueName::Pages).await;
        let running = self.start();
        self.until_empty(QueueName::DeadPages).await;
        running.stop().await;
        self.current(&task).await
    }

    /// A callback given up and buried.
    async fn buried_callback(&self) -> Task {
        let task = self.task(1).await;
        self.receive(QueueName::Pages).await;
        self.complete(PageRef { task_id: task.id, document: 1, page: 1 }, 1).await;
        self.send(QueueName::Callbacks, [CallbackMessage { task_id: task.id, round: 1 }]).await;
        let received = self.receive(QueueName::Callbacks).await;
        self.home.queue(QueueName::Callbacks).dead_letter(&received, "it said no").await.expect("moved");
        let running = self.start();
        self.until_empty(QueueName::DeadCallbacks).await;
        running.stop().await;
        self.current(&task).await
    }
}

fn page(task: &Task, page: u32) -> PageRef {
    PageRef { task_id: task.id, document: 1, page }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_kills_whoever_reads_it_fails_and_its_task_still_ends() {
    let room = Room::open();
    let task = room.task(2).await;
    room.complete(page(&task, 1), 1).await;
    let running = room.start();
    room.die_of(QueueName::Pages).await;
    let callback = room.receive(QueueName::Callbacks).await;
    room.until_empty(QueueName::DeadPages).await;
    running.stop().await;

    assert_eq!(CallbackMessage::decode(&callback.body).ok(), Some(CallbackMessage { task_id: task.id, round: 1 }));
    assert_eq!(room.current(&task).await.status(), TaskStatus::PartiallySucceeded);
    let failed = room.home.tasks.page(page(&task, 2)).await.expect("a page");
    let failure = failed.failure.expect("a failure");
    assert_eq!((failed.status, failure.code), (PageStatus::Failed, FailureCode::AttemptsExhausted));
    assert_eq!(failure.message, "The page was taken up 2 times, and whoever read it died each time.");

    // The page that was read had a message too, which nobody acknowledged: it is no dead letter.
    let letters = room.list(Kind::Pages).await;
    assert_eq!(letters.len(), 1);
    let name = format!("{}-1-2-1", task.id);
    assert_eq!((&letters[0].name, letters[0].receives, letters[0].task_id), (&name, Some(2), Some(task.id)));
    assert_eq!(letters[0].reason, failure.message);
    assert_eq!(show(&room.home, Kind::Pages, &name).await.expect("a letter"), letters[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn burying_twice_is_burying_once() {
    let room = Room::open();
    let task = room.buried_page().await;
    room.receive(QueueName::Callbacks).await;
    // Whoever buried it died before the acknowledgment.
    room.send(QueueName::DeadPages, [PageMessage { page: page(&task, 1), round: 1 }]).await;
    let running = room.start();
    room.until_empty(QueueName::DeadPages).await;
    running.stop().await;
    assert_eq!(room.list(Kind::Pages).await.len(), 1);
    assert_eq!(room.current(&task).await.counts, task.counts);
    // The callback is owed again: perhaps that had not been done.
    room.receive(QueueName::Callbacks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_task_that_is_gone_is_dropped() {
    let room = Room::open();
    let gone = PageRef { task_id: TaskId::new(Uuid::now_v7()), document: 1, page: 1 };
    room.send(QueueName::DeadPages, [PageMessage { page: gone, round: 1 }]).await;
    let running = room.start();
    room.until_empty(QueueName::DeadPages).await;
    running.stop().await;
    assert_eq!(room.list(Kind::Pages).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redriven_page_is_read_in_a_new_round_and_tells_again() {
    let room = Room::open();
    let task = room.buried_page().await;
    assert_eq!((task.status(), task.round), (TaskStatus::Failed, 1));
    assert_eq!(room.redrive(Kind::Pages).await, [RedriveOutcome::Sent]);
    assert_eq!(room.list(Kind::Pages).await, []);
    let opened = room.current(&task).await;
    assert_eq!((opened.status(), opened.round), (TaskStatus::Queued, 2));
    let sent = PageMessage::decode(&room.receive(QueueName::Pages).await.body).expect("a message");
    assert_eq!(sent, PageMessage { page: page(&task, 1), round: 2 });
    let ended = room.complete(sent.page, sent.round).await;
    assert_eq!(ended.status(), TaskStatus::Succeeded);
    assert!(ended.owes_callback());
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_one_task_are_opened_in_one_round() {
    let room = Room::open();
    let task = room.task(3).await;
    room.die_of(QueueName::Pages).await;
    let running = room.start();
    room.until_empty(QueueName::DeadPages).await;
    running.stop().await;
    assert_eq!(room.redrive(Kind::Pages).await, [RedriveOutcome::Sent; 3]);
    assert_eq!(room.current(&task).await.round, 2);
    let sent = room.home.queue(QueueName::Pages).receive(10, PATIENCE).await.expect("received");
    let rounds: Vec<u32> = sent.iter().filter_map(|m| PageMessage::decode(&m.body).ok()).map(|m| m.round).collect();
    assert_eq!(rounds, [2, 2, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_that_was_interrupted_before_it_sent_anything_can_be_repeated() {
    let room = Room::open();
    let task = room.buried_page().await;
    room.home.tasks.reopen(task.id, vec![page(&task, 1)]).await.expect("reopened");
    assert!(room.is_empty(QueueName::Pages).await);
    assert_eq!(room.redrive(Kind::Pages).await, [RedriveOutcome::Sent]);
    assert_eq!(room.current(&task).await.round, 2);
    let sent = PageMessage::decode(&room.receive(QueueName::Pages).await.body).expect("a message");
    assert_eq!(sent.round, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_an_open_task_has_to_wait_for_its_redrive() {
    let room = Room::open();
    let task = room.task(2).await;
    room.send(QueueName::DeadPages, [PageMessage { page: page(&task, 1), round: 1 }]).await;
    let running = room.start();
    room.until_empty(QueueName::DeadPages).await;
    running.stop().await;
    assert!(matches!(room.redrive(Kind::Pages).await[..], [RedriveOutcome::Kept { .. }]));
    assert_eq!(room.list(Kind::Pages).await.len(), 1);
    room.complete(page(&task, 2), 1).await;
    assert_eq!(room.redrive(Kind::Pages).await, [RedriveOutcome::Sent]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_document_fails_with_its_reason_and_cannot_be_redriven() {
    let room = Room::open();
    let task = room.create([DocumentState::Pending { url: URL.to_owned() }]).await;
    room.send(QueueName::Documents, [DocumentMessage { task_id: task.id, document: 1, round: 1 }]).await;
    room.die_of(QueueName::Documents).await;
    let running = room.start();
    room.until_empty(QueueName::DeadDocuments).await;
    running.stop().await;
    let ended = room.current(&task).await;
    assert_eq!(ended.status(), TaskStatus::Failed);
    let state = &ended.documents[0].state;
    assert!(matches!(state, DocumentState::Failed(why) if why.code == FailureCode::AttemptsExhausted), "{state:?}");
    room.receive(QueueName::Callbacks).await;
    assert!(matches!(room.redrive(Kind::Documents).await[..], [RedriveOutcome::Kept { .. }]));
    let letters = room.list(Kind::Documents).await;
    assert_eq!(letters.len(), 1);
    assert!(letters[0].reason.contains("2 times"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_split_by_somebody_who_then_died_has_its_pages_sent() {
    let room = Room::open();
    let task = room.create([DocumentState::Pending { url: URL.to_owned() }]).await;
    let split = DocumentState::Split(Split { format: Format::Pdf, pages: 2 });
    room.home.tasks.settle_document(task.id, 1, split).await.expect("split");
    room.send(QueueName::DeadDocuments, [DocumentMessage { task_id: task.id, document: 1, round: 1 }]).await;
    let running = room.start();
    room.until_empty(QueueName::DeadDocuments).await;
    running.stop().await;
    assert_eq!(room.list(Kind::Documents).await, []);
    let sent = room.home.queue(QueueName::Pages).receive(10, PATIENCE).await.expect("received");
    let mut pages: Vec<_> = sent.iter().filter_map(|m| PageMessage::decode(&m.body).ok()).map(|m| m.page).collect();
    pages.sort_unstable();
    assert_eq!(pages, [page(&task, 1), page(&task, 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_given_up_is_filed_and_can_be_sent_again_under_its_old_name() {
    let room = Room::open();
    let task = room.buried_callback().await;
    assert_eq!(task.callback_state(), CallbackState::Exhausted);
    let letters = room.list(Kind::Callbacks).await;
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].reason.as_str(), letters[0].receives), ("it said no", Some(1)));

    assert_eq!(room.redrive(Kind::Callbacks).await, [RedriveOutcome::Sent]);
    assert_eq!(room.current(&task).await.callback_state(), CallbackState::Pending);
    assert_eq!(room.list(Kind::Callbacks).await, []);
    let sent = CallbackMessage::decode(&room.receive(QueueName::Callbacks).await.body).expect("a message");
    // The webhook-id is made of these two.
    assert_eq!((sent.task_id, sent.round), (task.id, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_delivered_after_all_is_no_dead_letter() {
    let room = Room::open();
    let task = room.buried_callback().await;
    room.home.tasks.update_callback(task.id, 1, CallbackUpdate::Delivered).await.expect("noted");
    assert_eq!(room.redrive(Kind::Callbacks).await, [RedriveOutcome::NotNeeded]);
    assert!(room.is_empty(QueueName::Callbacks).await);

    room.send(QueueName::DeadCallbacks, [CallbackMessage { task_id: task.id, round: 1 }]).await;
    let running = room.start();
    room.until_empty(QueueName::DeadCallbacks).await;
    running.stop().await;
    assert_eq!(room.list(Kind::Callbacks).await, []);
    assert_eq!(room.current(&task).await.callback_state(), CallbackState::Delivered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_nobody_can_read_is_filed_and_kept() {
    let room = Room::open();
    let nonsense = Outgoing { body: "nonsense".to_owned(), group: "default".to_owned(), delay: Duration::ZERO };
    let queue = room.home.queue(QueueName::DeadPages);
    queue.send(vec![nonsense.clone(), nonsense]).await.expect("sent");
    let running = room.start();
    room.until_empty(QueueName::DeadPages).await;
    running.stop().await;
    let letters = room.list(Kind::Pages).await;
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].body.as_str(), letters[0].task_id), ("nonsense", None));
    assert!(matches!(room.redrive(Kind::Pages).await[..], [RedriveOutcome::Kept { .. }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_named_letters_are_redriven_and_a_wrong_name_redrives_nothing() {
    let room = Room::open();
    let first = room.buried_page().await;
    let second = room.buried_page().await;
    let name = |task: &Task| format!("{}-1-1-1", task.id);
    for wrong in ["no-such-letter", "../../quire", ""] {
        let names = vec![name(&first), wrong.to_owned()];
        let ended = redrive(&room.home, Kind::Pages, Selection::Named(names)).await;
        assert!(matches!(ended, Err(Error::NotFound { .. })), "{wrong}: {ended:?}");
    }
    let named = Selection::Named(vec![name(&first)]);
    let redriven = redrive(&room.home, Kind::Pages, named).await.expect("redriven");
    assert_eq!(redriven, [Redriven { name: name(&first), outcome: RedriveOutcome::Sent }]);
    let left: Vec<String> = room.list(Kind::Pages).await.into_iter().map(|letter| letter.name).collect();
    assert_eq!(left, [name(&second)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_delivery_can_be_buried_on_its_own() {
    let room = Room::open();
    let task = room.task(1).await;
    room.send(QueueName::DeadPages, [PageMessage { page: page(&task, 1), round: 1 }]).await;
    let consumer: Consumer<PageMessage> = Consumer::new(room.home.queue(QueueName::DeadPages), PATIENCE);
    let delivery: Delivery<_> =
        consumer.receive(1, PATIENCE).await.expect("received").pop().expect("a message").expect("a page message");
    quire_dead_letter::bury_page(room.home.clone(), delivery).await.expect("buried");
    assert_eq!(room.current(&task).await.status(), TaskStatus::Failed);
    assert!(room.is_empty(QueueName::DeadPages).await);
}
