//! The client against real receivers on loopback, and against a resolver that lies.

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
use quire_egress::{Client, FetchError, HeaderMap, HeaderValue, Policy, PostError, Refused, Resolve, Url};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const SOON: Duration = Duration::from_secs(10);
const DEV: Policy = Policy { allow_loopback_http: true };
const LOOPBACK: &str = "127.0.0.1";

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Answers every connection with these bytes and closes it.
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
    Client::new(DEV).expect("a client")
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("a URL")
}

struct Room {
    dir: TempDir,
}

impl Room {
    fn new() -> Self {
        Self { dir: TempDir::new().expect("a folder") }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("fetched")
    }
}

async fn fetch(client: &Client, text: &str, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
    let room = Room::new();
    let bytes = client.fetch(&url(text), max_bytes, SOON, &room.file()).await?;
    let kept = std::fs::read(room.file())?;
    assert_eq!(kept.len() as u64, bytes);
    Ok(kept)
}

fn endless() -> Body {
    Body::from_stream(stream::repeat_with(|| io::Result::Ok(vec![b'x'; 8192])))
}

#[tokio::test]
async fn a_document_is_fetched_to_the_last_byte_that_is_allowed() {
    let address = serve(Router::new().route("/a", get(|| async { "0123456789" }))).await;
    let text = format!("http://{address}/a");
    assert_eq!(fetch(&client(), &text, 10).await.expect("it fits"), b"0123456789");
    assert!(matches!(fetch(&client(), &text, 9).await, Err(FetchError::TooLarge { limit: 9 })));
}

#[tokio::test]
async fn an_endless_document_is_cut_off_at_the_limit() {
    let address = serve(Router::new().route("/", get(|| async { endless() }))).await;
    let room = Room::new();
    let ended = client().fetch(&url(&format!("http://{address}/")), 100_000, SOON, &room.file()).await;
    assert!(matches!(ended, Err(FetchError::TooLarge { limit: 100_000 })));
    assert!(std::fs::metadata(room.file()).expect("a file").len() <= 100_000);
}

#[tokio::test]
async fn a_document_that_ends_before_its_announced_length_is_not_taken_for_whole() {
    let address = serve_raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this").await;
    let ended = fetch(&client(), &format!("http://{address}/"), 1000).await;
    assert!(matches!(&ended, Err(error @ FetchError::Unreachable { .. }) if error.is_transient()), "{ended:?}");
}

#[tokio::test]
async fn a_document_that_trickles_hits_the_time_limit() {
    let trickle = || async {
        Body::from_stream(stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((io::Result::Ok("x"), ()))
        }))
    };
    let address = serve(Router::new().route("/", get(trickle))).await;
    let room = Room::new();
    let within = Duration::from_millis(300);
    let started = Instant::now();
    let ended = client().fetch(&url(&format!("http://{address}/")), 1_000_000, within, &room.file()).await;
    assert!(matches!(&ended, Err(error @ FetchError::TimedOut { .. }) if error.is_transient()), "{ended:?}");
    assert!(started.elapsed() < SOON / 2);
}

#[tokio::test]
async fn only_a_status_that_says_not_now_is_worth_a_retry() {
    let router = Router::new()
        .route("/gone", get(|| async { StatusCode::GONE }))
        .route("/empty", get(|| async { StatusCode::NO_CONTENT }))
        .route("/busy", get(|| async { StatusCode::SERVICE_UNAVAILABLE }));
    let address = serve(router).await;
    for (path, status, transient) in [("gone", 410, false), ("empty", 204, false), ("busy", 503, true)] {
        let error = fetch(&client(), &format!("http://{address}/{path}"), 10).await.expect_err("no document");
        assert!(matches!(error, FetchError::Status(found) if found == status), "{error:?}");
        assert_eq!(error.is_transient(), transient, "{path}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&visits);
    let redirect = || async { (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/inside")]) };
    let inside = move || async move { counted.fetch_add(1, Ordering::Relaxed).to_string() };
    let router =
        Router::new().route("/", get(redirect).post(redirect)).route("/inside", get(inside.clone()).post(inside));
    let text = format!("http://{}/", serve(router).await);
    assert!(matches!(fetch(&client(), &text, 10).await, Err(FetchError::Status(307))));
    let answer = client().post(&url(&text), HeaderMap::new(), "x".into(), SOON).await.expect("an answer");
    assert_eq!(answer.status, 307);
    assert_eq!(visits.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_post_carries_its_headers_and_brings_back_the_answer() {
    let echo = |headers: ServerHeaders, body: String| async move {
        let greeting = headers["x-greeting"].to_str().unwrap_or_default().to_owned();
        let agent = headers["user-agent"].to_str().unwrap_or_default().to_owned();
        let retry = [(header::RETRY_AFTER, "7")];
        (StatusCode::TOO_MANY_REQUESTS, retry, format!("{greeting} {body} {agent}")).into_response()
    };
    let address = serve(Router::new().route("/", post(echo))).await;
    let headers = HeaderMap::from_iter([("x-greeting".parse().expect("a name"), HeaderValue::from_static("hello"))]);
    let posted = client().post(&url(&format!("http://{address}/")), headers, "world".into(), SOON).await;
    let answer = posted.expect("an answer");
    assert_eq!((answer.status, answer.retry_after), (429, Some(Duration::from_secs(7))));
    assert!(answer.excerpt.starts_with("hello world quire/"), "{}", answer.excerpt);
}

#[tokio::test]
async fn an_answer_without_end_is_still_an_answer() {
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
    let within = Duration::from_millis(500);
    let post = async |path: &str| {
        let target = url(&format!("http://{address}/{path}"));
        client().post(&target, HeaderMap::new(), "x".into(), within).await.expect("an answer")
    };
    let endless = post("endless").await;
    assert_eq!((endless.status, endless.excerpt), (200, "x".repeat(1024)));
    let stalled = post("stalled").await;
    assert_eq!((stalled.status, stalled.excerpt), (200, "thanks".to_owned()));
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_hits_the_time_limit() {
    let address = serve(Router::new().route("/", post(std::future::pending::<()>))).await;
    let target = url(&format!("http://{address}/"));
    let ended = client().post(&target, HeaderMap::new(), "x".into(), Duration::from_millis(200)).await;
    assert!(matches!(&ended, Err(error @ PostError::TimedOut { .. }) if error.is_transient()), "{ended:?}");
}

#[tokio::test]
async fn nobody_listening_is_worth_a_retry_and_no_error_repeats_the_path() {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let error = fetch(&client(), &format!("http://{address}/secret?token=secret"), 10).await.expect_err("nobody");
    assert!(matches!(error, FetchError::Unreachable { .. }) && error.is_transient());
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[tokio::test]
async fn https_is_not_spoken_with_whoever_answers_in_plain_text() {
    let address = serve(Router::new().route("/", get(|| async { "plain" }))).await;
    let ended = fetch(&client(), &format!("https://{address}/"), 10).await;
    assert!(matches!(ended, Err(FetchError::Unreachable { .. })), "{ended:?}");
}

/// Answers each look-up with the next of these, and the last for ever.
#[derive(Debug)]
struct Answers(Mutex<Vec<Vec<IpAddr>>>);

#[async_trait]
impl Resolve for Answers {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let mut answers = self.0.lock().expect("no test panics here");
        Ok(if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() })
    }
}

fn resolving(policy: Policy, answers: &[&[&str]]) -> Client {
    let parse = |answer: &&[&str]| answer.iter().map(|ip| ip.parse().expect("an address")).collect();
    let answers = Answers(Mutex::new(answers.iter().map(parse).collect()));
    Client::with_resolver(policy, Arc::new(answers)).expect("a client")
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_refused_as_we_connect() {
    for private in ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "fd00::1"] {
        let client = resolving(Policy::default(), &[&[private]]);
        let target = client.check("https://innocent.example.com/secret").expect("nothing to be seen at the door");
        let room = Room::new();
        let fetched = client.fetch(&target, 10, SOON, &room.file()).await;
        assert!(matches!(&fetched, Err(FetchError::Refused(Refused::Address { .. }))), "{private}: {fetched:?}");
        assert!(!fetched.is_err_and(|error| error.is_transient()));
        let posted = client.post(&target, HeaderMap::new(), "x".into(), SOON).await;
        let error = posted.expect_err("refused");
        assert!(error.to_string().starts_with("innocent.example.com is refused: "), "{error}");
    }
}

#[tokio::test]
async fn an_address_is_refused_when_the_request_is_made_even_if_nobody_checked_before() {
    let address = serve(Router::new().route("/", get(|| async { "inside" }))).await;
    let client = Client::new(Policy::default()).expect("a client");
    let room = Room::new();
    let plain = client.fetch(&url(&format!("http://{address}/")), 10, SOON, &room.file()).await;
    assert!(matches!(plain, Err(FetchError::Refused(Refused::Scheme))), "{plain:?}");
    let literal = client.fetch(&url(&format!("https://{address}/")), 10, SOON, &room.file()).await;
    assert!(matches!(literal, Err(FetchError::Refused(Refused::Address { .. }))), "{literal:?}");
}

#[tokio::test]
async fn a_name_is_followed_only_to_its_permitted_addresses_and_asked_for_anew_each_time() {
    let address = serve(Router::new().route("/", get(|| async { "outside" }))).await;
    let client = resolving(DEV, &[&["10.0.0.1", LOOPBACK], &["10.0.0.1"]]);
    // Plain HTTP goes to names for loopback only.
    let text = format!("http://receiver.localhost:{}/", address.port());
    assert_eq!(fetch(&client, &text, 10).await.expect("one address is permitted"), b"outside");
    let ended = fetch(&client, &text, 10).await;
    assert!(matches!(ended, Err(FetchError::Refused(Refused::Address { .. }))), "{ended:?}");
}

#[tokio::test]
async fn a_name_for_loopback_that_leads_elsewhere_is_refused() {
    let client = resolving(DEV, &[&["93.184.215.14"]]);
    let ended = fetch(&client, "http://localhost:8080/", 10).await;
    assert!(matches!(ended, Err(FetchError::Refused(Refused::Address { .. }))), "{ended:?}");
}
