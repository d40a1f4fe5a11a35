//! Ingest, with a document server on loopback.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::get};
use quire_platform::{Consumer, Delivery, OutgoingMessage, QueueName};
use quire_submit::{ingest, ingest_all, ingest_one};
use quire_tasks::{DocumentJob, DocumentMessage, Tenant};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::TestWorld;

/// The response of S3 to an expired link.
const EXPIRED: &str = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message>\
    <AWSAccessKeyId>AKIA0</AWSAccessKeyId></Error>";

/// A server with a valid document, one that succeeds on the third request, and several that never do.
async fn server() -> (SocketAddr, impl Future<Output = ()>) {
    let tries = Arc::new(AtomicU32::new(0));
    let flaky = move || async move {
        if tries.fetch_add(1, Ordering::Relaxed) < 2 {
            (StatusCode::SERVICE_UNAVAILABLE, "later")
        } else {
            (StatusCode::OK, "pages=1 flaky")
        }
    };
    let app = Router::new()
        .route("/good", get(async || "pages=2"))
        .route("/garbage", get(async || "<html>"))
        .route("/panic", get(async || "panic"))
        .route("/stuck", get(async || std::future::pending::<&str>().await))
        .route("/large", get(async || "pages=1 ".repeat(1000)))
        .route("/down", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .route("/moved", get(async || (StatusCode::FOUND, [("location", "good")])))
        .route("/away", get(async || (StatusCode::FOUND, [("location", "https://10.0.0.1/")])))
        .route("/sign-in", get(async || ([("content-type", "text/html; charset=utf-8")], "<html>Sign in")))
        .route("/expired", get(async || (StatusCode::FORBIDDEN, EXPIRED)))
        .route("/flaky", get(flaky));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (address, async move { axum::serve(listener, app).await.expect("a server") })
}

/// Runs a test with a document server.
async fn beside_server<T>(test: impl AsyncFnOnce(SocketAddr) -> T) -> T {
    let (address, server) = server().await;
    tokio::select! {
        done = test(address) => done,
        () = server => unreachable!("the server never ends"),
    }
}

async fn submit(world: &TestWorld, url: String) -> String {
    let body = json!({"image_url": url, "callback_url": "https://example.com/hook"});
    let answer = world.post_json("/ocr/async", &body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    world.app.drained().await;
    answer.json()["task_id"].as_str().expect("a task id").to_owned()
}

/// Receives the next delivery of the documents queue, with the consumer that extends its lease.
async fn delivery(world: &TestWorld) -> (Consumer<DocumentMessage>, Delivery<DocumentMessage>) {
    let consumer = Consumer::new(world.backend.queue(QueueName::Documents), Duration::from_mins(1));
    let mut received = consumer.receive(1, Duration::from_secs(10)).await.expect("a receive");
    let delivery = received.pop().expect("a delivery").expect("a readable message");
    (consumer, delivery)
}

/// Ingests a URL once, as the attempt with this number.
async fn attempt(world: &TestWorld, url: String, number: u32) -> Value {
    let id = submit(world, url).await;
    let (_consumer, mut delivery) = delivery(world).await;
    delivery.attempt = number;
    ingest_one(&world.app, delivery).await.expect("the backend does not fail");
    world.get(&format!("/task/{id}")).await.json()
}

#[tokio::test]
async fn a_url_is_fetched_validated_split_and_read() {
    let world = TestWorld::new().await;
    let stop = CancellationToken::new();
    let ingesting = ingest(Arc::clone(&world.app), stop.clone());
    let test = beside_server(async |address| {
        let id = submit(&world, format!("http://{address}/good")).await;
        let flaky = submit(&world, format!("http://{address}/flaky")).await;
        let task = world.ended(&id).await;
        assert_eq!(task["documents"][0]["text"], "page 1 of pages=2\n\npage 2 of pages=2");
        assert_eq!(world.ended(&flaky).await["documents"][0]["text"], "page 1 of pages=1 flaky");
        world.reaches(QueueName::Documents, 0).await;
        stop.cancel();
    });
    let (ended, ()) = tokio::join!(ingesting, test);
    ended.expect("ingest stops on shutdown");
    assert_eq!(world.spooled(), 0);
}

#[tokio::test]
async fn a_permanent_failure_fails_the_document_and_sends_the_callback() {
    let world = TestWorld::without_worker(|settings| settings.limits.max_bytes = 1000).await;
    beside_server(async |address| {
        for (number, (path, code)) in [
            ("/missing", "fetch_failed"),
            ("/away", "url_refused"),
            ("/large", "document_too_large"),
            ("/garbage", "unsupported_format"),
        ]
        .into_iter()
        .enumerate()
        {
            let task = attempt(&world, format!("http://{address}{path}?secret=1"), 1).await;
            assert_eq!(task["status"], "failed", "{path}: {task}");
            assert_eq!(task["documents"][0]["error"]["code"], code, "{path}: {task}");
            assert!(!task.to_string().contains("secret"), "{task}");
            assert_eq!(world.depth(QueueName::Documents).await, 0);
            assert_eq!(world.depth(QueueName::Callbacks).await, number as u64 + 1);
        }
    })
    .await;
    world.assert_empty().await;
}

#[tokio::test]
async fn a_redirect_is_followed_and_a_failure_says_what_was_received() {
    let world = TestWorld::without_worker(|_| {}).await;
    beside_server(async |address| {
        let task = attempt(&world, format!("http://{address}/moved"), 1).await;
        assert_eq!((&task["status"], &task["progress"]["pages"]), (&json!("queued"), &json!(2)), "{task}");
        for (path, received) in
            [("/expired", "status 403: Request has expired"), ("/sign-in", "received text/html, expected a document")]
        {
            let task = attempt(&world, format!("http://{address}{path}?token=secret"), 1).await;
            let message = task["documents"][0]["error"]["message"].to_string();
            assert!(message.contains(received) && !message.contains("AKIA"), "{path}: {task}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_transient_failure_is_retried_until_the_last_attempt() {
    let world = TestWorld::without_worker(|_| {}).await;
    beside_server(async |address| {
        let url = format!("http://{address}/down");
        let task = attempt(&world, url.clone(), 1).await;
        assert_eq!(task["status"], "queued");
        assert_eq!(world.depth(QueueName::Documents).await, 1, "it is given back");
        let (_consumer, mut last) = delivery(&world).await;
        assert_eq!(last.attempt, 2);
        last.attempt = QueueName::Documents.settings().max_receives;
        ingest_one(&world.app, last).await.expect("the backend does not fail");
        let id = task["task_id"].as_str().expect("a task id");
        let task = world.get(&format!("/task/{id}")).await.json();
        assert_eq!(task["documents"][0]["error"]["code"], "fetch_failed");
        let message = task["documents"][0]["error"]["message"].as_str().expect("a message");
        assert!(message.contains("500"), "{message}");
        assert_eq!(world.depth(QueueName::Documents).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_source_that_sends_too_slowly_is_retried_and_then_fails_with_that_reason() {
    let world = TestWorld::without_worker(|settings| settings.fetch_rate_window = Duration::from_millis(200)).await;
    beside_server(async |address| {
        let task = attempt(&world, format!("http://{address}/stuck"), 1).await;
        assert_eq!((&task["status"], world.depth(QueueName::Documents).await), (&json!("queued"), 1), "retried");
        let last = QueueName::Documents.settings().max_receives;
        let (_consumer, mut delivery) = delivery(&world).await;
        delivery.attempt = last;
        ingest_one(&world.app, delivery).await.expect("the backend does not fail");
        let id = task["task_id"].as_str().expect("a task id");
        let error = world.get(&format!("/task/{id}")).await.json()["documents"][0]["error"].clone();
        assert_eq!(error["code"], "fetch_failed");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains("less than 10000 bytes per second"), "{message}");
    })
    .await;
    assert_eq!(world.spooled(), 0);
}

#[tokio::test]
async fn only_a_second_attempt_resends_the_pages_of_a_split_document() {
    let world = TestWorld::without_worker(|_| {}).await;
    let id = beside_server(async |address| attempt(&world, format!("http://{address}/good"), 1).await).await;
    assert_eq!(world.depth(QueueName::Pages).await, 2);
    let task_id = id["task_id"].as_str().expect("a task id").parse().expect("an id");
    let message = DocumentMessage { task_id, document: 1, round: 1, job: DocumentJob::Split };
    let queue = world.backend.queue(QueueName::Documents);
    queue.send(vec![OutgoingMessage::new(&message, &Tenant::default())]).await.expect("a second delivery");
    let (_consumer, another) = delivery(&world).await;
    ingest_one(&world.app, another).await.expect("no request to the stopped server");
    assert_eq!(world.depth(QueueName::Pages).await, 2, "the attempt that split the document sent its pages");
    queue.send(vec![OutgoingMessage::new(&message, &Tenant::default())]).await.expect("a third delivery");
    let (_consumer, mut again) = delivery(&world).await;
    again.attempt = 2;
    ingest_one(&world.app, again).await.expect("no request to the stopped server");
    assert_eq!(world.depth(QueueName::Pages).await, 4, "an earlier attempt may have crashed before it sent them");
    assert_eq!(world.depth(QueueName::Documents).await, 0);
}

#[tokio::test]
async fn a_panic_and_a_timeout_do_not_affect_other_documents() {
    let world = TestWorld::without_worker(|_| {}).await;
    beside_server(async |address| {
        let mut deliveries = Vec::new();
        let consumer = Consumer::new(world.backend.queue(QueueName::Documents), Duration::from_mins(1));
        let mut ids = Vec::new();
        for path in ["/panic", "/stuck", "/good"] {
            ids.push(submit(&world, format!("http://{address}{path}")).await);
            deliveries.extend(consumer.receive(1, Duration::from_secs(10)).await.expect("a receive"));
        }
        ingest_all(&world.app, deliveries, Duration::from_secs(2)).await;
        let mut status = Vec::new();
        for id in &ids {
            let task = world.get(&format!("/task/{id}")).await.json();
            status.push(task["progress"]["pages"].as_u64().expect("a number"));
        }
        assert_eq!(status, [1, 1, 2], "the good one has its two pages");
        assert_eq!(world.depth(QueueName::Documents).await, 2, "the others are received again");
        assert_eq!(world.depth(QueueName::Pages).await, 2);
        assert_eq!(world.spooled(), 0);
    })
    .await;
}

#[tokio::test]
async fn messages_of_unknown_tasks_and_malformed_ones_are_removed() {
    let world = TestWorld::without_worker(|_| {}).await;
    let queue = world.backend.queue(QueueName::Documents);
    let task_id = "task_00000000000000000000000000000000".parse().expect("an id");
    let message = DocumentMessage { task_id, document: 1, round: 1, job: DocumentJob::Split };
    queue.send(vec![OutgoingMessage::new(&message, &Tenant::default())]).await.expect("a message about nothing");
    let body = r#"{"v":99}"#.to_owned();
    let unreadable = OutgoingMessage { body, group: "default".to_owned(), delay: Duration::ZERO, trace: None };
    queue.send(vec![unreadable]).await.expect("an unreadable message");
    let stop = CancellationToken::new();
    let check = async {
        world.reaches(QueueName::Documents, 0).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(ingest(Arc::clone(&world.app), stop.clone()), check);
    ended.expect("ingest stops on shutdown");
    assert_eq!(world.depth(QueueName::DeadDocuments).await, 1);
}
