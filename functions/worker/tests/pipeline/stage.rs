//! The test stage: a backend, fake engines that behave according to a page's color, and a worker.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use image::{ImageFormat, Rgb, RgbImage};
use ndarray::{Array3, ArrayView4};
use quire_document::DocumentLimits;
pub(crate) use quire_platform::now;
use quire_platform::{Backend, Collection, OutgoingMessage, QueueName, QueueSettings, engine_status};
use quire_platform_embedded::Embedded;
use quire_pp_ocr::{Alphabet, BatchPolicy, CtcStep, Engine, ModelError, OcrModel, Provider};
use quire_routes::{Config, EngineEntry};
use quire_sandbox::{Sandbox, SandboxLimits, SandboxProgram};
use quire_tasks::{
    Document, DocumentFormat, DocumentState, EngineName, EngineStatuses, FailureCode, ObjectKey, Page, PageMessage,
    PageText, ReadAs, ReviewEntry, SplitDocument, Task, TaskId, Tenant,
};
use quire_worker::{LocalEngine, Worker, WorkerExit, WorkerSettings};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const WHITE: Rgb<u8> = Rgb([255, 255, 255]);
pub(crate) const PANICS: Rgb<u8> = Rgb([255, 0, 0]);
pub(crate) const ERRS: Rgb<u8> = Rgb([0, 255, 0]);
pub(crate) const HANGS: Rgb<u8> = Rgb([0, 0, 255]);

/// Returns this test program as a child that decodes images: it is started with the one test `sandbox_child`.
pub(crate) fn this_program() -> SandboxProgram {
    let arguments = ["--exact", "sandbox_child", "--ignored"];
    let path = std::env::current_exe().expect("this program has a path");
    SandboxProgram { path, arguments: arguments.map(Into::into).into() }
}

pub(crate) fn sandbox(program: SandboxProgram) -> Sandbox {
    Sandbox::new(program, None, DocumentLimits::default(), SandboxLimits::default())
}

/// A model that finds no text and records the number of pages of each run.
#[derive(Debug, Clone)]
pub(crate) struct FakeModel {
    alphabet: Alphabet,
    runs: Arc<Mutex<Vec<usize>>>,
}

impl FakeModel {
    fn new() -> Self {
        Self { alphabet: Alphabet::from_metadata("a"), runs: Arc::default() }
    }

    fn engine(&self) -> LocalEngine {
        let policy = BatchPolicy {
            max_batch_pixels: 1_000_000,
            max_wait_ms: 200,
            detection_max_pixels: 1_000_000,
            ..BatchPolicy::for_provider(Provider::Cuda)
        };
        LocalEngine::Batches(Engine::new(Box::new(self.clone()), policy))
    }

    pub(crate) fn runs(&self) -> Vec<usize> {
        self.runs.lock().expect("no panic while it is held").clone()
    }
}

impl OcrModel for FakeModel {
    fn name(&self) -> EngineName {
        "pp-ocr@v6-small".parse().expect("a valid engine name")
    }

    fn alphabet(&self) -> &Alphabet {
        &self.alphabet
    }

    fn detect(&mut self, pages: ArrayView4<'_, f32>) -> Result<Array3<f32>, ModelError> {
        self.runs.lock().expect("no panic while it is held").push(pages.dim().0);
        for page in pages.outer_iter() {
            let has_color = |color: Rgb<u8>| (0..3).all(|c| (page[[2 - c, 0, 0]] > 0.0) == (color.0[c] > 128));
            assert!(!has_color(PANICS), "a red page");
            if has_color(ERRS) {
                return Err(ModelError::Run("a green page".to_owned()));
            }
            while has_color(HANGS) {
                std::thread::park();
            }
        }
        std::thread::sleep(Duration::from_millis(20));
        let (pages, _, height, width) = pages.dim();
        Ok(Array3::zeros((pages, height, width)))
    }

    fn recognize(&mut self, strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<CtcStep>>, ModelError> {
        Ok(vec![Vec::new(); strips.dim().0])
    }
}

type MakeLocalEngine = Arc<dyn Fn(&EngineEntry) -> LocalEngine + Send + Sync>;

pub(crate) struct WorkerStage {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) backend: Backend,
    pub(crate) fake: FakeModel,
    pub(crate) config: Arc<Config>,
    make_engine: MakeLocalEngine,
    pub(crate) settings: WorkerSettings,
}

/// A worker with PP-OCR's place taken by a fake. Leases of a second: a message that is not acknowledged comes again
/// soon.
pub(crate) fn stage() -> WorkerStage {
    stage_with_leases(Duration::from_secs(1))
}

pub(crate) fn stage_with_leases(lease: Duration) -> WorkerStage {
    let fake = FakeModel::new();
    let model = fake.clone();
    WorkerStage { fake, ..new_stage(Config::default(), lease, move |_| model.engine()) }
}

/// Returns a stage with these engines and routes.
pub(crate) fn routed(config: &str, make: impl Fn(&EngineEntry) -> LocalEngine + Send + Sync + 'static) -> WorkerStage {
    new_stage(Config::parse(config).expect("a valid configuration"), Duration::from_secs(5), make)
}

fn new_stage(
    config: Config,
    lease: Duration,
    make: impl Fn(&EngineEntry) -> LocalEngine + Send + Sync + 'static,
) -> WorkerStage {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let with_lease = |name: QueueName| QueueSettings { lease, ..name.settings() };
    let backend = Embedded::open_with(dir.path(), "test", with_lease).expect("the backend opens").backend();
    let page_timeout = Duration::from_secs(5);
    let backoff = Duration::from_millis(50);
    let settings = WorkerSettings { page_timeout, backoff, ..WorkerSettings::default() };
    WorkerStage {
        dir,
        backend,
        fake: FakeModel::new(),
        config: Arc::new(config),
        make_engine: Arc::new(make),
        settings,
    }
}

impl WorkerStage {
    /// Submits a task of one-page documents of these colors.
    pub(crate) async fn submit(&self, colors: &[Rgb<u8>]) -> Task {
        self.submit_as(colors, ReadAs::default()).await
    }

    /// Submits a task with read options.
    pub(crate) async fn submit_as(&self, colors: &[Rgb<u8>], read_as: ReadAs) -> Task {
        let task = self.store_as(colors, Some("https://example.com/callback".to_owned()), read_as).await;
        self.send(task.page_messages()).await;
        task
    }

    pub(crate) async fn store(&self, colors: &[Rgb<u8>], callback_url: Option<String>) -> Task {
        self.store_as(colors, callback_url, ReadAs::default()).await
    }

    async fn store_as(&self, colors: &[Rgb<u8>], callback_url: Option<String>, read_as: ReadAs) -> Task {
        self.store_with(colors, callback_url, |task| task.with_read_as(read_as)).await
    }

    /// Submits a task of one-page documents of these colors, with a callback and a change.
    pub(crate) async fn submit_with(&self, colors: &[Rgb<u8>], change: impl FnOnce(Task) -> Task) -> Task {
        let task = self.store_with(colors, Some("https://example.com/callback".to_owned()), change).await;
        self.send_for(&task.tenant, task.page_messages()).await;
        task
    }

    async fn store_with(
        &self,
        colors: &[Rgb<u8>],
        callback_url: Option<String>,
        change: impl FnOnce(Task) -> Task,
    ) -> Task {
        let task_id = TaskId::new(Uuid::now_v7());
        let mut documents = Vec::new();
        for (number, color) in (1..).zip(colors) {
            let mut png = std::io::Cursor::new(Vec::new());
            RgbImage::from_pixel(64, 64, *color).write_to(&mut png, ImageFormat::Png).expect("the image is encoded");
            let key = ObjectKey::Document { task_id, document: number }.to_string();
            self.backend.objects.put(&key, Bytes::from(png.into_inner())).await.expect("the object is stored");
            let state = DocumentState::Split(SplitDocument { format: DocumentFormat::Png, pages: 1 });
            documents.push(Document::new(number, None, state));
        }
        let task = change(Task::new(task_id, Tenant::default(), now(), documents, callback_url));
        self.backend.tasks.create(task.clone()).await.expect("the task is created");
        task
    }

    pub(crate) async fn send(&self, messages: impl IntoIterator<Item = PageMessage>) {
        self.send_for(&Tenant::default(), messages).await;
    }

    async fn send_for(&self, tenant: &Tenant, messages: impl IntoIterator<Item = PageMessage>) {
        let messages = messages.into_iter().map(|message| OutgoingMessage::new(&message, tenant)).collect();
        self.backend.queue(QueueName::Pages).send(messages).await.expect("the message is sent");
    }

    pub(crate) fn work(&self) -> (JoinHandle<anyhow::Result<WorkerExit>>, CancellationToken) {
        self.work_with(sandbox(this_program()))
    }

    pub(crate) fn work_with(&self, sandbox: Sandbox) -> (JoinHandle<anyhow::Result<WorkerExit>>, CancellationToken) {
        let make = Arc::clone(&self.make_engine);
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(self.worker(sandbox).run(move |entry| Ok(make(entry)), || {}, shutdown.clone()));
        (running, shutdown)
    }

    pub(crate) fn worker(&self, sandbox: Sandbox) -> Worker {
        let backend = self.backend.clone();
        let config = Arc::clone(&self.config);
        let name = "worker-1".to_owned();
        Worker { backend, sandbox, settings: self.settings, config, name }
    }

    pub(crate) async fn ended(&self, task: &Task) -> Task {
        let mut task = task.clone();
        let wait = async {
            while !task.status().ended() {
                task = self
                    .backend
                    .tasks
                    .wait_for_change(task.id, task.version, Duration::from_secs(5))
                    .await
                    .expect("the task is stored");
            }
            task
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("the task ends before the timeout")
    }

    pub(crate) async fn pages(&self, task: &Task) -> Vec<Page> {
        self.backend.tasks.pages(task.id).await.expect("the pages are listed")
    }

    pub(crate) async fn code(&self, task: &Task, document: usize) -> Option<FailureCode> {
        self.pages(task).await[document - 1].failure.as_ref().map(|failure| failure.code)
    }

    pub(crate) async fn queue_is_empty(&self) {
        let empty = async {
            loop {
                let depth = self.backend.queue(QueueName::Pages).depth().await.expect("the queue reports its depth");
                if depth.ready + depth.in_flight + depth.delayed == 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), empty)
            .await
            .expect("every message is acknowledged before the timeout");
    }

    /// Waits until the pages queue has at least this many leased messages.
    pub(crate) async fn until_in_flight(&self, pages: u64) {
        let reached = async {
            while self.backend.queue(QueueName::Pages).depth().await.expect("the queue responds").in_flight < pages {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reached).await.expect("pages are received before the timeout");
    }

    /// Returns the stored text of a page in the first round.
    pub(crate) async fn text(&self, task: &Task, document: usize) -> PageText {
        let page = self.pages(task).await[document - 1].page;
        let stored = self
            .backend
            .objects
            .read(&ObjectKey::PageText { page, round: 1 }.to_string())
            .await
            .expect("a result is stored");
        serde_json::from_slice(&stored).expect("a valid page text")
    }

    /// Returns the entries of the review queue.
    pub(crate) async fn reviews(&self) -> Vec<ReviewEntry> {
        let records = self.backend.records.list(Collection::Review, None, 100).await.expect("the records are listed");
        records.iter().map(|record| serde_json::from_str(&record.body).expect("a valid entry")).collect()
    }

    pub(crate) async fn statuses(&self) -> EngineStatuses {
        engine_status::read(&self.backend).await.expect("the engine statuses are read")
    }

    /// Waits until the engine statuses fulfill a condition.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&EngineStatuses) -> bool) {
        let wait = async {
            while !is_so(&self.statuses().await) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("timeout: {what}"));
    }
}

pub(crate) fn name(engine: &str) -> EngineName {
    engine.parse().expect("a valid engine name")
}
