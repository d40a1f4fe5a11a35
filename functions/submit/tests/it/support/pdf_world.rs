//! A server that renders real pages with the functions' own program, and tasks whose pages were read.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use quire_document::{DocumentLimits, Documents};
use quire_egress::{Client, EgressPolicy};
use quire_platform::{Consumer, QueueName};
use quire_sandbox::{Sandbox, SandboxLimits, SandboxProgram};
use quire_submit::{AppState, ChildInspector, SubmitSettings, ingest, ingest_one, router};
use quire_tasks::{
    Document, DocumentFormat, DocumentMessage, DocumentState, EngineName, Failure, FailureCode, Line, ObjectKey,
    Outcome, PageText, Polygon, RedactPolicy, SplitDocument, Task, TaskId, Tenant,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{AlwaysHealthy, TestResponse, TestWorld, now};
use crate::lambda::unpacked;

/// The size in pixels of the rendered A4 pages of the sample invoice.
const SIZE: (u32, u32) = (1654, 2339);

/// A world with an ingest that makes searchable PDFs.
pub(crate) struct PdfWorld {
    pub(crate) world: TestWorld,
    app: Arc<AppState>,
    pub(crate) base: String,
    client: reqwest::Client,
    running: JoinSet<()>,
    pub(crate) program: TempDir,
}

impl PdfWorld {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}, inspector).await
    }

    pub(crate) async fn with(
        adjust: impl FnOnce(&mut SubmitSettings),
        inspector: impl FnOnce(PathBuf) -> ChildInspector,
    ) -> Self {
        let world = TestWorld::without_worker(|_| {}).await;
        let (program, bootstrap) = unpacked(env!("CARGO_BIN_EXE_submit-ingest"));
        let mut settings = SubmitSettings::default();
        adjust(&mut settings);
        let egress = Client::new(EgressPolicy::default()).expect("a client");
        let (inspector, health) = (Arc::new(inspector(bootstrap)), Arc::new(AlwaysHealthy));
        let app = AppState::new(world.backend.clone(), inspector, egress, settings, health, Arc::clone(&world.routes));
        let app = Arc::new(app);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let mut running = JoinSet::new();
        let router = router(Arc::clone(&app));
        running.spawn(async move { axum::serve(listener, router).await.expect("a server") });
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        Self { world, app, base, client: client.build().expect("a client"), running, program }
    }

    /// Starts ingest.
    pub(crate) fn start_worker(&mut self) {
        let app = Arc::clone(&self.app);
        self.running.spawn(async move { ingest(app, CancellationToken::new()).await.expect("the queue works") });
    }

    pub(crate) async fn get(&self, task: &Task, parameters: &str) -> TestResponse {
        TestResponse::read(self.response(task, parameters).await).await
    }

    pub(crate) async fn response(&self, task: &Task, parameters: &str) -> reqwest::Response {
        let url = format!("{}/task/{}/result?{parameters}", self.base, task.id);
        self.client.get(url).send().await.expect("an answer")
    }

    /// Waits for the PDF and returns it.
    pub(crate) async fn pdf(&self, task: &Task) -> Vec<u8> {
        let response = self.response(task, "format=pdf&wait=60").await;
        assert_eq!(response.headers()["content-type"], "application/pdf");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        response.bytes().await.expect("a body").to_vec()
    }

    /// Creates a task of the invoice with these texts; a page without a text failed.
    pub(crate) async fn task(&self, redact: Option<RedactPolicy>, pages: [Option<PageText>; 2]) -> Task {
        self.task_of(&[("invoice.pdf", DocumentFormat::Pdf, 2)], redact, pages.into()).await
    }

    /// Creates a task of these samples, with this many pages each.
    pub(crate) async fn task_of(
        &self,
        samples: &[(&str, DocumentFormat, u32)],
        redact: Option<RedactPolicy>,
        texts: Vec<Option<PageText>>,
    ) -> Task {
        let backend = &self.world.backend;
        let task_id = TaskId::new(Uuid::now_v7());
        let mut documents = Vec::new();
        for (document, (name, format, pages)) in (1..).zip(samples) {
            let sample = std::fs::read(samples_folder().join(name)).expect("the sample is there");
            backend
                .objects
                .put(&ObjectKey::Document { task_id, document }.to_string(), sample.into())
                .await
                .expect("put");
            let split = DocumentState::Split(SplitDocument { format: *format, pages: *pages });
            documents.push(Document::new(document, Some((*name).to_owned()), split));
        }
        let task = Task::new(task_id, Tenant::default(), now(), documents, None).with_redaction(redact);
        backend.tasks.create(task.clone()).await.expect("created");
        backend.tasks.mark_dispatched(task_id).await.expect("marked");
        for (page, text) in task.pages().zip(texts) {
            let outcome = match text {
                Some(text) => {
                    let (key, json) =
                        (ObjectKey::PageText { page, round: 1 }, serde_json::to_vec(&text).expect("JSON"));
                    backend.objects.put(&key.to_string(), json.into()).await.expect("put");
                    Outcome::succeeded(text.confidence())
                }
                None => Outcome::Failed(Failure::new(FailureCode::ModelFailed, "The model failed.")),
            };
            backend.tasks.complete_page(page, 1, outcome).await.expect("completed");
        }
        backend.tasks.task(task_id).await.expect("it is there")
    }

    /// Ingests the next message, as the attempt with this number.
    pub(crate) async fn attempt(&self, number: u32) {
        let queue = self.world.backend.queue(QueueName::Documents);
        let consumer = Consumer::<DocumentMessage>::new(queue, Duration::from_mins(1));
        let mut received = consumer.receive(1, Duration::from_secs(10)).await.expect("a receive");
        let mut delivery = received.pop().expect("a delivery").expect("a readable message");
        delivery.attempt = number;
        ingest_one(&self.app, delivery).await.expect("the backend does not fail");
    }

    pub(crate) async fn results(&self, task: &Task) -> Vec<String> {
        let prefix = format!("results/{}/", task.id);
        let keys = self.world.backend.objects.list(&prefix).await.expect("a list");
        keys.iter().map(|key| key[prefix.len()..].to_owned()).collect()
    }
}

/// Returns an inspector whose children run this program, which has pdfium beside it.
pub(crate) fn inspector(program: PathBuf) -> ChildInspector {
    inspector_with(program, SandboxLimits::default())
}

pub(crate) fn inspector_with(program: PathBuf, limits: SandboxLimits) -> ChildInspector {
    let pdfium = program.with_file_name("libpdfium.so");
    let documents = DocumentLimits::default();
    ChildInspector::new(Sandbox::new(SandboxProgram::at(program), Some(pdfium), documents, limits), documents)
}

pub(crate) fn page(lines: &[(&str, Polygon)]) -> PageText {
    page_of(SIZE, lines)
}

/// A page of this size with these lines.
pub(crate) fn page_of((width, height): (u32, u32), lines: &[(&str, Polygon)]) -> PageText {
    let engine: EngineName = "test@1".parse().expect("a name");
    let line = |(text, polygon): &(&str, Polygon)| Line {
        text: (*text).to_owned(),
        confidence: Some(0.9),
        polygon: Some(*polygon),
        ..Line::default()
    };
    PageText::from_lines(engine, width, height, 0, lines.iter().map(line).collect())
}

pub(crate) const fn rectangle(left: f32, top: f32, right: f32, bottom: f32) -> Polygon {
    [[left, top], [right, top], [right, bottom], [left, bottom]]
}

pub(crate) fn documents() -> Documents {
    let pdfium = quire_native_libs::pdfium(&quire_native_libs::Progress::Silent).expect("the PDFium library");
    let documents = Documents::new(Some(pdfium), DocumentLimits::default());
    documents.bind_pdfium().expect("it fits");
    documents
}

pub(crate) fn samples_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples")
}
