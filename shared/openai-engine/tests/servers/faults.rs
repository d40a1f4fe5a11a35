//! Servers that are broken, slow, hostile, or not there.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use quire_openai_engine::{Flaw, Remote, RemoteError, RemoteSettings};
use quire_tasks::{FailureCode, Mode, Warning};
use tokio::{net::TcpListener, time::timeout};

use crate::{
    HASTE, hasty, page, remote, settings,
    stand_in::{JSON, Reply, STREAM, StandIn, Then, bytes_of, chunk},
};

const HTML: &str = "<html><body>very-secret text of a page</body></html>";

async fn error(reply: Reply) -> RemoteError {
    let server = StandIn::always(reply).await;
    let error = hasty(server.address).read(&page(), &Mode::Text).await.expect_err("no page");
    let said = format!("{error} {error:?} {}", error.failure());
    assert!(said.contains(&server.address.to_string()) && !said.contains("secret"), "{said}");
    assert!(!error.failure().message.contains(&server.address.to_string()), "customers know nothing of servers");
    error
}

async fn flaw(reply: Reply) -> Flaw {
    match error(reply).await {
        RemoteError::BadAnswer { flaw, .. } => flaw,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_broken_server_is_unavailable() {
    for reply in [
        Reply::new(500, "text/html", HTML),
        Reply::new(500, "text/html", HTML).then(Then::Repeat),
        Reply::new(502, "text/html", HTML).then(Then::Break),
        Reply::new(503, "text/html", HTML).then(Then::Silence),
        Reply::recorded(500, "transformers/broken-image.txt"),
    ] {
        let error = error(reply).await;
        assert!(matches!(error, RemoteError::Unavailable { .. }), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_completion_is_no_answer() {
    assert_eq!(flaw(Reply::new(200, "text/html", HTML)).await, Flaw::Kind);
    assert_eq!(flaw(Reply::new(200, JSON, HTML)).await, Flaw::Form);
    assert_eq!(flaw(Reply::new(200, JSON, "{}")).await, Flaw::Form);
    assert_eq!(flaw(Reply::new(200, JSON, r#"{"choices":[]}"#)).await, Flaw::Form);
    assert_eq!(flaw(Reply::new(200, JSON, vec![0xFF; 100])).await, Flaw::Form);
    assert_eq!(flaw(Reply::new(200, STREAM, format!("data: {HTML}\n\n"))).await, Flaw::Form);
    assert_eq!(flaw(Reply::new(204, JSON, "")).await, Flaw::Form);
}

#[tokio::test]
async fn nobody_there_is_unavailable_at_once() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let error = hasty(address).read(&page(), &Mode::Text).await.expect_err("nobody");
    let nobody = matches!(&error, RemoteError::Unavailable { why, saw_page: false, .. } if why.contains("refused"));
    assert!(nobody, "{error}");
    assert_eq!(error.failure().code, FailureCode::ModelFailed);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_unavailable_when_the_pages_time_is_over() {
    for reply in [
        Reply::stream(&["a"]).after(Duration::from_mins(1)),
        Reply::new(200, STREAM, "").then(Then::Silence),
        Reply::new(200, STREAM, chunk("", None)).then(Then::Silence),
        Reply::new(200, JSON, "").then(Then::Silence),
    ] {
        let started = Instant::now();
        let error = error(reply).await;
        assert!(matches!(error, RemoteError::Unavailable { .. }), "{error}");
        assert!((HASTE..2 * HASTE).contains(&started.elapsed()), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn an_answer_that_stops_growing_was_not_complete_in_time() {
    let reply = Reply::new(200, STREAM, chunk("a", None)).then(Then::Silence);
    let error = error(reply).await;
    assert!(matches!(error, RemoteError::BadAnswer { flaw: Flaw::TooSlow, .. }), "{error}");
    assert_eq!(error.failure().code, FailureCode::TimedOut);
}

#[tokio::test]
async fn no_part_of_an_answer_passes_for_the_whole() {
    let whole = bytes_of("vllm/invoice.sse");
    let reason = br#""finish_reason":"stop""#;
    let end = whole.windows(reason.len()).position(|part| part == reason).expect("it has an end");
    let parts = (1..end).step_by(211).map(|length| Reply::new(200, STREAM, whole[..length].to_vec()));
    let flaws = join_all(parts.flat_map(|part| [flaw(part.clone()), flaw(part.then(Then::Break))])).await;
    assert!(flaws.len() > 20 && flaws.iter().all(|flaw| *flaw == Flaw::CutShort), "{flaws:?}");
    // Behind the reason of its end, nothing is missed.
    let reply = Reply::new(200, STREAM, whole[..whole.len() - "data: [DONE]\n\n".len()].to_vec()).then(Then::Break);
    let server = StandIn::always(reply).await;
    assert_eq!(hasty(server.address).read(&page(), &Mode::Text).await.expect("a page").lines.len(), 3);
}

#[tokio::test]
async fn a_broken_connection_is_tried_again() {
    let broken = Reply::new(200, STREAM, chunk("a", None)).then(Then::Break);
    let server = StandIn::start(vec![broken, Reply::new(500, "text/html", HTML), Reply::stream(&["b"])]).await;
    assert_eq!(remote(server.address).read(&page(), &Mode::Text).await.expect("a page").text(), "b");
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn an_answer_without_an_end_is_left() {
    let settings = |server: &StandIn| RemoteSettings { max_tokens: 8, ..settings(server.address) };
    // Longer than what counts as going round in circles.
    let text = chunk(&(0..200).map(|number| number.to_string()).collect::<String>(), None);
    for reply in [
        Reply::new(200, STREAM, text).then(Then::Repeat),
        Reply::new(200, STREAM, ": ping\n\n").then(Then::Repeat),
        Reply::new(200, STREAM, "data: x").then(Then::Repeat),
        Reply::new(200, JSON, r#"{"choices": "#).then(Then::Repeat),
    ] {
        let server = StandIn::always(reply).await;
        let client = Remote::new(settings(&server)).expect("a client");
        let error = client.read(&page(), &Mode::Text).await.expect_err("no end");
        assert!(matches!(error, RemoteError::BadAnswer { flaw: Flaw::Endless, .. }), "{error}");
        assert!(server.is_left_alone().await);
    }
}

#[tokio::test]
async fn an_answer_that_goes_round_in_circles_is_hung_up_on() {
    let reply = Reply::new(200, STREAM, chunk("round and round ", None)).then(Then::Repeat);
    let server = StandIn::always(reply).await;
    let page = remote(server.address).read(&page(), &Mode::Text).await.expect("a page");
    assert_eq!(page.warnings, [Warning::Repetition]);
    assert!((1..100).contains(&page.text().len()), "{} bytes are left", page.text().len());
    assert!(server.is_left_alone().await, "its slot is free");
}

#[tokio::test]
async fn a_page_that_nobody_waits_for_is_hung_up_on() {
    let server = StandIn::always(Reply::new(200, STREAM, chunk("a", None)).then(Then::Silence)).await;
    let client = remote(server.address);
    let (page, mode) = (page(), Mode::Text);
    assert!(timeout(Duration::from_millis(300), client.read(&page, &mode)).await.is_err());
    assert_eq!(server.asked().len(), 1);
    assert!(server.is_left_alone().await);
}

#[tokio::test]
async fn a_server_that_is_busy_is_waited_for_as_long_as_it_asks() {
    let busy = Reply::new(429, JSON, "{}").with("retry-after", "1");
    let server = StandIn::start(vec![busy, Reply::stream(&["a"])]).await;
    let started = Instant::now();
    assert_eq!(remote(server.address).read(&page(), &Mode::Text).await.expect("a page").text(), "a");
    assert!((1_000..4_000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_server_that_is_busy_for_longer_than_a_page_has_is_left_to_it() {
    for (status, wait, expected) in [(429, Some("600"), Some(600)), (503, Some("600"), Some(600)), (429, None, None)] {
        let reply = Reply::new(status, JSON, "{}");
        let reply = wait.map_or(reply.clone(), |wait| reply.with("retry-after", wait));
        let started = Instant::now();
        let error = error(reply).await;
        let retry_after = expected.map(Duration::from_secs);
        assert!(matches!(error, RemoteError::Throttled { retry_after: wait, .. } if wait == retry_after), "{error:?}");
        assert!(wait.is_none() || started.elapsed() < HASTE, "it waited in vain");
    }
}

#[tokio::test]
async fn a_server_that_fails_on_one_page_and_reads_others_is_not_broken() {
    let failing = Reply::new(500, "text/html", HTML).after(Duration::from_millis(250));
    let server = StandIn::start(vec![failing.clone(), Reply::stream(&["a"]), failing]).await;
    let client = hasty(server.address);
    let (page, mode) = (page(), Mode::Text);
    let (bad, good) = tokio::join!(client.read(&page, &mode), async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        client.read(&page, &mode).await
    });
    assert!(good.is_ok());
    let bad = bad.expect_err("the page that it fails on");
    assert!(matches!(bad, RemoteError::BadAnswer { flaw: Flaw::Status(500), .. }), "{bad}");
}

#[tokio::test]
async fn nobody_is_sent_elsewhere() {
    let elsewhere = StandIn::always(Reply::stream(&["a"])).await;
    let there = format!("http://{}/v1/chat/completions", elsewhere.address);
    let error = error(Reply::new(307, JSON, "{}").with("location", there)).await;
    assert!(matches!(error, RemoteError::Unavailable { .. }), "{error}");
    assert!(elsewhere.asked().is_empty());
}
