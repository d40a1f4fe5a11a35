//! `Idempotency-Key`: failures of the first request.

use std::time::{Duration, Instant};

use quire_platform::QueueName;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::sleep};

use crate::{
    idempotency::{assert_replayed, form, task_id},
    support::{FormPart, StoreFault, TableFault, TestResponse, TestWorld, body, boundary, image, images},
};

/// Repeats a request until the first one is no longer running.
async fn send_until_done(world: &TestWorld, key: &str, path: &str, parts: &[FormPart<'_>]) -> TestResponse {
    let begun = Instant::now();
    loop {
        let answer = form(world, key, path, parts).await;
        if answer.status != 409 {
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(15), "{}", answer.text);
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_refused_request_releases_its_key() {
    let world = TestWorld::with_routes(r#""routes": [{"modes": ["text"], "primary": "pp-ocr@v6-small"}]"#).await;
    let mode = |content| FormPart { field: "mode", file: None, content };
    form(&world, "key", "/ocr", &[image("garbage")]).await.problem(415, "unsupported_format");
    form(&world, "key", "/ocr", &[image("pages=1"), mode("poem")]).await.problem(422, "invalid_field");
    form(&world, "key", "/ocr", &[image("pages=1"), mode("table")]).await.problem(422, "mode_not_offered");
    let refused = form(&world, "key", "/ocr/batch", &images(&["garbage"])).await;
    assert_eq!((refused.status, refused.json()[0]["error"]["code"].clone()), (200, "unsupported_format".into()));
    world.assert_empty().await;
    let answer = form(&world, "key", "/ocr", &[image("pages=1")]).await;
    assert_eq!((answer.status, answer.header("idempotency-replayed")), (202, None), "{}", answer.text);
}

#[tokio::test]
async fn a_failed_request_releases_its_key() {
    let world = TestWorld::without_worker(|settings| settings.sync_limit = Duration::from_millis(1)).await;
    let parts = images(&["pages=1", "pages=1"]);
    for (fault, status) in [(StoreFault::Full, 507), (StoreFault::Busy, 503), (StoreFault::Broken, 500)] {
        world.faults.set(Some(fault));
        assert_eq!(form(&world, "key", "/ocr/batch", &parts).await.status, status);
        world.assert_empty().await;
    }
    world.faults.set(None);
    // The outcome of a panic is recorded after the response.
    form(&world, "key", "/ocr", &[image("panic")]).await.problem(500, "internal");
    let answer = send_until_done(&world, "key", "/ocr/batch", &parts).await;
    assert_eq!((answer.status, answer.header("idempotency-replayed")), (202, None), "{}", answer.text);
    world.reaches(QueueName::Pages, 2).await;
}

/// Sends a request and disconnects when `until` has completed.
async fn send_and_disconnect(
    world: &TestWorld,
    key: &str,
    path: &str,
    parts: &[FormPart<'_>],
    until: impl Future<Output = ()>,
) {
    let (kind, form) = (boundary(), body(parts));
    let about = format!("Content-Type: {kind}\r\nContent-Length: {}\r\nIdempotency-Key: {key}", form.len());
    let request = format!("POST {path} HTTP/1.1\r\nHost: {}\r\n{about}\r\n\r\n{form}", world.address);
    let mut client = TcpStream::connect(world.address).await.expect("a connection");
    client.write_all(request.as_bytes()).await.expect("all is sent");
    until.await;
}

#[tokio::test]
async fn a_repeated_request_after_a_disconnect_returns_the_task() {
    let world = TestWorld::without_worker(|_| {}).await;
    let parts = images(&["pages=2"]);
    // During the store.
    world.faults.set(Some(StoreFault::Slow));
    send_and_disconnect(&world, "stored", "/ocr/async", &parts, sleep(Duration::from_millis(250))).await;
    assert_eq!(world.depth(QueueName::Pages).await, 0, "the store is not slow enough for this test");
    let answer = send_until_done(&world, "stored", "/ocr/async", &parts).await;
    assert_eq!((answer.status, answer.header("idempotency-replayed")), (202, Some("true")), "{}", answer.text);
    world.reaches(QueueName::Pages, 2).await;
    world.faults.set(None);
    // During the wait for the text.
    send_and_disconnect(&world, "read", "/ocr", &[image("pages=1")], world.reaches(QueueName::Pages, 3)).await;
    let mut world = world;
    world.start_worker();
    let answer = send_until_done(&world, "read", "/ocr", &[image("pages=1")]).await;
    assert_eq!((answer.status, answer.header("idempotency-replayed")), (200, Some("true")), "{}", answer.text);
    assert_eq!(world.backend.objects.list("documents/").await.expect("a list").len(), 2);
}

/// Sends a request to a server of its own, whose runtime ends after `until`.
async fn send_to_crashing_server(world: &mut TestWorld, path: &'static str, parts: &[FormPart<'_>], until: Duration) {
    let (app, _) = world.another_server(with_short_timeouts).await;
    let form = body(parts);
    let died = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(1).build();
        let runtime = runtime.expect("a runtime");
        runtime.spawn(async move {
            use tower::ServiceExt;
            let request = axum::extract::Request::post(path).header("content-type", boundary());
            let request = request.header("idempotency-key", "key").body(axum::body::Body::from(form));
            let request = request.expect("a request");
            let _ = quire_submit::router(app).oneshot(request).await;
        });
        std::thread::sleep(until);
        runtime.shutdown_background();
    });
    died.await.expect("the thread ends");
}

/// Considers requests dead after less than a second.
fn with_short_timeouts(settings: &mut quire_submit::SubmitSettings) {
    settings.sync_limit = Duration::from_millis(400);
    settings.inspect_limit = Duration::from_millis(400);
    settings.keyed_margin = Duration::ZERO;
}

#[tokio::test]
async fn a_crash_before_the_insert_is_taken_over_after_a_timeout() {
    let mut world = TestWorld::without_worker(with_short_timeouts).await;
    let parts = images(&["pages=2"]);
    world.faults.set(Some(StoreFault::Slow));
    send_to_crashing_server(&mut world, "/ocr/async", &parts, Duration::from_millis(250)).await;
    world.faults.set(None);
    form(&world, "key", "/ocr/async", &parts).await.problem(409, "idempotency_key_in_use");
    let answer = send_until_done(&world, "key", "/ocr/async", &parts).await;
    assert_eq!((answer.status, answer.header("idempotency-replayed")), (202, None), "{}", answer.text);
    assert_replayed(&answer, &form(&world, "key", "/ocr/async", &parts).await);
    world.reaches(QueueName::Pages, 2).await;
    assert_eq!(world.backend.objects.list("documents/").await.expect("a list").len(), 1, "under the name it had");
}

#[tokio::test]
async fn after_a_crash_behind_the_insert_the_task_is_returned() {
    let mut world = TestWorld::without_worker(with_short_timeouts).await;
    let parts = [image("pages=1")];
    send_to_crashing_server(&mut world, "/ocr", &parts, Duration::from_millis(250)).await;
    let stored = world.backend.objects.list("documents/").await.expect("a list");
    assert_eq!(stored.len(), 1, "it was not quick enough for this test");
    form(&world, "key", "/ocr", &[image("pages=2")]).await.problem(422, "idempotency_key_reused");
    let answer = send_until_done(&world, "key", "/ocr", &parts).await;
    assert_eq!((answer.status, answer.header("idempotency-replayed")), (202, Some("true")), "{}", answer.text);
    assert!(stored[0].contains(&task_id(&answer)), "{stored:?}");
    form(&world, "key", "/ocr", &[image("pages=2")]).await.problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn if_the_record_cannot_be_written_no_task_is_created() {
    let world = TestWorld::without_worker(|_| {}).await;
    world.faults.refuse_records();
    let answer = form(&world, "key", "/ocr/async", &[image("pages=1")]).await;
    answer.problem(500, "internal");
    assert!(!answer.text.contains("secret"), "{}", answer.text);
    world.assert_empty().await;
    assert_eq!(world.post("/ocr/async", &[image("pages=1")]).await.status, 202, "without a key nothing is noted");
}

#[tokio::test]
async fn an_unknown_outcome_is_resolved_by_the_next_request() {
    let world = TestWorld::without_worker(|_| {}).await;
    let parts = images(&["pages=1"]);
    for (fault, replayed) in [(TableFault::Refuses, None), (TableFault::GoesAway, Some("true"))] {
        let key = format!("{fault:?}");
        world.faults.set_table(Some(fault));
        form(&world, &key, "/ocr/async", &parts).await.problem(500, "internal");
        world.faults.set_table(None);
        let answer = form(&world, &key, "/ocr/async", &parts).await;
        assert_eq!((answer.status, answer.header("idempotency-replayed")), (202, replayed), "{}", answer.text);
    }
    assert_eq!(world.backend.objects.list("documents/").await.expect("a list").len(), 2);
}
