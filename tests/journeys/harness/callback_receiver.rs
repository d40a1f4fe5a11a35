//! A fake of a customer's server: it receives callbacks and serves files.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use tokio::net::TcpListener;

use super::eventually;

/// A received callback request.
#[derive(Debug, Clone)]
pub(crate) struct ReceivedCallback {
    pub(crate) at: Instant,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl ReceivedCallback {
    pub(crate) fn webhook_id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a callback is JSON")
    }

    pub(crate) fn task_id(&self) -> String {
        self.json()["task_id"].as_str().expect("a callback has a task_id").to_owned()
    }
}

#[derive(Debug)]
struct ReceiverState {
    /// The HTTP status for each of the next callbacks.
    next_statuses: VecDeque<u16>,
    /// The HTTP status after those.
    status: u16,
    callbacks: Vec<ReceivedCallback>,
    files: BTreeMap<String, Vec<u8>>,
}

/// The server. It stops with the runtime of the test.
#[derive(Debug, Clone)]
pub(crate) struct CallbackReceiver {
    base: String,
    state: Arc<Mutex<ReceiverState>>,
}

impl CallbackReceiver {
    /// Starts on a free port and accepts all callbacks.
    pub(crate) async fn start() -> Self {
        Self::responding([], 200).await
    }

    /// Starts on a free port; responds to the first callbacks with `next_statuses`, and to all others with `status`.
    pub(crate) async fn responding(next_statuses: impl IntoIterator<Item = u16>, status: u16) -> Self {
        Self::listening_on(0, next_statuses, status).await
    }

    /// Starts on this port and accepts all callbacks.
    pub(crate) async fn start_on(port: u16) -> Self {
        Self::listening_on(port, [], 200).await
    }

    async fn listening_on(port: u16, next_statuses: impl IntoIterator<Item = u16>, status: u16) -> Self {
        let state = ReceiverState {
            next_statuses: next_statuses.into_iter().collect(),
            status,
            callbacks: Vec::new(),
            files: BTreeMap::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
        let base = format!("http://{}", listener.local_addr().expect("the listener has an address"));
        let router = Router::new().fallback(respond).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base, state }
    }

    /// Returns the callback URL. Its query contains a secret, which must not be logged.
    pub(crate) fn url(&self) -> String {
        format!("{}/hook?token=ofthecustomer", self.base)
    }

    /// Serves a file under this path and returns its URL.
    pub(crate) fn serve_file(&self, path: &str, bytes: Vec<u8>) -> String {
        self.state().files.insert(path.to_owned(), bytes);
        self.url_of(path)
    }

    /// Returns the URL of a path, e.g. one without a file.
    pub(crate) fn url_of(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Responds to callbacks with this HTTP status from now on.
    pub(crate) fn respond_with(&self, status: u16) {
        self.state().status = status;
    }

    /// Returns the callbacks so far.
    pub(crate) fn callbacks(&self) -> Vec<ReceivedCallback> {
        self.state().callbacks.clone()
    }

    /// Waits for at least `count` callbacks, and returns all so far.
    pub(crate) async fn await_callbacks(&self, count: usize) -> Vec<ReceivedCallback> {
        eventually(&format!("{count} callbacks are received"), || async {
            Some(self.callbacks()).filter(|callbacks| callbacks.len() >= count)
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, ReceiverState> {
        self.state.lock().expect("the lock is not poisoned")
    }
}

async fn respond(
    State(state): State<Arc<Mutex<ReceiverState>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut state = state.lock().expect("the lock is not poisoned");
    if method == Method::GET {
        return match state.files.get(uri.path()) {
            Some(bytes) => bytes.clone().into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        };
    }
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    state.callbacks.push(ReceivedCallback {
        at: Instant::now(),
        headers: headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: String::from_utf8(body.into()).expect("a callback is UTF-8"),
    });
    let status = state.next_statuses.pop_front().unwrap_or(state.status);
    StatusCode::from_u16(status).expect("the status is valid").into_response()
}
