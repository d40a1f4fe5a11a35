//! Accepts connections, also while the process has no file descriptor left.

use std::{fs::File, io, net::SocketAddr, time::Duration};

use rustix::io::Errno;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tracing::error;

use crate::server::{connections::Connections, refusal};

/// The pause after a lack of file descriptors: the system reports it at once and again and again.
const DESCRIPTOR_PAUSE: Duration = Duration::from_millis(20);
/// The pause after an unexpected error.
const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// A listener, and a file descriptor in reserve for refusing a connection when there is no other.
#[derive(Debug)]
pub(super) struct Acceptor {
    listener: TcpListener,
    reserve: Option<File>,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, reserve: open_reserve() }
    }

    /// Returns the next connection. If the process is out of file descriptors, an idle or slow connection is closed, or
    /// else the new one is refused.
    pub(super) async fn accept(&mut self, connections: &Connections) -> (TcpStream, SocketAddr) {
        loop {
            let error = match self.listener.accept().await {
                Ok((stream, peer)) => {
                    // Responses are written as a whole; waiting for more data would only delay them.
                    let _ = stream.set_nodelay(true);
                    return (stream, peer);
                }
                Err(error) => error,
            };
            if is_of_the_connection(&error) {
                continue;
            }
            if !is_out_of_descriptors(&error) {
                error!(%error, "cannot accept a connection; retrying after a pause");
                sleep(ERROR_PAUSE).await;
            } else if connections.free_descriptor() {
                sleep(DESCRIPTOR_PAUSE).await;
            } else {
                self.refuse_one(connections).await;
                sleep(DESCRIPTOR_PAUSE).await;
            }
        }
    }

    /// Refuses one connection with the descriptor in reserve, so that its client need not wait.
    async fn refuse_one(&mut self, connections: &Connections) {
        self.reserve = None;
        // Another thread may take the descriptor first.
        if let Ok(Ok((stream, _))) = timeout(DESCRIPTOR_PAUSE, self.listener.accept()).await {
            refusal::refuse(&stream);
            connections.count_refused();
        }
        self.reserve = open_reserve();
    }
}

fn open_reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Whether the client ended its connection before it was accepted.
fn is_of_the_connection(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::ConnectionRefused, io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset];
    kinds.contains(&error.kind())
}

/// Whether the process (`EMFILE`) or the system (`ENFILE`) has too many open files.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}
