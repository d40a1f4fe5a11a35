//! A customer's server: it takes callbacks, and has files to be fetched.

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

/// One callback as it came.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) at: Instant,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Delivery {
    pub(crate) fn webhook_id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a callback is JSON")
    }

    pub(crate) fn task_id(&self) -> String {
        self.json()["task_id"].as_str().expect("a callback names its task").to_owned()
    }
}

#[derive(Debug)]
struct Mood {
    /// The answers to the next callbacks, then this one for ever.
    next: VecDeque<u16>,
    then: u16,
    deliveries: Vec<Delivery>,
    files: BTreeMap<String, Vec<u8>>,
}

/// The server; it ends with the test's runtime.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    base: String,
    mood: Arc<Mutex<Mood>>,
}

impl Receiver {
    /// Takes everything.
    pub(crate) async fn start() -> Self {
        Self::answering([], 200).await
    }

    /// Answers the first callbacks with `next`, and all others with `then`.
    pub(crate) async fn answering(next: impl IntoIterator<Item = u16>, then: u16) -> Self {
        Self::listening_on(0, next, then).await
    }

    /// Takes everything, on this port.
    pub(crate) async fn start_on(port: u16) -> Self {
        Self::listening_on(port, [], 200).await
    }

    async fn listening_on(port: u16, next: impl IntoIterator<Item = u16>, then: u16) -> Self {
        let (deliveries, files) = (Vec::new(), BTreeMap::new());
        let mood = Arc::new(Mutex::new(Mood { next: next.into_iter().collect(), then, deliveries, files }));
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&mood));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base, mood }
    }

    /// Where callbacks are taken. The query is a secret of the customer.
    pub(crate) fn url(&self) -> String {
        format!("{}/hook?token=ofthecustomer", self.base)
    }

    /// Has a file from now on; where.
    pub(crate) fn file(&self, path: &str, bytes: Vec<u8>) -> String {
        self.mood().files.insert(path.to_owned(), bytes);
        self.missing(path)
    }

    /// Where there is no file.
    pub(crate) fn missing(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// From now on, callbacks are answered with this.
    pub(crate) fn answers(&self, status: u16) {
        self.mood().then = status;
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.mood().deliveries.clone()
    }

    /// The callbacks so far, once there are so many.
    pub(crate) async fn received(&self, count: usize) -> Vec<Delivery> {
        eventually(&format!("{count} callbacks come"), || async {
            Some(self.deliveries()).filter(|deliveries| deliveries.len() >= count)
        })
        .await
    }

    fn mood(&self) -> MutexGuard<'_, Mood> {
        self.mood.lock().expect("no panic before")
    }
}

async fn answer(
    State(mood): State<Arc<Mutex<Mood>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut mood = mood.lock().expect("no panic before");
    if method == Method::GET {
        return match mood.files.get(uri.path()) {
            Some(bytes) => bytes.clone().into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        };
    }
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    mood.deliveries.push(Delivery {
        at: Instant::now(),
        headers: headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: String::from_utf8(body.into()).expect("a callback is UTF-8"),
    });
    let status = mood.next.pop_front().unwrap_or(mood.then);
    StatusCode::from_u16(status).expect("a status").into_response()
}
