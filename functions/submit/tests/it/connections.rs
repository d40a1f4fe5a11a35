//! The HTTP server's limits and timeouts of connections.

use std::time::{Duration, Instant};

use quire_submit::{ConnectionLimits, ConnectionTimeouts, ServerSettings};
use tokio::time::{sleep, timeout};

use crate::support::{Connection, LocalServer, RELAXED, TestWorld, boundary};

const GET_HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const KEEP_ALIVE: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// A request whose headers are complete and whose body is not.
const UPLOAD: &str = "POST /ocr/async HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                      Content-Length: 100000\r\n\r\n{";

const fn limits(total: usize, per_peer: usize) -> ServerSettings {
    ServerSettings { limits: ConnectionLimits { total, per_peer }, ..RELAXED }
}

const fn timeouts(timeouts: ConnectionTimeouts) -> ServerSettings {
    ServerSettings { timeouts, ..RELAXED }
}

async fn world() -> TestWorld {
    TestWorld::without_worker(|_| {}).await
}

/// Opens connections that send the same beginning of a request.
async fn open(server: &LocalServer, count: usize, beginning: &str) -> Vec<Connection> {
    let mut connections = Vec::new();
    for _ in 0..count {
        let mut connection = server.connect().await;
        // A connection may be closed before it has sent anything.
        let _ = connection.try_send(beginning).await;
        connections.push(connection);
    }
    connections
}

async fn count_closed(connections: &mut [Connection]) -> usize {
    let mut closed = 0;
    for connection in connections {
        closed += usize::from(connection.is_closed().await);
    }
    closed
}

#[tokio::test]
async fn incomplete_requests_give_way_to_new_connections() {
    let world = world().await;
    let server = LocalServer::start(&world, limits(20, 10)).await;
    let mut incomplete = open(&server, 40, "GET /healthz HTTP/1.1\r\nHost: loc").await;
    let begun = Instant::now();
    assert!(server.exchange(GET_HEALTH).await.starts_with("HTTP/1.1 200"));
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    let closed = count_closed(&mut incomplete).await;
    assert!((30..=31).contains(&closed), "{closed} of 40 are closed");
}

#[tokio::test]
async fn idle_connections_give_way_to_new_ones() {
    let world = world().await;
    let server = LocalServer::start(&world, limits(5, 5)).await;
    let mut idle = server.connect().await;
    idle.send(KEEP_ALIVE).await;
    assert!(idle.response().await.starts_with("HTTP/1.1 200"));
    let _others = open(&server, 5, "").await;
    assert!(server.exchange(GET_HEALTH).await.starts_with("HTTP/1.1 200"));
    assert!(idle.is_closed().await);
}

#[tokio::test]
async fn requests_in_progress_are_not_closed_and_new_connections_are_refused_at_once() {
    let world = world().await;
    let server = LocalServer::start(&world, limits(2, 2)).await;
    let mut uploads = open(&server, 2, UPLOAD).await;
    // The server must have read them.
    sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    let refused = server.exchange(GET_HEALTH).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("too_many_connections"), "{refused}");
    assert!(refused.contains("retry-after: 1") && refused.contains("application/problem+json"), "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    assert_eq!(count_closed(&mut uploads).await, 0);
    drop(uploads);
    for _ in 0..100 {
        if server.exchange(GET_HEALTH).await.starts_with("HTTP/1.1 200") {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("the closed connections still count");
}

#[tokio::test]
async fn headers_and_the_next_request_have_a_timeout() {
    let world = world().await;
    let short = Duration::from_millis(300);
    let header = ConnectionTimeouts { header: short, ..RELAXED.timeouts };
    let server = LocalServer::start(&world, timeouts(header)).await;
    for beginning in ["", "GET / HTTP/1.1\r\nX-Filler: a"] {
        let begun = Instant::now();
        assert_eq!(server.exchange(beginning).await, "");
        assert!(begun.elapsed() >= short && begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
    // A byte from time to time does not extend the headers' timeout.
    let mut dripping = server.connect().await;
    let begun = Instant::now();
    while dripping.try_send("a").await.is_ok() && !dripping.is_closed().await {
        assert!(begun.elapsed() < Duration::from_secs(10));
        sleep(Duration::from_millis(50)).await;
    }
    server.stop().await;

    let keep_alive = ConnectionTimeouts { keep_alive: short, ..RELAXED.timeouts };
    let server = LocalServer::start(&world, timeouts(keep_alive)).await;
    let begun = Instant::now();
    assert!(server.exchange(KEEP_ALIVE).await.starts_with("HTTP/1.1 200"));
    assert!(begun.elapsed() >= short && begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_keep_alive_connection_serves_many_requests() {
    let world = world().await;
    let server = LocalServer::start(&world, limits(1, 1)).await;
    let mut connection = server.connect().await;
    for _ in 0..20 {
        connection.send(KEEP_ALIVE).await;
        assert!(connection.response().await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn a_body_below_the_minimum_rate_is_refused() {
    let mut world = TestWorld::without_worker(|settings| {
        settings.min_body_rate = 1_000_000;
        settings.idle_limit = Duration::from_secs(1);
    })
    .await;
    world.start_worker();
    let server = LocalServer::start(&world, RELAXED).await;
    for head in [UPLOAD.to_owned(), form_upload()] {
        let mut connection = server.connect().await;
        connection.send(&head).await;
        let begun = Instant::now();
        let answer = drip(&mut connection).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
        assert!(answer.contains("upload_too_slow") || answer.contains("upload_stalled"), "{answer}");
    }
    world.assert_empty().await;
}

#[tokio::test]
async fn a_body_has_a_total_timeout() {
    let world = TestWorld::without_worker(|settings| settings.upload_limit = Duration::from_millis(500)).await;
    let server = LocalServer::start(&world, RELAXED).await;
    let mut connection = server.connect().await;
    connection.send(&form_upload()).await;
    let answer = drip(&mut connection).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("upload_too_slow"), "{answer}");
    world.assert_empty().await;
}

fn form_upload() -> String {
    let part = "--quire-test-boundary\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\n";
    format!(
        "POST /ocr HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: 100000\r\n\r\n{part}",
        boundary()
    )
}

/// Sends a byte from time to time until there is an answer.
async fn drip(connection: &mut Connection) -> String {
    for _ in 0..300 {
        let _ = connection.try_send("a").await;
        if let Ok(answer) = timeout(Duration::from_millis(50), connection.response()).await {
            return answer;
        }
    }
    panic!("no answer");
}

#[tokio::test]
async fn a_client_that_does_not_take_its_responses_is_disconnected() {
    let world = world().await;
    let window = Duration::from_millis(500);
    let slow = ConnectionTimeouts { window, min_window_bytes: 10_000_000, ..RELAXED.timeouts };
    let server = LocalServer::start(&world, timeouts(slow)).await;
    let mut connection = server.connect().await;
    // More than the buffers of both sockets hold.
    let requests = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(400);
    let begun = Instant::now();
    let sent = timeout(Duration::from_secs(20), connection.try_send(&requests)).await;
    assert!(sent.is_ok(), "the server neither reads nor closes");
    sleep(Duration::from_secs(2)).await;
    let received = connection.rest().await.len();
    assert!(received < 400 * 30_000, "all responses were delivered: {received} bytes");
    assert!(begun.elapsed() < Duration::from_secs(25), "it took {:?}", begun.elapsed());
}

#[tokio::test]
async fn http_2_is_not_spoken() {
    let world = world().await;
    let server = LocalServer::start(&world, RELAXED).await;
    // A client with prior knowledge: the preface and an empty SETTINGS frame.
    let answer = server.exchange("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    let upgrade = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\
                   Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    let answer = server.exchange(upgrade).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "the upgrade is ignored: {answer}");
}

#[tokio::test]
async fn long_targets_and_large_headers_are_problems() {
    let world = world().await;
    let server = LocalServer::start(&world, RELAXED).await;
    let target = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "a".repeat(10_000));
    let answer = server.exchange(&target).await;
    assert!(answer.starts_with("HTTP/1.1 414") && answer.contains("\"uri_too_long\""), "{answer}");
    let headers = |bytes: usize| {
        let filler = "a".repeat(bytes);
        format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Filler: {filler}\r\n\r\n")
    };
    let answer = server.exchange(&headers(40_000)).await;
    assert!(answer.starts_with("HTTP/1.1 431") && answer.contains("\"headers_too_large\""), "{answer}");
    let answer = server.exchange(&headers(1_000_000)).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn a_shutdown_closes_idle_connections_at_once_and_finishes_requests() {
    let world = world().await;
    let server = LocalServer::start(&world, RELAXED).await;
    let mut unused = server.connect().await;
    let mut idle = server.connect().await;
    idle.send(KEEP_ALIVE).await;
    idle.response().await;
    let begun = Instant::now();
    server.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    assert!(unused.is_closed().await && idle.is_closed().await);
}
