//! Tasks that are canceled, expire or are deleted while their pages are read, and those who want to know how far they
//! are.

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

use crate::stage::{WHITE, WorkerStage, now, routed, stage};

const ROUTE: &str = r#"{"engines": {"a@1": {"kind": "pp-ocr"}},
    "routes": [{"modes": ["text"], "primary": "a@1", "review_below": 0.7}]}"#;

/// An engine that blocks in the middle of a page until it is released.
#[derive(Debug, Clone)]
struct BlockingEngine {
    engine: EngineName,
    policy: BatchPolicy,
    begun: Arc<AtomicBool>,
    is_released: Arc<AtomicBool>,
}

impl PageReader for BlockingEngine {
    fn name(&self) -> EngineName {
        self.engine.clone()
    }

    fn policy(&self) -> &BatchPolicy {
        &self.policy
    }

    fn read(&mut self, pages: &[PageImage]) -> Vec<Result<PageText, Failure>> {
        self.begun.store(true, Ordering::SeqCst);
        while !self.is_released.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(2));
        }
        let line = Line { text: "unsure".to_owned(), confidence: Some(0.4), polygon: None, ..Line::default() };
        let text =
            |page: &PageImage| PageText::from_lines(self.name(), page.width(), page.height(), 0, vec![line.clone()]);
        pages.iter().map(|page| Ok(text(page))).collect()
    }
}

fn stage_with_blocking_engine() -> (WorkerStage, BlockingEngine) {
    let engine = BlockingEngine {
        engine: "a@1".parse().expect("a valid engine name"),
        policy: BatchPolicy::for_provider(Provider::OnnxRuntime),
        begun: Arc::default(),
        is_released: Arc::default(),
    };
    let shared = engine.clone();
    (routed(ROUTE, move |_| LocalEngine::Batches(Engine::from_reader(Box::new(shared.clone())))), engine)
}

impl BlockingEngine {
    async fn wait_until_begun(&self) {
        while !self.begun.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn release(&self) {
        self.is_released.store(true, Ordering::SeqCst);
    }
}

impl WorkerStage {
    /// Returns the keys of all stored page texts of a task.
    pub(crate) async fn text_keys(&self, task: &Task) -> Vec<String> {
        self.backend.objects.list(&format!("pages/{}/", task.id)).await.expect("the objects are listed")
    }

    async fn read_task(&self, task: &Task) -> Task {
        self.backend.tasks.task(task.id).await.expect("the task is stored")
    }
}

#[tokio::test]
async fn a_task_that_is_deleted_while_its_page_is_read_leaves_nothing() {
    let (stage, engine) = stage_with_blocking_engine();
    let task = stage.submit(&[WHITE]).await;
    let (_running, _shutdown) = stage.work();
    engine.wait_until_begun().await;
    stage.backend.tasks.expire(task.id, now()).await.expect("the task is expired");
    purge(&stage.backend, &stage.read_task(&task).await).await.expect("the task is purged");
    engine.release();
    stage.queue_is_empty().await;
    assert_eq!((stage.text_keys(&task).await, stage.reviews().await), (vec![], vec![]));
    assert!(stage.backend.tasks.task(task.id).await.is_err(), "the task stays deleted");
}

#[tokio::test]
async fn a_task_that_expires_or_is_canceled_while_its_page_is_read_keeps_no_text() {
    for expires in [true, false] {
        let (stage, engine) = stage_with_blocking_engine();
        let task = stage.submit(&[WHITE]).await;
        let (_running, _shutdown) = stage.work();
        engine.wait_until_begun().await;
        if expires {
            stage.backend.tasks.expire(task.id, now()).await.expect("the task is expired");
        } else {
            stage.backend.tasks.cancel(task.id).await.expect("the task is canceled");
        }
        engine.release();
        stage.queue_is_empty().await;
        assert_eq!((stage.text_keys(&task).await, stage.reviews().await), (vec![], vec![]));
        let after = stage.read_task(&task).await;
        assert_eq!((after.status(), after.counts.succeeded), (TaskStatus::Canceled, 0));
    }
}

#[tokio::test]
async fn a_retried_page_of_a_deleted_task_deletes_its_text() {
    let stage = stage();
    let task = stage.submit(&[WHITE]).await;
    // Received by a worker that stored the text and died.
    let lost = stage.backend.queue(QueueName::Pages).receive(1, Duration::ZERO).await.expect("the queue responds");
    assert_eq!(lost.len(), 1);
    let page = task.pages().next().expect("the task has a page");
    stage.backend.tasks.remove(task.id).await.expect("the task is removed");
    let key = ObjectKey::PageText { page, round: 1 }.to_string();
    stage.backend.objects.put(&key, "{}".into()).await.expect("the object is stored");
    let (_running, _shutdown) = stage.work();
    stage.queue_is_empty().await;
    assert_eq!(stage.text_keys(&task).await, Vec::<String>::new());
    assert_eq!(stage.fake.runs(), Vec::<usize>::new(), "the page is not read again");
}

#[tokio::test]
async fn pages_of_a_canceled_task_are_acknowledged_and_change_nothing() {
    let stage = stage();
    let task = stage.submit(&[WHITE; 5]).await;
    stage.backend.tasks.cancel(task.id).await.expect("the task is canceled");
    let before = stage.read_task(&task).await;
    let (_running, _shutdown) = stage.work();
    stage.queue_is_empty().await;
    let after = stage.read_task(&task).await;
    assert_eq!((after.counts, after.version, after.status()), (before.counts, before.version, TaskStatus::Canceled));
    assert_eq!(stage.text_keys(&task).await, Vec::<String>::new());
}

#[tokio::test]
async fn progress_is_sent_at_most_every_five_seconds() {
    let stage = stage();
    let begun = Instant::now();
    let with_progress = |mut task: Task| {
        task.callback.as_mut().expect("the task has a callback").progress = Some(CallbackProgress::default());
        task
    };
    let task = stage.submit_with(&[WHITE; 12], with_progress).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
    stage.queue_is_empty().await;
    let mut sent = Vec::new();
    while !sent.contains(&None) || !sent.contains(&Some(1)) {
        let received = stage
            .backend
            .queue(QueueName::Callbacks)
            .receive(10, Duration::from_secs(10))
            .await
            .expect("the queue responds");
        assert!(!received.is_empty(), "both callbacks are sent: {sent:?}");
        sent.extend(received.iter().map(|it| CallbackMessage::decode(&it.body).expect("a valid message").progress));
    }
    let most = 1 + begun.elapsed().as_secs() / 5;
    let progress = sent.iter().flatten().count() as u64;
    assert!(progress <= most, "{progress} in {:?}", begun.elapsed());
}
