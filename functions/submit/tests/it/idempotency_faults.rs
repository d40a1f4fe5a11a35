//! `Idempotency-Key`, when something goes wrong with the first request.

use std::time::{Duration, Instant};

use quire_platform::QueueName;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::sleep};

use crate::{
    idempotency::{assert_replayed, form, task_id},
    support::{Answer, Part, StoreFault, TableFault, World, body, boundary, image, images},
};

/// Sends it again until it is answered otherwise than that the first is at work.
async fn insisted(world: &World, key: &str, path: &str, parts: &[Part<'_>]) -> Answer {
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
async fn a_refused_request_leaves_its_key_to_a_corrected_one() {
    let world = World::with_routes(r#""routes": [{"modes": ["text"], "primary": "pp-ocr@v6-small"}]"#).await;
    let mode = |content| Part { field: "mode", file: None, content };
    form(&world, "key", "/ocr", &[image("garbage")]).await.problem(415, "unsupported_format");
    form(&world, "key", "/ocr", &[image("pages=1"), mode("poem")]).await.problem(422, "invalid_field");
    form(&world, "key", "/ocr", &[image("pages=1"), mode("table")]).await.problem(422, "mode_not_offered");
    let refused = form(&world, "key", "/ocr/batch", &images(&["garbage"])).await;
    assert_eq!((refused.status, refused.json()[0]["error"]["code"].clone()), (200, "unsupported_format".into()));
    world.holds_nothing().await;
    let answer = form(&world, "key", "/ocr", &[image("pages=1")]).await;
    assert_eq!((answer.status, answer.header("idempotency-replayed")), (202, None), "{}", answer.text);
}

#[tokio::test]
async fn a_request_that_failed_leaves_its_key_to_the_next() {
    let world = World::without_worker(|settings| settings.sync_limit = Duration::from_millis(1)).await;
    let parts = images(&["pages=1", "pages=1"]);
    for (fault, status) in [(StoreFault::Full, 507), (StoreFault::Busy, 503), (StoreFault::Broken, 500)] {
        world.faults.set(Some(fault));
        assert_eq!(form(&world, "key", "/ocr/batch", &parts).await.status, status);
        world.holds_nothing().await;
    }
    world.faults.set(None);
    // What panics is noted behind the answer.
    form(&world, "key", "/ocr", &[image("panic")]).await.problem(500, "internal");
    let answer = insisted(&world, "key", "/ocr/batch", &parts).await;
    assert_eq!((answer.status, answer.header("idempotency-replayed")), (202, None), "{}", answer.text);
    world.reaches(QueueName::Pages, 2).await;
}

/// Sends a request, and leaves when that is done and `until` has come.
async fn sent_and_left(world: &World, key: &str, path: &str, parts: &[Part<'_>], until: impl Future<Output = ()>) {
    let (kind, form) = (boundary(), body(parts));
    let about = format!("Content-Type: {kind}\r\nContent-Length: {}\r\nIdempotency-Key: {key}", form.len());
    let request = format!("POST {path} HTTP/1.1\r\nHost: {}\r\n{about}\r\n\r\n{form}", world.address);
    let mut client = TcpStream::connect(world.address).await.expect("a connection");
    client.write_all(request.as_bytes()).await.expect("all is sent");
    until.await;
}

#[tokio::test]
async fn a_client_that_goes_away_finds_its_task_when_it_comes_back() {
    let world = World::without_worker(|_| {}).await;
    let parts = images(&["pages=2"]);
    // While it is stored.
    world.faults.set(Some(StoreFault::Slow));
    sent_and_left(&world, "stored", "/ocr/async", &parts, sleep(Duration::from_millis(250))).await;
    assert_eq!(world.depth(QueueName::Pages).await, 0, "the store is not slow enough for this test");
    let answer = insisted(&world, "stored", "/ocr/async", &parts).await;
    assert_eq!((answer.status, answer.header("idempotency-replayed")), (202, Some("true")), "{}", answer.text);
    world.reaches(QueueName::Pages, 2).await;
    world.faults.set(None);
    // While it waits for what is read.
    sent_and_left(&world, "read", "/ocr", &[image("pages=1")], world.reaches(QueueName::Pages, 3)).await;
    let mut world = world;
    world.hire();
    let answer = insisted(&world, "read", "/ocr", &[image("pages=1")]).await;
    assert_eq!((answer.status, answer.header("idempotency-replayed")), (200, Some("true")), "{}", answer.text);
    assert_eq!(world.backend.objects.list("documents/").await.expect("a list").len(), 2);
}

/// Sends a request to a door of its own, whose process dies when `until` has come.
async fn sent_to_one_that_dies(world: &mut World, path: &'static str, parts: &[Part<'_>], until: Duration) {
    let (app, _) = world.another_door(hurried).await;
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
    died.await.expect("it is gone");
}

/// Requests that are believed dead after less than a second.
fn hurried(settings: &mut quire_submit::SubmitSettings) {
    settings.sync_limit = Duration::from_millis(400);
    settings.inspect_limit = Duration::from_millis(400);
    settings.keyed_margin = Duration::ZERO;
}

#[tokio::test]
async fn what_died_before_there_was_a_task_is_taken_over_after_a_while() {
    let mut world = World::without_worker(hurried).await;
    let parts = images(&["pages=2"]);
    world.faults.set(Some(StoreFault::Slow));
    sent_to_one_that_dies(&mut world, "/ocr/async", &parts, Duration::from_millis(250)).await;
    world.faults.set(None);
    form(&world, "key", "/ocr/async", &parts).await.problem(409, "idempotency_key_in_use");
    let answer = insisted(&world, "key", "/ocr/async", &parts).await;
    assert_eq!((answer.status, answer.header("idempotency-replayed")), (202, None), "{}", answer.text);
    assert_replayed(&answer, &form(&world, "key", "/ocr/async", &parts).await);
    world.reaches(QueueName::Pages, 2).await;
    assert_eq!(world.backend.objects.list("documents/").await.expect("a list").len(), 1, "under the name it had");
}

#[tokio::test]
async fn what_died_when_there_was_a_task_is_that_task() {
    let mut world = World::without_worker(hurried).await;
    let parts = [image("pages=1")];
    sent_to_one_that_dies(&mut world, "/ocr", &parts, Duration::from_millis(250)).await;
    let stored = world.backend.objects.list("documents/").await.expect("a list");
    assert_eq!(stored.len(), 1, "it was not quick enough for this test");
    form(&world, "key", "/ocr", &[image("pages=2")]).await.problem(422, "idempotency_key_reused");
    let answer = insisted(&world, "key", "/ocr", &parts).await;
    assert_eq!((answer.status, answer.header("idempotency-replayed")), (202, Some("true")), "{}", answer.text);
    assert!(stored[0].contains(&task_id(&answer)), "{stored:?}");
    form(&world, "key", "/ocr", &[image("pages=2")]).await.problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn where_keys_cannot_be_noted_nothing_is_made() {
    let world = World::without_worker(|_| {}).await;
    world.faults.refuse_records();
    let answer = form(&world, "key", "/ocr/async", &[image("pages=1")]).await;
    answer.problem(500, "internal");
    assert!(!answer.text.contains("secret"), "{}", answer.text);
    world.holds_nothing().await;
    assert_eq!(world.post("/ocr/async", &[image("pages=1")]).await.status, 202, "without a key nothing is noted");
}

#[tokio::test]
async fn when_nobody_knows_whether_there_is_a_task_the_next_request_finds_out() {
    let world = World::without_worker(|_| {}).await;
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
