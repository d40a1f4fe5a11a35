//! `serve` with many connections, and with work that does not end.

use std::{
    os::unix::process::ExitStatusExt,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::harness::{ServeOptions, ServeProcess, eventually, expected_texts, quire};

/// More than the server's limit of open files.
const CONNECTIONS: usize = 1100;
const GET_HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// A request whose headers are complete and whose body never is.
const UPLOAD: &str = "POST /ocr/async HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                      Content-Length: 1000\r\n\r\n{";

fn address(serve: &ServeProcess) -> String {
    serve.api().base.strip_prefix("http://").expect("plain HTTP").to_owned()
}

async fn connect(address: &str, beginning: &str) -> Option<TcpStream> {
    let mut socket = timeout(Duration::from_secs(20), TcpStream::connect(address)).await.ok()?.ok()?;
    let _ = socket.write_all(beginning.as_bytes()).await;
    Some(socket)
}

#[tokio::test(flavor = "multi_thread")]
async fn more_incomplete_requests_than_open_files_do_not_stop_the_server() {
    let limit = Rlimit { current: getrlimit(Resource::Nofile).maximum, ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).expect("the limit of this test can be raised");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = ServeOptions::new(folder.path()).workers(0).prelude("ulimit -n 1024");
    let serve = ServeProcess::start(options).await;
    let address = address(&serve);
    let mut sockets = Vec::new();
    for _ in 0..CONNECTIONS {
        sockets.push(connect(&address, "GET /healthz HTTP/1.1\r\nHost: loc").await);
    }
    for _ in 0..3 {
        let begun = Instant::now();
        let mut client = connect(&address, GET_HEALTH).await.expect("the server accepts a connection");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    }
    assert!(serve.log().contains(expected_texts::CONNECTION_LIMIT), "{}", serve.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_in_time_with_work_that_does_not_end() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // A server that accepts connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent_url = format!("http://{}/document.png", silent.local_addr().expect("an address"));
    let options = ServeOptions::new(folder.path()).workers(0).dev();
    let options = options.variable("QUIRE_DRAIN_SECS", "1").variable("QUIRE_SHUTDOWN_SECS", "3");
    let mut serve = ServeProcess::start(options).await;
    for _ in 0..20 {
        serve.api().submit_url(&silent_url, None).await.accepted_task_id();
    }
    let mut sockets = Vec::new();
    for _ in 0..10 {
        sockets.push(connect(&address(&serve), UPLOAD).await);
    }
    eventually("documents are being fetched", || async {
        let health = serve.api().get("/healthz").await;
        (health.body["queues"]["documents"]["in_flight"].as_u64() > Some(0)).then_some(())
    })
    .await;
    let begun = Instant::now();
    let status = serve.stop().await;
    assert_eq!(status.code(), Some(0), "{}", serve.log());
    assert!(begun.elapsed() < Duration::from_secs(15), "it took {:?}:\n{}", begun.elapsed(), serve.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_server_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut serve = ServeProcess::start(ServeOptions::new(folder.path()).workers(0)).await;
    let _open = connect(&address(&serve), UPLOAD).await.expect("a connection");
    tokio::time::sleep(Duration::from_millis(300)).await;
    serve.terminate();
    eventually("the shutdown begins", || async { serve.log().contains("shutting down").then_some(()) }).await;
    let begun = Instant::now();
    let status = serve.stop().await;
    assert_eq!(status.signal(), Some(6), "{}", serve.log());
    assert!(begun.elapsed() < Duration::from_secs(8), "it took {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_development_mode_is_for_this_machine_only() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("the path is UTF-8");
    let refused = quire(["serve", "--dev", "--listen", "0.0.0.0:0", "--workers", "0", "--data", data]).await;
    let error = refused.expect_error_line();
    assert!(error.contains(expected_texts::DEVELOPMENT_BEYOND_LOOPBACK), "{error}");
}
