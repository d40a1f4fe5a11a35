//! The client with real servers on loopback, and with a resolver that returns private addresses.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use axum::{
    Router,
    body::Body,
    http::{HeaderMap as ServerHeaders, StatusCode, header},
    response::IntoResponse,
    routing::{get, post},
};
use futures_util::stream;
use quire_egress::{Client, EgressPolicy, FetchError, HeaderMap, HeaderValue, PostError, Resolve, Url, UrlRefused};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const TIMEOUT: Duration = Duration::from_secs(10);
const DEVELOPMENT: EgressPolicy = EgressPolicy { allow_loopback_http: true };
const LOOPBACK: &str = "127.0.0.1";

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Sends these bytes on every connection and closes it.
async fn serve_raw(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(answer).await;
        }
    });
    address
}

fn client() -> Client {
    Client::new(DEVELOPMENT).expect("root certificates are available")
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("a valid URL")
}

struct DownloadFolder {
    dir: TempDir,
}

impl DownloadFolder {
    fn new() -> Self {
        Self { dir: TempDir::new().expect("a temporary folder") }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("fetched")
    }
}

async fn fetch(client: &Client, text: &str, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
    let folder = DownloadFolder::new();
    let bytes = client.fetch(&url(text), max_bytes, TIMEOUT, &folder.file()).await?.bytes;
    let stored = std::fs::read(folder.file())?;
    assert_eq!(stored.len() as u64, bytes);
    Ok(stored)
}

fn endless() -> Body {
    Body::from_stream(stream::repeat_with(|| io::Result::Ok(vec![b'x'; 8192])))
}

#[tokio::test]
async fn a_document_of_the_maximum_size_is_downloaded() {
    let address = serve(Router::new().route("/a", get(|| async { "0123456789" }))).await;
    let text = format!("http://{address}/a");
    assert_eq!(fetch(&client(), &text, 10).await.expect("the size is allowed"), b"0123456789");
    assert!(matches!(fetch(&client(), &text, 9).await, Err(FetchError::TooLarge { limit: 9 })));
}

#[tokio::test]
async fn an_endless_document_is_aborted_at_the_limit() {
    let address = serve(Router::new().route("/", get(|| async { endless() }))).await;
    let folder = DownloadFolder::new();
    let ended = client().fetch(&url(&format!("http://{address}/")), 100_000, TIMEOUT, &folder.file()).await;
    assert!(matches!(ended, Err(FetchError::TooLarge { limit: 100_000 })));
    assert!(std::fs::metadata(folder.file()).expect("a file").len() <= 100_000);
}

#[tokio::test]
async fn a_document_shorter_than_its_content_length_is_a_transient_error() {
    let address = serve_raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this").await;
    let ended = fetch(&client(), &format!("http://{address}/"), 1000).await;
    assert!(matches!(&ended, Err(error @ FetchError::Unreachable { .. }) if error.is_transient()), "{ended:?}");
}

#[tokio::test]
async fn a_slow_document_times_out() {
    let trickle = || async {
        Body::from_stream(stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((io::Result::Ok("x"), ()))
        }))
    };
    let address = serve(Router::new().route("/", get(trickle))).await;
    let folder = DownloadFolder::new();
    let timeout = Duration::from_millis(300);
    let started = Instant::now();
    let ended = client().fetch(&url(&format!("http://{address}/")), 1_000_000, timeout, &folder.file()).await;
    assert!(matches!(&ended, Err(error @ FetchError::TimedOut { .. }) if error.is_transient()), "{ended:?}");
    assert!(started.elapsed() < TIMEOUT / 2);
}

#[tokio::test]
async fn only_transient_statuses_are_retried() {
    let router = Router::new()
        .route("/gone", get(|| async { StatusCode::GONE }))
        .route("/empty", get(|| async { StatusCode::NO_CONTENT }))
        .route("/busy", get(|| async { StatusCode::SERVICE_UNAVAILABLE }));
    let address = serve(router).await;
    for (path, status, transient) in [("gone", 410, false), ("empty", 204, false), ("busy", 503, true)] {
        let error = fetch(&client(), &format!("http://{address}/{path}"), 10).await.expect_err("no document");
        assert!(matches!(error, FetchError::Status { status: found, .. } if found == status), "{error:?}");
        assert_eq!(error.is_transient(), transient, "{path}");
    }
}

#[tokio::test]
async fn a_redirect_of_a_post_is_not_followed() {
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&visits);
    let redirect = || async { (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/inside")]) };
    let inside = move || async move { counted.fetch_add(1, Ordering::Relaxed).to_string() };
    let router = Router::new().route("/", post(redirect)).route("/inside", get(inside.clone()).post(inside));
    let text = format!("http://{}/", serve(router).await);
    let answer = client().post(&url(&text), HeaderMap::new(), "x".into(), TIMEOUT).await.expect("an answer");
    assert_eq!(answer.status, 307);
    assert_eq!(visits.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_post_sends_headers_and_returns_the_response() {
    let echo = |headers: ServerHeaders, body: String| async move {
        let greeting = headers["x-greeting"].to_str().unwrap_or_default().to_owned();
        let agent = headers["user-agent"].to_str().unwrap_or_default().to_owned();
        let retry = [(header::RETRY_AFTER, "7")];
        (StatusCode::TOO_MANY_REQUESTS, retry, format!("{greeting} {body} {agent}")).into_response()
    };
    let address = serve(Router::new().route("/", post(echo))).await;
    let headers = HeaderMap::from_iter([("x-greeting".parse().expect("a name"), HeaderValue::from_static("hello"))]);
    let posted = client().post(&url(&format!("http://{address}/")), headers, "world".into(), TIMEOUT).await;
    let answer = posted.expect("an answer");
    assert_eq!((answer.status, answer.retry_after), (429, Some(Duration::from_secs(7))));
    assert!(answer.excerpt.starts_with("hello world quire/"), "{}", answer.excerpt);
}

#[tokio::test]
async fn an_endless_response_is_still_a_response() {
    let stalled = || async {
        Body::from_stream(stream::unfold(true, |first| async move {
            if !first {
                std::future::pending::<()>().await;
            }
            Some((io::Result::Ok("thanks"), false))
        }))
    };
    let router = Router::new().route("/endless", post(|| async { endless() })).route("/stalled", post(stalled));
    let address = serve(router).await;
    let timeout = Duration::from_millis(500);
    let post = async |path: &str| {
        let target = url(&format!("http://{address}/{path}"));
        client().post(&target, HeaderMap::new(), "x".into(), timeout).await.expect("an answer")
    };
    let endless = post("endless").await;
    assert_eq!((endless.status, endless.excerpt), (200, "x".repeat(1024)));
    let stalled = post("stalled").await;
    assert_eq!((stalled.status, stalled.excerpt), (200, "thanks".to_owned()));
}

#[tokio::test]
async fn a_receiver_without_a_response_times_out() {
    let address = serve(Router::new().route("/", post(std::future::pending::<()>))).await;
    let target = url(&format!("http://{address}/"));
    let ended = client().post(&target, HeaderMap::new(), "x".into(), Duration::from_millis(200)).await;
    assert!(matches!(&ended, Err(error @ PostError::TimedOut { .. }) if error.is_transient()), "{ended:?}");
}

#[tokio::test]
async fn a_refused_connection_is_transient_and_its_error_has_no_path() {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let error = fetch(&client(), &format!("http://{address}/secret?token=secret"), 10)
        .await
        .expect_err("the connection is refused");
    assert!(matches!(error, FetchError::Unreachable { .. }) && error.is_transient());
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[tokio::test]
async fn a_plain_text_response_to_https_is_an_error() {
    let address = serve(Router::new().route("/", get(|| async { "plain" }))).await;
    let ended = fetch(&client(), &format!("https://{address}/"), 10).await;
    assert!(matches!(ended, Err(FetchError::Unreachable { .. })), "{ended:?}");
}

/// Returns the next addresses at each lookup, and repeats the last ones.
#[derive(Debug)]
struct ScriptedResolver(Mutex<Vec<Vec<IpAddr>>>);

#[async_trait]
impl Resolve for ScriptedResolver {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let mut answers = self.0.lock().expect("the lock is not poisoned");
        Ok(if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() })
    }
}

fn resolving(policy: EgressPolicy, answers: &[&[&str]]) -> Client {
    let parse = |answer: &&[&str]| answer.iter().map(|ip| ip.parse().expect("an address")).collect();
    let answers = ScriptedResolver(Mutex::new(answers.iter().map(parse).collect()));
    Client::with_resolver(policy, Arc::new(answers)).expect("root certificates are available")
}

#[tokio::test]
async fn a_name_with_a_private_address_is_refused_at_the_connection() {
    for private in ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "fd00::1"] {
        let client = resolving(EgressPolicy::default(), &[&[private]]);
        let target = client.check("https://innocent.example.com/secret").expect("the text of the URL is valid");
        let folder = DownloadFolder::new();
        let fetched = client.fetch(&target, 10, TIMEOUT, &folder.file()).await;
        assert!(matches!(&fetched, Err(FetchError::Refused(UrlRefused::Address { .. }))), "{private}: {fetched:?}");
        assert!(!fetched.is_err_and(|error| error.is_transient()));
        let posted = client.post(&target, HeaderMap::new(), "x".into(), TIMEOUT).await;
        let error = posted.expect_err("refused");
        assert!(error.to_string().starts_with("innocent.example.com is refused: "), "{error}");
    }
}

#[tokio::test]
async fn a_request_checks_the_url_again() {
    let address = serve(Router::new().route("/", get(|| async { "inside" }))).await;
    let client = Client::new(EgressPolicy::default()).expect("root certificates are available");
    let folder = DownloadFolder::new();
    let plain = client.fetch(&url(&format!("http://{address}/")), 10, TIMEOUT, &folder.file()).await;
    assert!(matches!(plain, Err(FetchError::Refused(UrlRefused::Scheme))), "{plain:?}");
    let literal = client.fetch(&url(&format!("https://{address}/")), 10, TIMEOUT, &folder.file()).await;
    assert!(matches!(literal, Err(FetchError::Refused(UrlRefused::Address { .. }))), "{literal:?}");
}

#[tokio::test]
async fn only_allowed_addresses_are_used_and_every_request_resolves_again() {
    let address = serve(Router::new().route("/", get(|| async { "outside" }))).await;
    let client = resolving(DEVELOPMENT, &[&["10.0.0.1", LOOPBACK], &["10.0.0.1"]]);
    // Plain HTTP is allowed only for localhost names.
    let text = format!("http://receiver.localhost:{}/", address.port());
    assert_eq!(fetch(&client, &text, 10).await.expect("one address is allowed"), b"outside");
    let ended = fetch(&client, &text, 10).await;
    assert!(matches!(ended, Err(FetchError::Refused(UrlRefused::Address { .. }))), "{ended:?}");
}

#[tokio::test]
async fn a_localhost_name_with_a_public_address_is_refused() {
    let client = resolving(DEVELOPMENT, &[&["93.184.215.14"]]);
    let ended = fetch(&client, "http://localhost:8080/", 10).await;
    assert!(matches!(ended, Err(FetchError::Refused(UrlRefused::Address { .. }))), "{ended:?}");
}
