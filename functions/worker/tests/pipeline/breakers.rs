//! What happens while a server does not read, and afterwards.

use std::time::Duration;

use quire_platform::{
    QueueName,
    engine_status::{pause, probe, resume},
};
use quire_tasks::{BreakerState, FallbackReason, OperatorNote, PageStatus, TaskStatus};

use crate::{
    routes::Colors,
    server::Server,
    stage::{Stage, WHITE, name, now, routed},
};

/// It asks for a key that it is not shown: no retry helps.
const OUT_OF_ORDER: u16 = 401;

/// The server as `a@1`, PP-OCR as `b@1`, and a breaker that opens after three failures.
fn before(server: &Server, route: &str, open_secs: f64) -> Stage {
    let config = format!(
        r#"{{"engines": {{"a@1": {}, "b@1": {{"kind": "pp-ocr"}}}},
            "routes": [{{"modes": ["text"], "primary": "a@1"{route}}}],
            "breaker": {{"min_calls": 3, "open_secs": {open_secs}}}}}"#,
        server.entry()
    );
    routed(&config, |entry| Colors::engine(entry, 0.0))
}

fn note(reason: &str) -> OperatorNote {
    OperatorNote { reason: reason.to_owned(), by: "a test".to_owned(), at: now() }
}

async fn state(stage: &Stage, wanted: BreakerState) {
    stage.until("the engine's state", |board| board.state(&name("a@1"), now()) == wanted).await;
}

/// How often each message is received when all are, once they are visible.
async fn attempts(stage: &Stage, messages: usize) -> Vec<u32> {
    let queue = stage.backend.queue(QueueName::Pages);
    let mut attempts = Vec::new();
    while attempts.len() < messages {
        let received = queue.receive(messages, Duration::from_secs(10)).await.expect("received");
        assert!(!received.is_empty(), "in time");
        attempts.extend(received.iter().map(|received| received.attempt));
    }
    attempts.sort_unstable();
    attempts
}

#[tokio::test]
async fn while_a_breaker_is_open_nothing_is_received_and_no_attempt_is_spent() {
    let server = Server::start(OUT_OF_ORDER).await;
    let stage = before(&server, "", 6.0);
    let task = stage.submit(&[WHITE; 20]).await;
    let (running, shutdown) = stage.work();
    state(&stage, BreakerState::Open).await;
    let why = stage.board().await.reason(&name("a@1"), now()).map(str::to_owned).unwrap_or_default();
    assert!(why.contains("another key"), "{why}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(server.calls(), 1, "it is left alone");
    let depth = stage.backend.queue(QueueName::Pages).depth().await.expect("a depth");
    assert_eq!(depth.in_flight, 0, "nothing is received");
    shutdown.cancel();
    assert!(running.await.expect("no panic").is_ok());
    assert_eq!(stage.backend.tasks.task(task.id).await.expect("a task").counts.open, 20);
    // The first opened the breaker: nobody has seen it. Its message is delayed for as long as the breaker would have been
    // open.
    assert_eq!(attempts(&stage, 19).await, [1; 19]);
}

#[tokio::test]
async fn a_server_that_comes_back_reads_everything() {
    let server = Server::start(OUT_OF_ORDER).await;
    let stage = before(&server, "", 0.2);
    let task = stage.submit(&[WHITE; 12]).await;
    let (_running, _shutdown) = stage.work();
    state(&stage, BreakerState::Open).await;
    server.says(200);
    let ended = stage.ended(&task).await;
    assert_eq!((ended.status(), ended.counts.succeeded), (TaskStatus::Succeeded, 12));
    state(&stage, BreakerState::Closed).await;
    stage.queue_is_empty().await;
}

#[tokio::test]
async fn while_a_breaker_is_open_the_fallback_reads() {
    let server = Server::start(OUT_OF_ORDER).await;
    let stage = before(&server, r#", "fallback": "b@1""#, 30.0);
    let task = stage.submit(&[WHITE; 12]).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
    assert_eq!(server.calls(), 1, "once is enough");
    for document in 1..=12 {
        let text = stage.text(&task, document).await;
        assert_eq!((text.engine, text.tried[0].why), (name("b@1"), FallbackReason::Unavailable));
    }
}

#[tokio::test]
async fn what_an_operator_has_paused_is_not_asked_until_it_is_resumed() {
    let server = Server::start(200).await;
    let stage = before(&server, "", 1.0);
    pause(&stage.backend, &name("a@1"), note("new weights")).await.expect("paused");
    let task = stage.submit(&[WHITE; 3]).await;
    let (_running, _shutdown) = stage.work();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let depth = stage.backend.queue(QueueName::Pages).depth().await.expect("a depth");
    assert_eq!((server.calls(), depth.ready, depth.in_flight), (0, 3, 0));
    resume(&stage.backend, &name("a@1")).await.expect("resumed");
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
}

#[tokio::test]
async fn a_pause_stops_a_worker_that_is_waiting_for_pages() {
    let server = Server::start(200).await;
    let stage = before(&server, "", 1.0);
    let first = stage.submit(&[WHITE; 6]).await;
    let (_running, _shutdown) = stage.work();
    stage.ended(&first).await;
    pause(&stage.backend, &name("a@1"), note("new weights")).await.expect("paused");
    stage
        .until("the pause is reported", |board| {
            board.control(&name("a@1")).paused.is_some() && board.workers(&name("a@1"), now()) == (1, 1)
        })
        .await;
    let calls = server.calls();
    let second = stage.submit(&[WHITE; 3]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(server.calls(), calls);
    resume(&stage.backend, &name("a@1")).await.expect("resumed");
    assert_eq!(stage.ended(&second).await.status(), TaskStatus::Succeeded);
}

#[tokio::test]
async fn an_operator_has_an_engine_tried_at_once() {
    let server = Server::start(OUT_OF_ORDER).await;
    let stage = before(&server, "", 3600.0);
    let task = stage.submit(&[WHITE; 6]).await;
    let (_running, _shutdown) = stage.work();
    state(&stage, BreakerState::Open).await;
    server.says(200);
    probe(&stage.backend, &name("a@1"), note("is it back?")).await.expect("probed");
    state(&stage, BreakerState::Closed).await;
    // All but the one that opened the breaker, which is put off for half a minute.
    let most = async {
        while stage.backend.tasks.task(task.id).await.expect("a task").counts.succeeded < 5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), most).await.expect("in time");
}

#[tokio::test]
async fn a_server_that_has_too_much_to_do_is_waited_for_and_is_not_broken() {
    let server = Server::start(429).await;
    let stage = before(&server, "", 30.0);
    let task = stage.submit(&[WHITE; 5]).await;
    let (_running, _shutdown) = stage.work();
    while server.calls() < 4 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(stage.board().await.state(&name("a@1"), now()), BreakerState::Closed);
    server.says(200);
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
    assert_eq!(stage.board().await.stats(&name("a@1")).failures, 0);
}

#[tokio::test]
async fn a_page_that_its_engine_never_survives_is_a_dead_letter_with_its_reason() {
    let server = Server::start(500).await;
    let mut stage = before(&server, "", 30.0);
    let config = std::sync::Arc::make_mut(&mut stage.config);
    config.breaker.min_calls = 100;
    let task = stage.submit(&[WHITE]).await;
    let (_running, _shutdown) = stage.work();
    let dead = stage.backend.queue(QueueName::DeadPages).receive(1, Duration::from_mins(1)).await.expect("received");
    let reason = dead[0].reason.clone().unwrap_or_default();
    assert!(reason.contains("5 times") && reason.contains("did not answer"), "{reason}");
    assert!(!reason.contains("127.0.0.1"), "the customer reads this: {reason}");
    assert!(server.calls() >= 5, "{}", server.calls());
    assert_eq!(stage.pages(&task).await[0].status, PageStatus::Queued, "whoever buries it ends it");
}

#[tokio::test]
async fn a_worker_that_ends_says_so() {
    let server = Server::start(200).await;
    let stage = before(&server, "", 1.0);
    let (running, shutdown) = stage.work();
    stage.until("a report", |board| board.workers(&name("a@1"), now()) == (1, 0)).await;
    shutdown.cancel();
    assert!(running.await.expect("no panic").is_ok());
    assert_eq!(stage.board().await.workers(&name("a@1"), now()), (0, 0));
}
