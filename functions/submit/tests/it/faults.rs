//! Disconnects, stalled clients, and a failing backend.

use std::time::Duration;

use quire_platform::QueueName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

use crate::support::{StoreFault, TableFault, TestWorld, body, boundary, image, images};

/// Returns a raw HTTP request.
fn request(path: &str, form: &str) -> String {
    let (kind, length) = (boundary(), form.len());
    let about = format!("Content-Type: {kind}\r\nContent-Length: {length}");
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{about}\r\nConnection: close\r\n\r\n{form}")
}

async fn connect(world: &TestWorld) -> TcpStream {
    TcpStream::connect(world.address).await.expect("a connection")
}

#[tokio::test]
async fn a_disconnect_during_the_upload_leaves_nothing() {
    let world = TestWorld::new().await;
    let bytes = request("/ocr", &body(&[image(&"x".repeat(100_000))]));
    let mut client = connect(&world).await;
    client.write_all(&bytes.as_bytes()[..50_000]).await.expect("half is sent");
    while world.spooled() == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    drop(client);
    world.assert_empty().await;
}

#[tokio::test]
async fn a_disconnect_after_the_upload_does_not_stop_the_task() {
    let mut world = TestWorld::without_worker(|_| {}).await;
    world.faults.set(Some(StoreFault::Slow));
    let mut client = connect(&world).await;
    client.write_all(request("/ocr/batch", &body(&images(&["pages=3"]))).as_bytes()).await.expect("all is sent");
    // Long enough for the upload, too short for the store.
    sleep(Duration::from_millis(250)).await;
    assert_eq!(world.depth(QueueName::Pages).await, 0, "the store is not slow enough for this test");
    drop(client);
    world.reaches(QueueName::Pages, 3).await;
    let stored = world.backend.objects.list("documents/").await.expect("a list");
    let task_id = stored[0].split('/').nth(1).expect("a task id").to_owned();
    world.start_worker();
    assert_eq!(world.ended(&task_id).await["status"], "succeeded");
}

#[tokio::test]
async fn a_slow_client_is_served_and_a_stalled_one_times_out() {
    let mut world = TestWorld::without_worker(|settings| settings.idle_limit = Duration::from_millis(400)).await;
    world.start_worker();
    let bytes = request("/ocr", &body(&[image("pages=1")]));
    let mut slow = connect(&world).await;
    for piece in bytes.as_bytes().chunks(bytes.len() / 10) {
        slow.write_all(piece).await.expect("a piece is sent");
        sleep(Duration::from_millis(100)).await;
    }
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let json = "POST /ocr/async HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{";
    for cut in [&bytes[..bytes.len() - 20], json] {
        let mut still = connect(&world).await;
        still.write_all(cut.as_bytes()).await.expect("most is sent");
        let mut answer = vec![0; 4096];
        let length = still.read(&mut answer).await.expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("upload_stalled"), "{answer}");
    }
}

#[tokio::test]
async fn a_failing_backend_is_a_problem_without_details() {
    let world = TestWorld::new().await;
    for (fault, status, code) in [
        (StoreFault::Full, 507, "storage_full"),
        (StoreFault::Busy, 503, "busy"),
        (StoreFault::Broken, 500, "internal"),
    ] {
        world.faults.set(Some(fault));
        let answer = world.post("/ocr/batch", &images(&["pages=1", "pages=1"])).await;
        let problem = answer.problem(status, code);
        assert_eq!(problem["retryable"], true);
        assert!(!answer.text.contains("secret"), "{}", answer.text);
        assert_eq!(answer.header("retry-after").is_some(), status != 500);
        world.assert_empty().await;
    }
    world.faults.set(None);
    assert_eq!(world.post("/ocr", &[image("pages=1")]).await.status, 200);
}

#[tokio::test]
async fn a_panic_is_a_problem_and_the_next_request_is_served() {
    let world = TestWorld::new().await;
    let answer = world.post("/ocr", &[image("panic")]).await;
    answer.problem(500, "internal");
    assert!(!answer.text.contains("the document requests a panic"));
    assert_eq!(world.post("/ocr", &[image("pages=1")]).await.status, 200);
    assert_eq!(world.spooled(), 0);
}

#[tokio::test]
async fn a_client_that_sends_before_it_reads_gets_the_problem() {
    let world = TestWorld::without_worker(|settings| settings.max_body_bytes = 1 << 20).await;
    // Larger than the socket buffers: closing at once would reset the connection before the response is read.
    let large = "x".repeat(30 << 20);
    let mut client = connect(&world).await;
    let bytes = request("/ocr", &body(&[image(&large)]));
    client.write_all(bytes.as_bytes()).await.expect("the server takes all of it");
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("body_too_large"), "{answer}");
}

#[tokio::test]
async fn a_task_whose_insert_response_was_lost_keeps_its_documents() {
    let world = TestWorld::without_worker(|_| {}).await;
    world.faults.set_table(Some(TableFault::Refuses));
    world.post("/ocr/async", &images(&["pages=1"])).await.problem(500, "internal");
    world.assert_empty().await;
    world.faults.set_table(Some(TableFault::LosesAnswers));
    let answer = world.post("/ocr/async", &images(&["pages=1"])).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    world.reaches(QueueName::Pages, 1).await;
    world.faults.set_table(Some(TableFault::GoesAway));
    world.post("/ocr/async", &images(&["pages=1", "pages=1"])).await.problem(500, "internal");
    let stored = world.backend.objects.list("documents/").await.expect("a list");
    assert_eq!(stored.len(), 3, "the task may exist");
    // The sweep finds the task and sends its messages.
    world.faults.set_table(None);
    let all = quire_tasks::UnixMillis(i64::MAX);
    assert_eq!(quire_submit::sweep_undispatched(&world.backend, all).await.expect("a sweep"), 1);
    assert_eq!(world.depth(QueueName::Pages).await, 3);
}
