//! The HTTP server of `quire serve`: an accept loop with limits and timeouts for connections.
//!
//! `axum::serve` has neither: a client that opens connections and sends nothing takes all file descriptors of the
//! process. Here, each connection has an activity that says what it waits for. The timeouts and the
//! choice which connection is closed at a limit depend on it. Lambda functions do not need this module.
//!
//! HTTP/1.1 only: HTTP/2 would need limits of its own, for streams, header tables and resets.

mod acceptor;
mod activity;
mod connection;
mod connections;
mod refusal;
mod settings;
mod stream;

use std::{sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    net::TcpListener,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use acceptor::Acceptor;
use connection::ConnectionTask;
use connections::{Connections, REPORT_INTERVAL};

pub(crate) use acceptor::is_out_of_descriptors;
pub use settings::{ConnectionLimits, ConnectionTimeouts, ServerSettings};

/// How long open requests may take after a shutdown request: long enough for requests that are about to end, and a slow
/// client cannot keep the process running.
const CLIENT_DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves the router until `shutdown`, then stops accepting and waits up to 10 seconds for open requests.
pub async fn serve_http(listener: TcpListener, router: Router, settings: ServerSettings, shutdown: &CancellationToken) {
    let connections = Arc::new(Connections::new(settings.limits));
    let mut acceptor = Acceptor::new(listener);
    let tasks = TaskTracker::new();
    let abort = CancellationToken::new();
    let mut report = interval(REPORT_INTERVAL);
    report.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = acceptor.accept(&connections) => accepted,
            _ = report.tick() => {
                connections.report();
                continue;
            }
            () = shutdown.cancelled() => break,
        };
        let Some(admitted) = connections.admit(peer.ip()) else {
            refusal::refuse(&stream);
            continue;
        };
        let task = ConnectionTask {
            admitted,
            router: router.clone(),
            timeouts: settings.timeouts,
            shutdown: shutdown.clone(),
            abort: abort.clone(),
        };
        tasks.spawn(task.serve(stream));
    }
    // Closed before the drain, so that clients reach another server at once.
    drop(acceptor);
    tasks.close();
    if timeout(CLIENT_DRAIN_TIMEOUT, tasks.wait()).await.is_err() {
        warn!("shutdown timeout: some client requests are still open and are dropped");
        abort.cancel();
        tasks.wait().await;
    }
    connections.report();
}
