//! The world of a test: a backend in a temporary folder, a server, an inspector and a worker, which the documents
//! control.

mod fakes;
mod http;
mod local_server;
mod pdf_world;
mod steps;
mod table;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use quire_egress::{Client, EgressPolicy};
use quire_platform::{Backend, QueueName};
use quire_platform_embedded::Embedded;
use quire_routes::Config;
use quire_submit::{AppState, SubmitSettings, router};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};

pub(crate) use fakes::{AlwaysHealthy, Faults, StoreFault, work};
pub(crate) use http::{FormPart, TestResponse, body, boundary, image, image_named, images};
pub(crate) use local_server::{Connection, LocalServer, RELAXED};
pub(crate) use pdf_world::{PdfWorld, documents, inspector, inspector_with, page, page_of, rectangle, samples_folder};
pub(crate) use steps::{id, now};
pub(crate) use table::TableFault;

pub(crate) struct TestWorld {
    pub(crate) app: Arc<AppState>,
    pub(crate) backend: Backend,
    pub(crate) address: SocketAddr,
    pub(crate) client: reqwest::Client,
    pub(crate) faults: Arc<Faults>,
    pub(crate) routes: Arc<Config>,
    running: JoinSet<()>,
    // Deleted with the world.
    folder: TempDir,
    // Dropped last: the backend's database.
    _embedded: Embedded,
}

impl TestWorld {
    /// With a worker, and timeouts that never end in a test.
    pub(crate) async fn new() -> Self {
        let mut world = Self::without_worker(|_| {}).await;
        world.start_worker();
        world
    }

    pub(crate) async fn without_worker(adjust: impl FnOnce(&mut SubmitSettings)) -> Self {
        Self::open(adjust, Config::default()).await
    }

    /// Without a worker, and responding at once. There are PP-OCR and the servers `a@1`, `a@2` and `b@1`, which read
    /// everything; the routes are these members of the configuration.
    pub(crate) async fn with_routes(routes: &str) -> Self {
        let server = r#"{"kind": "openai", "url": "http://127.0.0.1:1/v1", "model": "m"}"#;
        let engines =
            format!(r#""pp-ocr@v6-small": {{"kind": "pp-ocr"}}, "a@1": {server}, "a@2": {server}, "b@1": {server}"#);
        let config = Config::parse(&format!(r#"{{"engines": {{{engines}}}, {routes}}}"#)).expect("it is right");
        Self::open(|settings| settings.sync_limit = Duration::from_millis(1), config).await
    }

    async fn open(adjust: impl FnOnce(&mut SubmitSettings), routes: Config) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let embedded = Embedded::open(folder.path(), "test").expect("open the backend");
        let faults = Arc::new(Faults::default());
        let backend = fakes::faulty(&embedded.backend(), &faults);
        let routes = Arc::new(routes);
        let mut running = JoinSet::new();
        let (app, address) = serve(&backend, &routes, adjust, &mut running).await;
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { app, backend, address, client, faults, routes, running, folder, _embedded: embedded }
    }

    /// Starts another server with the same backend, like another process.
    pub(crate) async fn another_server(
        &mut self,
        adjust: impl FnOnce(&mut SubmitSettings),
    ) -> (Arc<AppState>, SocketAddr) {
        serve(&self.backend, &self.routes, adjust, &mut self.running).await
    }

    /// Starts a worker.
    pub(crate) fn start_worker(&mut self) -> AbortHandle {
        self.running.spawn(work(self.backend.clone()))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> TestResponse {
        TestResponse::read(self.client.get(self.url(path)).send().await.expect("an answer")).await
    }

    pub(crate) async fn post(&self, path: &str, parts: &[FormPart<'_>]) -> TestResponse {
        let request = self.client.post(self.url(path)).header("content-type", boundary()).body(body(parts));
        TestResponse::read(request.send().await.expect("an answer")).await
    }

    pub(crate) async fn post_json(&self, path: &str, json: &Value) -> TestResponse {
        let request = self.client.post(self.url(path)).json(json);
        TestResponse::read(request.send().await.expect("an answer")).await
    }

    /// Waits for the end of a task and returns it.
    pub(crate) async fn ended(&self, task_id: &str) -> Value {
        let begun = Instant::now();
        loop {
            let answer = self.get(&format!("/task/{task_id}?wait=10")).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            let task = answer.json();
            if !task["ended_at"].is_null() {
                return task;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "the task does not end: {task}");
        }
    }

    pub(crate) async fn depth(&self, queue: QueueName) -> u64 {
        let depth = self.backend.queue(queue).depth().await.expect("a depth");
        depth.ready + depth.in_flight + depth.delayed
    }

    /// Waits until a queue has this many messages, in any state.
    pub(crate) async fn reaches(&self, queue: QueueName, messages: u64) {
        let begun = Instant::now();
        while self.depth(queue).await != messages {
            assert!(begun.elapsed() < Duration::from_secs(15), "{queue:?} holds {}", self.depth(queue).await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Asserts that there is no document, no message and no spool file.
    pub(crate) async fn assert_empty(&self) {
        let begun = Instant::now();
        while self.spooled() > 0 {
            assert!(begun.elapsed() < Duration::from_secs(5), "{} spool files stay", self.spooled());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(self.backend.objects.list("documents/").await.expect("a list"), Vec::<String>::new());
        assert_eq!(self.depth(QueueName::Pages).await + self.depth(QueueName::Documents).await, 0);
    }

    pub(crate) fn spooled(&self) -> usize {
        std::fs::read_dir(self.backend.objects.spool()).expect("a spool").count()
    }
}

/// Starts a server and returns its state and address.
async fn serve(
    backend: &Backend,
    routes: &Arc<Config>,
    adjust: impl FnOnce(&mut SubmitSettings),
    running: &mut JoinSet<()>,
) -> (Arc<AppState>, SocketAddr) {
    let mut settings = SubmitSettings { sync_limit: Duration::from_secs(20), ..SubmitSettings::default() };
    adjust(&mut settings);
    let egress = Client::new(EgressPolicy { allow_loopback_http: true }).expect("a client");
    let (inspector, health) = (Arc::new(fakes::ScriptedInspector), Arc::new(fakes::AlwaysHealthy));
    let app = Arc::new(AppState::new(backend.clone(), inspector, egress, settings, health, Arc::clone(routes)));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = router(Arc::clone(&app));
    running.spawn(async move { axum::serve(listener, router).await.expect("a server") });
    (app, address)
}
