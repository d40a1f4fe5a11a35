//! Circuit breakers, pauses and overloaded servers.

use std::time::Duration;

use quire_platform::{
    QueueName,
    engine_status::{pause, probe, resume},
};
use quire_tasks::{BreakerState, FallbackReason, OperatorNote, PageStatus, TaskStatus};

use crate::{
    routes::ColorReader,
    server::FakeServer,
    stage::{WHITE, WorkerStage, name, now, routed},
};

/// The status of a server that refuses the API key: retries do not help.
const OUT_OF_ORDER: u16 = 401;

/// Returns a stage with the server as `a@1`, PP-OCR as `b@1`, and a breaker that opens after three failures.
fn stage_with_breaker(server: &FakeServer, route: &str, open_secs: f64) -> WorkerStage {
    let config = format!(
        r#"{{"engines": {{"a@1": {}, "b@1": {{"kind": "pp-ocr"}}}},
            "routes": [{{"modes": ["text"], "primary": "a@1"{route}}}],
            "breaker": {{"min_calls": 3, "open_secs": {open_secs}}}}}"#,
        server.entry()
    );
    routed(&config, |entry| ColorReader::engine(entry, 0.0))
}

fn note(reason: &str) -> OperatorNote {
    OperatorNote { reason: reason.to_owned(), by: "a test".to_owned(), at: now() }
}

async fn wait_for_state(stage: &WorkerStage, wanted: BreakerState) {
    stage.until("the state of the engine", |statuses| statuses.state(&name("a@1"), now()) == wanted).await;
}

/// Receives all messages and returns their receive counts, ascending.
async fn receive_counts(stage: &WorkerStage, messages: usize) -> Vec<u32> {
    let queue = stage.backend.queue(QueueName::Pages);
    let mut attempts = Vec::new();
    while attempts.len() < messages {
        let received = queue.receive(messages, Duration::from_secs(10)).await.expect("the queue responds");
        assert!(!received.is_empty(), "a message is visible before the timeout");
        attempts.extend(received.iter().map(|received| received.attempt));
    }
    attempts.sort_unstable();
    attempts
}

#[tokio::test]
async fn an_open_breaker_receives_nothing_and_spends_no_attempt() {
    let server = FakeServer::start(OUT_OF_ORDER).await;
    let stage = stage_with_breaker(&server, "", 6.0);
    let task = stage.submit(&[WHITE; 20]).await;
    let (running, shutdown) = stage.work();
    wait_for_state(&stage, BreakerState::Open).await;
    let why = stage.statuses().await.reason(&name("a@1"), now()).map(str::to_owned).unwrap_or_default();
    assert!(why.contains("rejects the API key"), "{why}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(server.calls(), 1, "the open breaker sends no further page");
    let depth = stage.backend.queue(QueueName::Pages).depth().await.expect("the queue reports its depth");
    assert_eq!(depth.in_flight, 0, "nothing is received");
    shutdown.cancel();
    assert!(running.await.expect("no panic").is_ok());
    assert_eq!(stage.backend.tasks.task(task.id).await.expect("the task is stored").counts.open, 20);
    // The first page opened the breaker, and the server has not read it. Its message is delayed for as long as the
    // breaker would have been open.
    assert_eq!(receive_counts(&stage, 19).await, [1; 19]);
}

#[tokio::test]
async fn a_server_that_recovers_reads_all_pages() {
    let server = FakeServer::start(OUT_OF_ORDER).await;
    let stage = stage_with_breaker(&server, "", 0.2);
    let task = stage.submit(&[WHITE; 12]).await;
    let (_running, _shutdown) = stage.work();
    wait_for_state(&stage, BreakerState::Open).await;
    server.set_status(200);
    let ended = stage.ended(&task).await;
    assert_eq!((ended.status(), ended.counts.succeeded), (TaskStatus::Succeeded, 12));
    wait_for_state(&stage, BreakerState::Closed).await;
    stage.queue_is_empty().await;
}

#[tokio::test]
async fn the_fallback_reads_while_a_breaker_is_open() {
    let server = FakeServer::start(OUT_OF_ORDER).await;
    let stage = stage_with_breaker(&server, r#", "fallback": "b@1""#, 30.0);
    let task = stage.submit(&[WHITE; 12]).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
    assert_eq!(server.calls(), 1, "one failure opens the breaker");
    for document in 1..=12 {
        let text = stage.text(&task, document).await;
        assert_eq!((text.engine, text.tried[0].why), (name("b@1"), FallbackReason::Unavailable));
    }
}

#[tokio::test]
async fn a_paused_engine_gets_no_page_until_it_is_resumed() {
    let server = FakeServer::start(200).await;
    let stage = stage_with_breaker(&server, "", 1.0);
    pause(&stage.backend, &name("a@1"), note("new weights")).await.expect("the engine is paused");
    let task = stage.submit(&[WHITE; 3]).await;
    let (_running, _shutdown) = stage.work();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let depth = stage.backend.queue(QueueName::Pages).depth().await.expect("the queue reports its depth");
    assert_eq!((server.calls(), depth.ready, depth.in_flight), (0, 3, 0));
    resume(&stage.backend, &name("a@1")).await.expect("the engine is resumed");
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
}

#[tokio::test]
async fn a_pause_also_stops_a_worker_that_waits_for_pages() {
    let server = FakeServer::start(200).await;
    let stage = stage_with_breaker(&server, "", 1.0);
    let first = stage.submit(&[WHITE; 6]).await;
    let (_running, _shutdown) = stage.work();
    stage.ended(&first).await;
    pause(&stage.backend, &name("a@1"), note("new weights")).await.expect("the engine is paused");
    stage
        .until("the pause is reported", |statuses| {
            statuses.control(&name("a@1")).paused.is_some() && statuses.workers(&name("a@1"), now()) == (1, 1)
        })
        .await;
    let calls = server.calls();
    let second = stage.submit(&[WHITE; 3]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(server.calls(), calls);
    resume(&stage.backend, &name("a@1")).await.expect("the engine is resumed");
    assert_eq!(stage.ended(&second).await.status(), TaskStatus::Succeeded);
}

#[tokio::test]
async fn a_requested_probe_is_sent_at_once() {
    let server = FakeServer::start(OUT_OF_ORDER).await;
    let stage = stage_with_breaker(&server, "", 3600.0);
    let task = stage.submit(&[WHITE; 6]).await;
    let (_running, _shutdown) = stage.work();
    wait_for_state(&stage, BreakerState::Open).await;
    server.set_status(200);
    probe(&stage.backend, &name("a@1"), note("is it back?")).await.expect("the probe is requested");
    wait_for_state(&stage, BreakerState::Closed).await;
    // All pages except the one that opened the breaker, which is postponed by 30 s.
    let most = async {
        while stage.backend.tasks.task(task.id).await.expect("the task is stored").counts.succeeded < 5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), most).await.expect("it ends before the timeout");
}

#[tokio::test]
async fn an_overloaded_server_is_waited_for_and_opens_no_breaker() {
    let server = FakeServer::start(429).await;
    let stage = stage_with_breaker(&server, "", 30.0);
    let task = stage.submit(&[WHITE; 5]).await;
    let (_running, _shutdown) = stage.work();
    while server.calls() < 4 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(stage.statuses().await.state(&name("a@1"), now()), BreakerState::Closed);
    server.set_status(200);
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
    assert_eq!(stage.statuses().await.stats(&name("a@1")).failures, 0);
}

#[tokio::test]
async fn a_page_whose_attempts_are_spent_is_dead_lettered_with_a_reason() {
    let server = FakeServer::start(500).await;
    let mut stage = stage_with_breaker(&server, "", 30.0);
    let config = std::sync::Arc::make_mut(&mut stage.config);
    config.breaker.min_calls = 100;
    let task = stage.submit(&[WHITE]).await;
    let (_running, _shutdown) = stage.work();
    let dead =
        stage.backend.queue(QueueName::DeadPages).receive(1, Duration::from_mins(1)).await.expect("the queue responds");
    let reason = dead[0].reason.clone().unwrap_or_default();
    assert!(reason.contains("5 times") && reason.contains("did not respond"), "{reason}");
    assert!(!reason.contains("127.0.0.1"), "the customer reads this: {reason}");
    assert!(server.calls() >= 5, "{}", server.calls());
    assert_eq!(stage.pages(&task).await[0].status, PageStatus::Queued, "the dead-letter function ends it");
}

#[tokio::test]
async fn a_worker_reports_its_exit() {
    let server = FakeServer::start(200).await;
    let stage = stage_with_breaker(&server, "", 1.0);
    let (running, shutdown) = stage.work();
    stage.until("a report", |statuses| statuses.workers(&name("a@1"), now()) == (1, 0)).await;
    shutdown.cancel();
    assert!(running.await.expect("no panic").is_ok());
    assert_eq!(stage.statuses().await.workers(&name("a@1"), now()), (0, 0));
}
