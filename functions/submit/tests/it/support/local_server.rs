//! A server as `quire serve` runs it: with limits of connections, and with protection from web pages.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use quire_submit::{ConnectionLimits, ConnectionTimeouts, ServerSettings, local_router, serve_http};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::TestWorld;

/// The longest wait for anything a test waits for.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Settings that close nothing in a test.
pub(crate) const RELAXED: ServerSettings = ServerSettings {
    limits: ConnectionLimits { total: 1000, per_peer: 1000 },
    timeouts: ConnectionTimeouts { header: TIMEOUT, keep_alive: TIMEOUT, window: TIMEOUT, min_window_bytes: 1 },
};

/// A running server on the backend of a world.
#[derive(Debug)]
pub(crate) struct LocalServer {
    pub(crate) address: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl LocalServer {
    pub(crate) async fn start(world: &TestWorld, settings: ServerSettings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = local_router(Arc::clone(&world.app), address);
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let serving = tokio::spawn(async move { serve_http(listener, router, settings, &stop).await });
        Self { address, shutdown, serving }
    }

    /// Shuts the server down, and waits until it has ended.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        timeout(TIMEOUT, self.serving).await.expect("the server ends").expect("the server does not panic");
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection(TcpStream::connect(self.address).await.expect("a connection"))
    }

    /// Sends a request on a new connection, and returns all that is answered until the connection is closed.
    pub(crate) async fn exchange(&self, request: &str) -> String {
        let mut connection = self.connect().await;
        connection.send(request).await;
        connection.rest().await
    }
}

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Connection(pub(crate) TcpStream);

impl Connection {
    pub(crate) async fn send(&mut self, text: &str) {
        self.try_send(text).await.expect("the server takes it");
    }

    pub(crate) async fn try_send(&mut self, text: &str) -> std::io::Result<()> {
        self.0.write_all(text.as_bytes()).await
    }

    /// Returns what is answered until the connection is closed or reset.
    pub(crate) async fn rest(&mut self) -> String {
        let mut answer = Vec::new();
        let mut chunk = vec![0; 64 << 10];
        loop {
            match timeout(TIMEOUT, self.0.read(&mut chunk)).await.expect("the connection is closed") {
                Ok(0) | Err(_) => return String::from_utf8_lossy(&answer).into_owned(),
                Ok(bytes) => answer.extend_from_slice(&chunk[..bytes]),
            }
        }
    }

    /// Returns the headers and the beginning of the body of one response.
    pub(crate) async fn response(&mut self) -> String {
        let mut answer = vec![0; 64 << 10];
        let bytes = timeout(TIMEOUT, self.0.read(&mut answer)).await.expect("an answer").expect("an answer");
        String::from_utf8_lossy(&answer[..bytes]).into_owned()
    }

    /// Whether the server has closed the connection.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let read = timeout(Duration::from_millis(50), self.0.read(&mut [0; 1])).await;
        matches!(read, Ok(Ok(0) | Err(_)))
    }
}
