//! Tasks that are canceled, expire or are deleted while their pages are read, and those who want to know how far they are.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use quire_document::PageImage;
use quire_platform::{QueueName, purge};
use quire_pp_ocr::{BatchPolicy, Engine, PageReader, Provider};
use quire_tasks::{
    CallbackMessage, CallbackProgress, EngineName, Failure, Line, Message, ObjectKey, PageText, Task, TaskStatus,
};
use quire_worker::LocalEngine;

use crate::stage::{Stage, WHITE, now, routed, stage};

const ROUTE: &str = r#"{"engines": {"a@1": {"kind": "pp-ocr"}},
    "routes": [{"modes": ["text"], "primary": "a@1", "review_below": 0.7}]}"#;

/// Begins to read, and goes on when it is told to.
#[derive(Debug, Clone)]
struct Holds {
    engine: EngineName,
    policy: BatchPolicy,
    begun: Arc<AtomicBool>,
    may_go_on: Arc<AtomicBool>,
}

impl PageReader for Holds {
    fn name(&self) -> EngineName {
        self.engine.clone()
    }

    fn policy(&self) -> &BatchPolicy {
        &self.policy
    }

    fn read(&mut self, pages: &[PageImage]) -> Vec<Result<PageText, Failure>> {
        self.begun.store(true, Ordering::SeqCst);
        while !self.may_go_on.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(2));
        }
        let line = Line { text: "unsure".to_owned(), confidence: Some(0.4), polygon: None };
        let text =
            |page: &PageImage| PageText::from_lines(self.name(), page.width(), page.height(), 0, vec![line.clone()]);
        pages.iter().map(|page| Ok(text(page))).collect()
    }
}

fn holding() -> (Stage, Holds) {
    let (engine, policy) = ("a@1".parse().expect("a name"), BatchPolicy::for_provider(Provider::OnnxRuntime));
    let holds = Holds { engine, policy, begun: Arc::default(), may_go_on: Arc::default() };
    let engine = holds.clone();
    (routed(ROUTE, move |_| LocalEngine::Batches(Engine::from_reader(Box::new(engine.clone())))), holds)
}

impl Holds {
    async fn until_begun(&self) {
        while !self.begun.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn go_on(&self) {
        self.may_go_on.store(true, Ordering::SeqCst);
    }
}

impl Stage {
    /// The keys of all that is stored of a task's pages.
    pub(crate) async fn texts(&self, task: &Task) -> Vec<String> {
        self.backend.objects.list(&format!("pages/{}/", task.id)).await.expect("a list")
    }

    async fn current(&self, task: &Task) -> Task {
        self.backend.tasks.task(task.id).await.expect("a task")
    }
}

#[tokio::test]
async fn a_task_that_is_deleted_while_its_page_is_read_leaves_nothing() {
    let (stage, holds) = holding();
    let task = stage.submit(&[WHITE]).await;
    let (_running, _shutdown) = stage.work();
    holds.until_begun().await;
    stage.backend.tasks.expire(task.id, now()).await.expect("expired");
    purge(&stage.backend, &stage.current(&task).await).await.expect("purged");
    holds.go_on();
    stage.queue_is_empty().await;
    assert_eq!((stage.texts(&task).await, stage.reviews().await), (vec![], vec![]));
    assert!(stage.backend.tasks.task(task.id).await.is_err(), "it stays gone");
}

#[tokio::test]
async fn a_task_that_expires_or_is_canceled_while_its_page_is_read_keeps_no_text() {
    for expires in [true, false] {
        let (stage, holds) = holding();
        let task = stage.submit(&[WHITE]).await;
        let (_running, _shutdown) = stage.work();
        holds.until_begun().await;
        if expires {
            stage.backend.tasks.expire(task.id, now()).await.expect("expired");
        } else {
            stage.backend.tasks.cancel(task.id).await.expect("canceled");
        }
        holds.go_on();
        stage.queue_is_empty().await;
        assert_eq!((stage.texts(&task).await, stage.reviews().await), (vec![], vec![]));
        let after = stage.current(&task).await;
        assert_eq!((after.status(), after.counts.succeeded), (TaskStatus::Canceled, 0));
    }
}

#[tokio::test]
async fn a_page_of_a_deleted_task_that_comes_again_takes_its_text_along() {
    let stage = stage();
    let task = stage.submit(&[WHITE]).await;
    // ReceivedMessage by somebody who stored what it read, and died.
    let lost = stage.backend.queue(QueueName::Pages).receive(1, Duration::ZERO).await.expect("received");
    assert_eq!(lost.len(), 1);
    let page = task.pages().next().expect("a page");
    stage.backend.tasks.remove(task.id).await.expect("removed");
    let key = ObjectKey::PageText { page, round: 1 }.to_string();
    stage.backend.objects.put(&key, "{}".into()).await.expect("stored");
    let (_running, _shutdown) = stage.work();
    stage.queue_is_empty().await;
    assert_eq!(stage.texts(&task).await, Vec::<String>::new());
    assert_eq!(stage.fake.runs(), Vec::<usize>::new(), "it was not read");
}

#[tokio::test]
async fn pages_of_a_canceled_task_are_acknowledged_and_change_nothing() {
    let stage = stage();
    let task = stage.submit(&[WHITE; 5]).await;
    stage.backend.tasks.cancel(task.id).await.expect("canceled");
    let before = stage.current(&task).await;
    let (_running, _shutdown) = stage.work();
    stage.queue_is_empty().await;
    let after = stage.current(&task).await;
    assert_eq!((after.counts, after.version, after.status()), (before.counts, before.version, TaskStatus::Canceled));
    assert_eq!(stage.texts(&task).await, Vec::<String>::new());
}

#[tokio::test]
async fn how_far_a_task_is_is_told_at_most_every_five_seconds() {
    let stage = stage();
    let begun = Instant::now();
    let wanted = |mut task: Task| {
        task.callback.as_mut().expect("a callback").progress = Some(CallbackProgress::default());
        task
    };
    let task = stage.submit_with(&[WHITE; 12], wanted).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
    stage.queue_is_empty().await;
    let mut told = Vec::new();
    while !told.contains(&None) || !told.contains(&Some(1)) {
        let received =
            stage.backend.queue(QueueName::Callbacks).receive(10, Duration::from_secs(10)).await.expect("received");
        assert!(!received.is_empty(), "both are told: {told:?}");
        told.extend(received.iter().map(|it| CallbackMessage::decode(&it.body).expect("a message").progress));
    }
    let most = 1 + begun.elapsed().as_secs() / 5;
    let progress = told.iter().flatten().count() as u64;
    assert!(progress <= most, "{progress} in {:?}", begun.elapsed());
}
