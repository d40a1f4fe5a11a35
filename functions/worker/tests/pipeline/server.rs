//! A server that reads pages, or not, as it is told.

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

/// Reads `a line` on every page while its status is 200, and else answers with it.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    told: Arc<Told>,
    serving: AbortHandle,
}

#[derive(Debug)]
struct Told {
    status: AtomicU16,
    calls: AtomicUsize,
}

impl Server {
    pub(crate) async fn start(status: u16) -> Self {
        let told = Arc::new(Told { status: AtomicU16::new(status), calls: AtomicUsize::new(0) });
        let router = Router::new().route("/v1/chat/completions", post(complete)).with_state(Arc::clone(&told));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let serving = tokio::spawn(async move { axum::serve(listener, router.into_make_service()).await });
        Self { address, told, serving: serving.abort_handle() }
    }

    /// As an engine of a configuration.
    pub(crate) fn entry(&self) -> String {
        format!(r#"{{"kind": "openai", "url": "http://{}/v1", "model": "m", "timeout_secs": 1}}"#, self.address)
    }

    /// From now on it answers with this.
    pub(crate) fn says(&self, status: u16) {
        self.told.status.store(status, Ordering::SeqCst);
    }

    /// How often it was asked.
    pub(crate) fn calls(&self) -> usize {
        self.told.calls.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn complete(State(told): State<Arc<Told>>, _page: Json<serde_json::Value>) -> Response {
    told.calls.fetch_add(1, Ordering::SeqCst);
    let status = told.status.load(Ordering::SeqCst);
    if status != 200 {
        return StatusCode::from_u16(status).expect("a status").into_response();
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    let message = json!({"role": "assistant", "content": "a line"});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    Json(json!({"id": "1", "object": "chat.completion", "model": "m", "choices": [choice]})).into_response()
}
