//! A server on loopback that responds by a script and records the requests.

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

/// A scripted response.
#[derive(Clone)]
pub(crate) struct Reply {
    status: u16,
    kind: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    then: AfterBody,
    wait: Duration,
    together: Option<Arc<Barrier>>,
}

/// What happens after the body.
#[derive(Clone, Copy)]
pub(crate) enum AfterBody {
    End,
    /// The connection breaks.
    Break,
    /// The connection stays open without data.
    Silence,
    /// The body is sent again and again.
    Repeat,
}

impl Reply {
    pub(crate) fn new(status: u16, kind: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            kind,
            headers: Vec::new(),
            body: body.into(),
            then: AfterBody::End,
            wait: Duration::ZERO,
            together: None,
        }
    }

    /// A recorded response. The extension of the file determines the content type.
    pub(crate) fn recorded(status: u16, file: &str) -> Self {
        let kind = match Path::new(file).extension().and_then(|extension| extension.to_str()) {
            Some("sse") => STREAM,
            Some("json") => JSON,
            _ => "text/plain; charset=utf-8",
        };
        Self::new(status, kind, recorded_bytes(file))
    }

    /// A streamed completion with one chunk per text.
    pub(crate) fn stream(texts: &[&str]) -> Self {
        let end = chunk("", Some("stop"));
        let chunks: String = texts.iter().map(|text| chunk(text, None)).chain([end]).collect();
        Self::new(200, STREAM, chunks + "data: [DONE]\n\n")
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Delays the response.
    pub(crate) fn after(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// Delays the response until this number of requests are waiting.
    pub(crate) fn together(self, count: usize) -> Self {
        Self { together: Some(Arc::new(Barrier::new(count))), ..self }
    }

    pub(crate) fn then(self, then: AfterBody) -> Self {
        Self { then, ..self }
    }
}

pub(crate) fn recorded_bytes(file: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(file);
    std::fs::read(path).expect("a recorded response")
}

/// An event with a chunk of text.
pub(crate) fn chunk(text: &str, finish_reason: Option<&str>) -> String {
    let choice = serde_json::json!({"index": 0, "delta": {"content": text}, "finish_reason": finish_reason});
    format!("data: {}\n\n", serde_json::json!({"choices": [choice]}))
}

/// A received request.
pub(crate) struct RecordedRequest {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) from: SocketAddr,
}

#[derive(Default)]
struct ServerLog {
    requests: Mutex<Vec<RecordedRequest>>,
    open: AtomicUsize,
    max_open: AtomicUsize,
}

pub(crate) struct FakeServer {
    pub(crate) address: SocketAddr,
    log: Arc<ServerLog>,
}

impl FakeServer {
    /// Responds with these, one per request, and repeats the last one.
    pub(crate) async fn start(script: Vec<Reply>) -> Self {
        let log = Arc::new(ServerLog::default());
        let router = Router::new().fallback(respond).with_state((Arc::clone(&log), Arc::new(script)));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { address, log }
    }

    pub(crate) async fn always(reply: Reply) -> Self {
        Self::start(vec![reply]).await
    }

    /// Returns the requests received since the last call.
    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        std::mem::take(&mut self.log.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the most responses that were open at the same time.
    pub(crate) fn max_open(&self) -> usize {
        self.log.max_open.load(Ordering::SeqCst)
    }

    /// Waits until all responses are closed. Returns false after a timeout of 2 s.
    pub(crate) async fn has_no_open_response(&self) -> bool {
        for _ in 0..200 {
            if self.log.open.load(Ordering::SeqCst) == 0 {
                return true;
            }
            sleep(Duration::from_millis(10)).await;
        }
        false
    }
}

/// Counts an open response. It is dropped with the body.
struct OpenResponse(Arc<ServerLog>);

impl OpenResponse {
    fn new(log: &Arc<ServerLog>) -> Self {
        let open = log.open.fetch_add(1, Ordering::SeqCst) + 1;
        log.max_open.fetch_max(open, Ordering::SeqCst);
        Self(Arc::clone(log))
    }
}

impl Drop for OpenResponse {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn respond(
    State((log, script)): State<(Arc<ServerLog>, Arc<Vec<Reply>>)>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Body>, Infallible> {
    let open = OpenResponse::new(&log);
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let index = {
        let mut requests = log.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.push(RecordedRequest { path: uri.path().to_owned(), headers, body, from });
        requests.len() - 1
    };
    let reply = script.get(index).or(script.last()).expect("a script").clone();
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

fn body_of(reply: Reply, open: OpenResponse) -> Body {
    let (body, then) = (reply.body, reply.then);
    let pieces = stream::unfold((0_usize, open), move |(turn, open)| {
        let body = body.clone();
        async move {
            let piece: Result<Bytes, io::Error> = match (turn, then) {
                (0, _) | (_, AfterBody::Repeat) => Ok(body),
                (_, AfterBody::End) => return None,
                (_, AfterBody::Break) => {
                    // Time to send the body before.
                    sleep(Duration::from_millis(20)).await;
                    Err(io::Error::other("broken"))
                }
                (_, AfterBody::Silence) => std::future::pending().await,
            };
            Some((piece, (turn + 1, open)))
        }
    });
    Body::from_stream(pieces.boxed())
}
