//! A fake of an OpenAI-compatible model server, whose behavior tests change while it runs.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime, time::sleep};

use super::{
    free_port,
    model_responses::{ModelRequest, completion, output_for},
};

/// How the server responds to a request.
#[derive(Debug, Clone)]
pub(crate) enum ModelBehavior {
    /// With [`output_for`] the page.
    Reads,
    /// With this text.
    RespondsWith(&'static str),
    /// With this HTTP status.
    Status(u16),
    /// With `429 Too Many Requests` and this `Retry-After`, in seconds.
    Busy(u32),
    /// Not at all; the connection stays open.
    NeverResponds,
}

#[derive(Debug)]
struct ServerState {
    behavior: ModelBehavior,
    /// The behavior for yellow pages.
    yellow_behavior: ModelBehavior,
    /// The probability of each token, returned where a request asks for `logprobs`.
    confidence: Option<f32>,
    delay: Duration,
    requests: Vec<ModelRequest>,
}

#[derive(Debug)]
struct SharedServer {
    state: Mutex<ServerState>,
    open_requests: AtomicUsize,
    max_open_requests: AtomicUsize,
}

/// The server. It has its own runtime, so that a shutdown breaks all its connections.
#[derive(Debug)]
pub(crate) struct ModelServer {
    port: u16,
    shared: Arc<SharedServer>,
    runtime: Option<Runtime>,
}

impl ModelServer {
    /// Starts on a free port; reads every page without a delay.
    pub(crate) fn start() -> Self {
        Self::start_on(free_port())
    }

    /// Starts on this port; reads every page without a delay.
    pub(crate) fn start_on(port: u16) -> Self {
        let state = ServerState {
            behavior: ModelBehavior::Reads,
            yellow_behavior: ModelBehavior::Reads,
            confidence: None,
            delay: Duration::ZERO,
            requests: Vec::new(),
        };
        let shared = Arc::new(SharedServer {
            state: Mutex::new(state),
            open_requests: AtomicUsize::new(0),
            max_open_requests: AtomicUsize::new(0),
        });
        let mut server = Self { port, shared, runtime: None };
        server.restart();
        server
    }

    /// Returns the entry of this server for the `engines` configuration, extended with these members.
    pub(crate) fn engine(&self, more: &Value) -> Value {
        let url = format!("http://127.0.0.1:{}/v1", self.port);
        let mut entry = json!({ "kind": "openai", "url": url, "model": "a/model", "concurrency": 4 });
        let more = more.as_object().expect("the members are an object").clone();
        entry.as_object_mut().expect("the members are an object").extend(more);
        entry
    }

    pub(crate) fn set_behavior(&self, behavior: ModelBehavior) {
        self.state().behavior = behavior;
    }

    pub(crate) fn set_yellow_behavior(&self, behavior: ModelBehavior) {
        self.state().yellow_behavior = behavior;
    }

    /// Sets the probability of each token, for clients that use the `vllm` dialect.
    pub(crate) fn set_confidence(&self, probability: f32) {
        self.state().confidence = Some(probability);
    }

    /// Sets the time that each page takes.
    pub(crate) fn set_delay(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// Returns all requests so far.
    pub(crate) fn requests(&self) -> Vec<ModelRequest> {
        self.state().requests.clone()
    }

    /// Returns the largest number of requests that were in flight at the same time.
    pub(crate) fn max_concurrency(&self) -> usize {
        self.shared.max_open_requests.load(Ordering::Relaxed)
    }

    /// Shuts down: open connections break, and new ones are refused.
    pub(crate) fn shut_down(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A runtime must not be shut down on a thread of another runtime.
            thread::spawn(|| runtime.shutdown_timeout(Duration::from_secs(5))).join().expect("the runtime shuts down");
        }
    }

    /// Listens again, on the same port.
    pub(crate) fn restart(&mut self) {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().expect("the runtime can be built");
        let router = Router::new().route("/v1/chat/completions", post(respond));
        let router = router.layer(DefaultBodyLimit::disable()).with_state(Arc::clone(&self.shared));
        let port = self.port;
        let (ready_sender, ready) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
            ready_sender.send(()).expect("the receiver waits");
            axum::serve(listener, router).await
        });
        ready.recv().expect("the server listens");
        self.runtime = Some(runtime);
    }

    fn state(&self) -> MutexGuard<'_, ServerState> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// Counts a request as open until it is dropped.
struct OpenRequest<'a>(&'a SharedServer);

impl<'a> OpenRequest<'a> {
    fn new(shared: &'a SharedServer) -> Self {
        let open = shared.open_requests.fetch_add(1, Ordering::Relaxed) + 1;
        shared.max_open_requests.fetch_max(open, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for OpenRequest<'_> {
    fn drop(&mut self) {
        self.0.open_requests.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn respond(State(shared): State<Arc<SharedServer>>, Json(body): Json<Value>) -> Response {
    let _open_request = OpenRequest::new(&shared);
    let request = ModelRequest::parse(&body);
    let (behavior, confidence, delay) = {
        let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.requests.push(request.clone());
        let behavior = if request.is_yellow { &state.yellow_behavior } else { &state.behavior };
        let confidence = if body["logprobs"] == true { state.confidence } else { None };
        (behavior.clone(), confidence, state.delay)
    };
    sleep(delay).await;
    match behavior {
        ModelBehavior::Reads => completion(&output_for(&request), confidence, &body),
        ModelBehavior::RespondsWith(text) => completion(text, confidence, &body),
        ModelBehavior::Status(status) => {
            let status = StatusCode::from_u16(status).expect("the status is valid");
            (status, [(header::CONTENT_TYPE, "text/html")], "<h1>No</h1>").into_response()
        }
        ModelBehavior::Busy(seconds) => {
            let after = [(header::RETRY_AFTER, seconds.to_string())];
            (StatusCode::TOO_MANY_REQUESTS, after, "too many").into_response()
        }
        ModelBehavior::NeverResponds => std::future::pending().await,
    }
}
