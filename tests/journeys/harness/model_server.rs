//! A server that reads pages as OpenAI's does, and whose manner is changed while it runs.

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
    model_answers::{Seen, completion, reads},
};

/// What is done with a page.
#[derive(Debug, Clone)]
pub(crate) enum Manner {
    /// It is read.
    Reads,
    /// This is said of it, whatever was asked.
    Says(&'static str),
    /// The answer has this status.
    Status(u16),
    /// There is too much to do: come back after so many seconds.
    Busy(u32),
    /// There is never an answer.
    Silent,
}

#[derive(Debug)]
struct Mood {
    manner: Manner,
    /// With a yellow page.
    with_yellow: Manner,
    /// How probable each token is said to be, to who asks for it.
    sure: Option<f32>,
    takes: Duration,
    asked: Vec<Seen>,
}

#[derive(Debug)]
struct Shared {
    mood: Mutex<Mood>,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

/// The server; it has a runtime of its own, so that it can go away with all its connections.
#[derive(Debug)]
pub(crate) struct ModelServer {
    port: u16,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl ModelServer {
    /// Reads everything, as fast as it can.
    pub(crate) fn start() -> Self {
        Self::start_on(free_port())
    }

    /// Likewise, on this port.
    pub(crate) fn start_on(port: u16) -> Self {
        let (manner, with_yellow, takes) = (Manner::Reads, Manner::Reads, Duration::ZERO);
        let mood = Mutex::new(Mood { manner, with_yellow, sure: None, takes, asked: Vec::new() });
        let shared = Arc::new(Shared { mood, open: AtomicUsize::new(0), most_open: AtomicUsize::new(0) });
        let mut server = Self { port, shared, runtime: None };
        server.comes_back();
        server
    }

    /// Its entry among the engines, with these members besides.
    pub(crate) fn engine(&self, more: &Value) -> Value {
        let url = format!("http://127.0.0.1:{}/v1", self.port);
        let mut entry = json!({ "kind": "openai", "url": url, "model": "a/model", "concurrency": 4 });
        let more = more.as_object().expect("an object").clone();
        entry.as_object_mut().expect("an object").extend(more);
        entry
    }

    pub(crate) fn behaves(&self, manner: Manner) {
        self.mood().manner = manner;
    }

    pub(crate) fn behaves_with_yellow(&self, manner: Manner) {
        self.mood().with_yellow = manner;
    }

    /// From now on each token is said to be so probable, to clients of vLLM's dialect.
    pub(crate) fn is_sure(&self, probability: f32) {
        self.mood().sure = Some(probability);
    }

    /// From now on a page takes so long.
    pub(crate) fn takes(&self, time: Duration) {
        self.mood().takes = time;
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Seen> {
        self.mood().asked.clone()
    }

    /// How many pages it had in hand at most at the same time.
    pub(crate) fn most_at_once(&self) -> usize {
        self.shared.most_open.load(Ordering::Relaxed)
    }

    /// Goes away: its connections break, and further ones are refused.
    pub(crate) fn goes_away(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A runtime may not be waited for on another one's thread.
            thread::spawn(|| runtime.shutdown_timeout(Duration::from_secs(5))).join().expect("no panic");
        }
    }

    /// Is there again, at the same place.
    pub(crate) fn comes_back(&mut self) {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime");
        let router = Router::new().route("/v1/chat/completions", post(answer));
        let router = router.layer(DefaultBodyLimit::disable()).with_state(Arc::clone(&self.shared));
        let port = self.port;
        let (listens, listening) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("its port is free");
            listens.send(()).expect("it is waited for");
            axum::serve(listener, router).await
        });
        listening.recv().expect("it listens");
        self.runtime = Some(runtime);
    }

    fn mood(&self) -> MutexGuard<'_, Mood> {
        self.shared.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.goes_away();
    }
}

/// A page in hand, as long as its client waits for it.
struct InHand<'a>(&'a Shared);

impl<'a> InHand<'a> {
    fn new(shared: &'a Shared) -> Self {
        let open = shared.open.fetch_add(1, Ordering::Relaxed) + 1;
        shared.most_open.fetch_max(open, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn answer(State(shared): State<Arc<Shared>>, Json(request): Json<Value>) -> Response {
    let _in_hand = InHand::new(&shared);
    let seen = Seen::of(&request);
    let (manner, sure, takes) = {
        let mut mood = shared.mood.lock().unwrap_or_else(PoisonError::into_inner);
        mood.asked.push(seen.clone());
        let manner = if seen.is_yellow { &mood.with_yellow } else { &mood.manner };
        (manner.clone(), mood.sure.filter(|_| request["logprobs"] == true), mood.takes)
    };
    sleep(takes).await;
    match manner {
        Manner::Reads => completion(&reads(&seen), sure, &request),
        Manner::Says(text) => completion(text, sure, &request),
        Manner::Status(status) => {
            let status = StatusCode::from_u16(status).expect("a status");
            (status, [(header::CONTENT_TYPE, "text/html")], "<h1>No</h1>").into_response()
        }
        Manner::Busy(seconds) => {
            let after = [(header::RETRY_AFTER, seconds.to_string())];
            (StatusCode::TOO_MANY_REQUESTS, after, "too many").into_response()
        }
        Manner::Silent => std::future::pending().await,
    }
}
