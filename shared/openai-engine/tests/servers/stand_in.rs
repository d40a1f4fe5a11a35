//! A server on loopback that answers by a script and remembers what it was asked.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, State},
    http::{HeaderMap, Response, StatusCode, Uri, header},
};
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::{net::TcpListener, sync::Barrier, time::sleep};

pub(crate) const STREAM: &str = "text/event-stream; charset=utf-8";
pub(crate) const JSON: &str = "application/json";

/// How a request is answered.
#[derive(Clone)]
pub(crate) struct Reply {
    status: u16,
    kind: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    then: Then,
    wait: Duration,
    together: Option<Arc<Barrier>>,
}

/// What follows the body.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    End,
    /// The connection breaks.
    Break,
    /// Nothing, for ever.
    Silence,
    /// The same again, for ever.
    Repeat,
}

impl Reply {
    pub(crate) fn new(status: u16, kind: &'static str, body: impl Into<Bytes>) -> Self {
        let (headers, wait) = (Vec::new(), Duration::ZERO);
        Self { status, kind, headers, body: body.into(), then: Then::End, wait, together: None }
    }

    /// A recorded answer: its kind is that of the file.
    pub(crate) fn recorded(status: u16, file: &str) -> Self {
        let kind = match Path::new(file).extension().and_then(|extension| extension.to_str()) {
            Some("sse") => STREAM,
            Some("json") => JSON,
            _ => "text/plain; charset=utf-8",
        };
        Self::new(status, kind, bytes_of(file))
    }

    /// A streamed answer of these texts.
    pub(crate) fn stream(texts: &[&str]) -> Self {
        let end = chunk("", Some("stop"));
        let chunks: String = texts.iter().map(|text| chunk(text, None)).chain([end]).collect();
        Self::new(200, STREAM, chunks + "data: [DONE]\n\n")
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Not a word before.
    pub(crate) fn after(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// Not before so many requests wait for an answer.
    pub(crate) fn together(self, count: usize) -> Self {
        Self { together: Some(Arc::new(Barrier::new(count))), ..self }
    }

    pub(crate) fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }
}

pub(crate) fn bytes_of(file: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(file);
    std::fs::read(path).expect("a recorded answer")
}

/// An event with some text.
pub(crate) fn chunk(text: &str, finish_reason: Option<&str>) -> String {
    let choice = serde_json::json!({"index": 0, "delta": {"content": text}, "finish_reason": finish_reason});
    format!("data: {}\n\n", serde_json::json!({"choices": [choice]}))
}

/// A request.
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) from: SocketAddr,
}

#[derive(Default)]
struct Memory {
    asked: Mutex<Vec<Asked>>,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    memory: Arc<Memory>,
}

impl StandIn {
    /// Answers by these, one request after the other, and then by the last of them for ever.
    pub(crate) async fn start(script: Vec<Reply>) -> Self {
        let memory = Arc::new(Memory::default());
        let router = Router::new().fallback(answer).with_state((Arc::clone(&memory), Arc::new(script)));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { address, memory }
    }

    pub(crate) async fn always(reply: Reply) -> Self {
        Self::start(vec![reply]).await
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.memory.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many answers it was giving at once, at most.
    pub(crate) fn most_open(&self) -> usize {
        self.memory.most_open.load(Ordering::SeqCst)
    }

    /// Until nobody listens to it any more.
    pub(crate) async fn is_left_alone(&self) -> bool {
        for _ in 0..200 {
            if self.memory.open.load(Ordering::SeqCst) == 0 {
                return true;
            }
            sleep(Duration::from_millis(10)).await;
        }
        false
    }
}

/// An answer that is being given. It is dropped with its body.
struct Open(Arc<Memory>);

impl Open {
    fn new(memory: &Arc<Memory>) -> Self {
        let open = memory.open.fetch_add(1, Ordering::SeqCst) + 1;
        memory.most_open.fetch_max(open, Ordering::SeqCst);
        Self(Arc::clone(memory))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn answer(
    State((memory, script)): State<(Arc<Memory>, Arc<Vec<Reply>>)>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Body>, Infallible> {
    let open = Open::new(&memory);
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let turn = {
        let mut asked = memory.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(Asked { path: uri.path().to_owned(), headers, body, from });
        asked.len() - 1
    };
    let reply = script.get(turn).or(script.last()).expect("a script").clone();
    sleep(reply.wait).await;
    if let Some(together) = &reply.together {
        together.wait().await;
        sleep(Duration::from_millis(20)).await;
    }
    let mut response = Response::builder()
        .status(StatusCode::from_u16(reply.status).expect("a status"))
        .header(header::CONTENT_TYPE, reply.kind);
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    Ok(response.body(body_of(reply, open)).expect("a response"))
}

fn body_of(reply: Reply, open: Open) -> Body {
    let (body, then) = (reply.body, reply.then);
    let pieces = stream::unfold((0_usize, open), move |(turn, open)| {
        let body = body.clone();
        async move {
            let piece: Result<Bytes, io::Error> = match (turn, then) {
                (0, _) | (_, Then::Repeat) => Ok(body),
                (_, Then::End) => return None,
                (_, Then::Break) => {
                    // What was said before is on its way by then.
                    sleep(Duration::from_millis(20)).await;
                    Err(io::Error::other("broken"))
                }
                (_, Then::Silence) => std::future::pending().await,
            };
            Some((piece, (turn + 1, open)))
        }
    });
    Body::from_stream(pieces.boxed())
}
