//! Servers that fail, are slow, malicious, or unreachable.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use quire_openai_engine::{OpenAiEngine, OpenAiEngineError, OpenAiEngineSettings, ResponseFlaw};
use quire_tasks::{FailureCode, Mode, WarningCode};
use tokio::{net::TcpListener, time::timeout};

use crate::{
    SHORT_TIMEOUT, engine_at,
    fake_server::{AfterBody, FakeServer, JSON, Reply, STREAM, chunk, recorded_bytes},
    hasty_engine_at, page, settings,
};

const HTML: &str = "<html><body>very-secret text of a page</body></html>";

async fn read_error(reply: Reply) -> OpenAiEngineError {
    let server = FakeServer::always(reply).await;
    let error = hasty_engine_at(server.address).read(&page(), &Mode::Text).await.expect_err("no page");
    let text = format!("{error} {error:?} {}", error.failure());
    assert!(text.contains(&server.address.to_string()) && !text.contains("secret"), "{text}");
    assert!(!error.failure().message.contains(&server.address.to_string()), "the failure does not name the server");
    error
}

async fn flaw(reply: Reply) -> ResponseFlaw {
    match read_error(reply).await {
        OpenAiEngineError::InvalidResponse { flaw, .. } => flaw,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_failing_server_is_unavailable() {
    for reply in [
        Reply::new(500, "text/html", HTML),
        Reply::new(500, "text/html", HTML).then(AfterBody::Repeat),
        Reply::new(502, "text/html", HTML).then(AfterBody::Break),
        Reply::new(503, "text/html", HTML).then(AfterBody::Silence),
        Reply::recorded(500, "transformers/broken-image.txt"),
    ] {
        let error = read_error(reply).await;
        assert!(matches!(error, OpenAiEngineError::Unavailable { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_response_that_is_not_a_completion_is_invalid() {
    assert_eq!(flaw(Reply::new(200, "text/html", HTML)).await, ResponseFlaw::ContentType);
    assert_eq!(flaw(Reply::new(200, JSON, HTML)).await, ResponseFlaw::Format);
    assert_eq!(flaw(Reply::new(200, JSON, "{}")).await, ResponseFlaw::Format);
    assert_eq!(flaw(Reply::new(200, JSON, r#"{"choices":[]}"#)).await, ResponseFlaw::Format);
    assert_eq!(flaw(Reply::new(200, JSON, vec![0xFF; 100])).await, ResponseFlaw::Format);
    assert_eq!(flaw(Reply::new(200, STREAM, format!("data: {HTML}\n\n"))).await, ResponseFlaw::Format);
    assert_eq!(flaw(Reply::new(204, JSON, "")).await, ResponseFlaw::Format);
}

#[tokio::test]
async fn an_unreachable_server_is_unavailable() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let error = hasty_engine_at(address).read(&page(), &Mode::Text).await.expect_err("the connection is refused");
    let is_refused =
        matches!(&error, OpenAiEngineError::Unavailable { why, saw_page: false, .. } if why.contains("refused"));
    assert!(is_refused, "{error}");
    assert_eq!(error.failure().code, FailureCode::ModelFailed);
}

#[tokio::test]
async fn a_server_without_a_response_is_unavailable_after_the_timeout() {
    for reply in [
        Reply::stream(&["a"]).after(Duration::from_mins(1)),
        Reply::new(200, STREAM, "").then(AfterBody::Silence),
        Reply::new(200, STREAM, chunk("", None)).then(AfterBody::Silence),
        Reply::new(200, JSON, "").then(AfterBody::Silence),
    ] {
        let started = Instant::now();
        let error = read_error(reply).await;
        assert!(matches!(error, OpenAiEngineError::Unavailable { .. }), "{error}");
        assert!((SHORT_TIMEOUT..2 * SHORT_TIMEOUT).contains(&started.elapsed()), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_stalled_completion_times_out() {
    let reply = Reply::new(200, STREAM, chunk("a", None)).then(AfterBody::Silence);
    let error = read_error(reply).await;
    assert!(matches!(error, OpenAiEngineError::InvalidResponse { flaw: ResponseFlaw::TimedOut, .. }), "{error}");
    assert_eq!(error.failure().code, FailureCode::TimedOut);
}

#[tokio::test]
async fn a_truncated_completion_is_detected() {
    let whole = recorded_bytes("vllm/invoice.sse");
    let reason = br#""finish_reason":"stop""#;
    let end = whole.windows(reason.len()).position(|part| part == reason).expect("the recording has a finish reason");
    let parts = (1..end).step_by(211).map(|length| Reply::new(200, STREAM, whole[..length].to_vec()));
    let flaws = join_all(parts.flat_map(|part| [flaw(part.clone()), flaw(part.then(AfterBody::Break))])).await;
    assert!(flaws.len() > 20 && flaws.iter().all(|flaw| *flaw == ResponseFlaw::Truncated), "{flaws:?}");
    // After the finish reason, nothing is missing.
    let reply =
        Reply::new(200, STREAM, whole[..whole.len() - "data: [DONE]\n\n".len()].to_vec()).then(AfterBody::Break);
    let server = FakeServer::always(reply).await;
    assert_eq!(hasty_engine_at(server.address).read(&page(), &Mode::Text).await.expect("a page").lines.len(), 3);
}

#[tokio::test]
async fn a_closed_connection_is_retried() {
    let broken = Reply::new(200, STREAM, chunk("a", None)).then(AfterBody::Break);
    let server = FakeServer::start(vec![broken, Reply::new(500, "text/html", HTML), Reply::stream(&["b"])]).await;
    assert_eq!(engine_at(server.address).read(&page(), &Mode::Text).await.expect("a page").text(), "b");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn an_endless_response_is_aborted() {
    let settings = |server: &FakeServer| OpenAiEngineSettings { max_tokens: 8, ..settings(server.address) };
    // Longer than the text that is checked for repetitions.
    let text = chunk(&(0..200).map(|number| number.to_string()).collect::<String>(), None);
    for reply in [
        Reply::new(200, STREAM, text).then(AfterBody::Repeat),
        Reply::new(200, STREAM, ": ping\n\n").then(AfterBody::Repeat),
        Reply::new(200, STREAM, "data: x").then(AfterBody::Repeat),
        Reply::new(200, JSON, r#"{"choices": "#).then(AfterBody::Repeat),
    ] {
        let server = FakeServer::always(reply).await;
        let client = OpenAiEngine::new(settings(&server)).expect("valid settings");
        let error = client.read(&page(), &Mode::Text).await.expect_err("the response is endless");
        assert!(matches!(error, OpenAiEngineError::InvalidResponse { flaw: ResponseFlaw::TooLarge, .. }), "{error}");
        assert!(server.has_no_open_response().await);
    }
}

#[tokio::test]
async fn a_repetition_closes_the_connection() {
    let reply = Reply::new(200, STREAM, chunk("round and round ", None)).then(AfterBody::Repeat);
    let server = FakeServer::always(reply).await;
    let page = engine_at(server.address).read(&page(), &Mode::Text).await.expect("a page");
    assert_eq!(page.warning_codes(), [WarningCode::Repetition]);
    assert!((1..100).contains(&page.text().len()), "{} bytes are left", page.text().len());
    assert!(server.has_no_open_response().await, "the slot of the server is free");
}

#[tokio::test]
async fn a_dropped_read_closes_the_connection() {
    let server = FakeServer::always(Reply::new(200, STREAM, chunk("a", None)).then(AfterBody::Silence)).await;
    let client = engine_at(server.address);
    let (page, mode) = (page(), Mode::Text);
    assert!(timeout(Duration::from_millis(300), client.read(&page, &mode)).await.is_err());
    assert_eq!(server.requests().len(), 1);
    assert!(server.has_no_open_response().await);
}

#[tokio::test]
async fn retry_after_is_honored() {
    let busy = Reply::new(429, JSON, "{}").with("retry-after", "1");
    let server = FakeServer::start(vec![busy, Reply::stream(&["a"])]).await;
    let started = Instant::now();
    assert_eq!(engine_at(server.address).read(&page(), &Mode::Text).await.expect("a page").text(), "a");
    assert!((1_000..4_000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_retry_after_beyond_the_timeout_is_throttled() {
    for (status, wait, expected) in [(429, Some("600"), Some(600)), (503, Some("600"), Some(600)), (429, None, None)] {
        let reply = Reply::new(status, JSON, "{}");
        let reply = wait.map_or(reply.clone(), |wait| reply.with("retry-after", wait));
        let started = Instant::now();
        let error = read_error(reply).await;
        let retry_after = expected.map(Duration::from_secs);
        assert!(
            matches!(error, OpenAiEngineError::Throttled { retry_after: wait, .. } if wait == retry_after),
            "{error:?}"
        );
        assert!(wait.is_none() || started.elapsed() < SHORT_TIMEOUT, "it does not wait beyond the timeout");
    }
}

#[tokio::test]
async fn a_server_that_fails_on_one_page_only_is_available() {
    let failing = Reply::new(500, "text/html", HTML).after(Duration::from_millis(250));
    let server = FakeServer::start(vec![failing.clone(), Reply::stream(&["a"]), failing]).await;
    let client = hasty_engine_at(server.address);
    let (page, mode) = (page(), Mode::Text);
    let (bad, good) = tokio::join!(client.read(&page, &mode), async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        client.read(&page, &mode).await
    });
    assert!(good.is_ok());
    let bad = bad.expect_err("the server fails on this page");
    assert!(matches!(bad, OpenAiEngineError::InvalidResponse { flaw: ResponseFlaw::Status(500), .. }), "{bad}");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other_server = FakeServer::always(Reply::stream(&["a"])).await;
    let location = format!("http://{}/v1/chat/completions", other_server.address);
    let error = read_error(Reply::new(307, JSON, "{}").with("location", location)).await;
    assert!(matches!(error, OpenAiEngineError::Unavailable { .. }), "{error}");
    assert!(other_server.requests().is_empty());
}
