//! A fake server with an OpenAI-compatible API, whose status the test sets.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::json;
use tokio::{net::TcpListener, task::AbortHandle};

/// Reads `a line` on every page while its status is 200, and otherwise responds with the status.
#[derive(Debug)]
pub(crate) struct FakeServer {
    address: SocketAddr,
    state: Arc<ServerState>,
    serving: AbortHandle,
}

#[derive(Debug)]
struct ServerState {
    status: AtomicU16,
    calls: AtomicUsize,
}

impl FakeServer {
    pub(crate) async fn start(status: u16) -> Self {
        let state = Arc::new(ServerState { status: AtomicU16::new(status), calls: AtomicUsize::new(0) });
        let router = Router::new().route("/v1/chat/completions", post(complete)).with_state(Arc::clone(&state));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let serving = tokio::spawn(async move { axum::serve(listener, router.into_make_service()).await });
        Self { address, state, serving: serving.abort_handle() }
    }

    /// Returns the server as an engine of a configuration.
    pub(crate) fn entry(&self) -> String {
        format!(r#"{{"kind": "openai", "url": "http://{}/v1", "model": "m", "timeout_secs": 1}}"#, self.address)
    }

    /// Sets the status of all further responses.
    pub(crate) fn set_status(&self, status: u16) {
        self.state.status.store(status, Ordering::SeqCst);
    }

    /// Returns the number of requests so far.
    pub(crate) fn calls(&self) -> usize {
        self.state.calls.load(Ordering::SeqCst)
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn complete(State(state): State<Arc<ServerState>>, _page: Json<serde_json::Value>) -> Response {
    state.calls.fetch_add(1, Ordering::SeqCst);
    let status = state.status.load(Ordering::SeqCst);
    if status != 200 {
        return StatusCode::from_u16(status).expect("a valid status").into_response();
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    let message = json!({"role": "assistant", "content": "a line"});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    Json(json!({"id": "1", "object": "chat.completion", "model": "m", "choices": [choice]})).into_response()
}
