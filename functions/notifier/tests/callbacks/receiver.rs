//! A webhook receiver with scripted responses that records all requests.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use tokio::{net::TcpListener, task::JoinHandle};

pub(crate) const PATH: &str = "/hook?token=secret";

#[derive(Debug, Clone)]
pub(crate) enum ScriptedResponse {
    Status(StatusCode),
    Redirect(String),
    /// 503 with a `Retry-After` in seconds.
    RetryAfter(u32),
    /// 200 after a delay.
    Delayed(Duration),
    /// A status with a body.
    WithBody(StatusCode, String),
}

#[derive(Debug, Clone)]
pub(crate) struct ReceivedRequest {
    pub(crate) at: Instant,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl ReceivedRequest {
    pub(crate) fn header(&self, name: &str) -> String {
        self.headers[name].to_str().expect("plain text").to_owned()
    }
}

#[derive(Debug, Clone)]
struct Script {
    answers: Arc<Mutex<VecDeque<ScriptedResponse>>>,
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

/// Returns a URL on which no server listens.
pub(crate) async fn unreachable_url() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    format!("http://{}{PATH}", listener.local_addr().expect("an address"))
}

pub(crate) struct ScriptedReceiver {
    script: Script,
    url: String,
    serving: JoinHandle<()>,
}

impl ScriptedReceiver {
    /// Starts a receiver that returns the responses in order, and repeats the last one.
    pub(crate) async fn start(answers: impl IntoIterator<Item = ScriptedResponse>) -> Self {
        let answers = Arc::new(Mutex::new(answers.into_iter().collect()));
        let script = Script { answers, requests: Arc::default(), now: Arc::default(), most: Arc::default() };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}{PATH}", listener.local_addr().expect("an address"));
        let router = Router::new().route("/hook", post(answer)).with_state(script.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { script, url, serving }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(crate) fn requests(&self) -> Vec<ReceivedRequest> {
        self.script.requests.lock().expect("no panic").clone()
    }

    /// Returns the maximum number of concurrent requests so far.
    pub(crate) fn max_concurrent(&self) -> usize {
        self.script.most.load(Ordering::SeqCst)
    }

    pub(crate) async fn wait_for_requests(&self, count: usize) {
        let requests = async {
            while self.requests().len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), requests).await.expect("received within the timeout");
    }
}

impl Drop for ScriptedReceiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(script): State<Script>, headers: HeaderMap, body: Bytes) -> Response {
    script.requests.lock().expect("no panic").push(ReceivedRequest { at: Instant::now(), headers, body });
    let _underway = Underway::new(&script);
    let next = {
        let mut answers = script.answers.lock().expect("no panic");
        if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
    };
    match next.expect("an answer") {
        ScriptedResponse::Status(status) => status.into_response(),
        ScriptedResponse::Redirect(to) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
        ScriptedResponse::RetryAfter(seconds) => {
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, seconds.to_string())]).into_response()
        }
        ScriptedResponse::WithBody(status, body) => (status, body).into_response(),
        ScriptedResponse::Delayed(wait) => {
            tokio::time::sleep(wait).await;
            StatusCode::OK.into_response()
        }
    }
}

/// Counts a request from its receipt to its response.
struct Underway(Arc<AtomicUsize>);

impl Underway {
    fn new(script: &Script) -> Self {
        let now = script.now.fetch_add(1, Ordering::SeqCst) + 1;
        script.most.fetch_max(now, Ordering::SeqCst);
        Self(Arc::clone(&script.now))
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
