//! The response to a connection beyond the limits.

use tokio::net::TcpStream;
use uuid::Uuid;

use crate::http::problem::Problem;

/// The most bytes of an unread request that are discarded, so that closing the connection does not reset it.
const DISCARDED_BYTES: usize = 16 << 10;

/// Sends a `503` without waiting for the client, who gets it or a closed connection.
pub(super) fn refuse(stream: &TcpStream) {
    let _ = stream.try_read(&mut [0; DISCARDED_BYTES]);
    let _ = stream.try_write(&response());
}

fn response() -> Vec<u8> {
    let problem = Problem::too_many_connections();
    let body = problem.body(&format!("req_{}", Uuid::now_v7().simple()));
    let retry_after = problem.retry_after_secs().unwrap_or_default();
    let mut response = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         retry-after: {retry_after}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    response.extend(body);
    response
}
