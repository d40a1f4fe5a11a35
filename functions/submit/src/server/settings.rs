//! The settings of the HTTP server, with their defaults.

use std::time::Duration;

use quire_telemetry::env::{self, Misconfigured};
use rustix::process::{Resource, getrlimit};

use crate::settings::SubmitSettings;

/// The most descriptors that are kept for files, child processes, outgoing connections and the database.
const RESERVED_DESCRIPTORS: u64 = 256;
/// Descriptors of a connection: its socket, and the spool file of its upload.
const DESCRIPTORS_PER_CONNECTION: u64 = 2;
/// The default never exceeds this: beyond it, memory rather than descriptors is the limit.
const MAX_DEFAULT_CONNECTIONS: u64 = 4096;
/// The default is at least this, however few descriptors there are.
const MIN_DEFAULT_CONNECTIONS: u64 = 16;

/// The settings of [`super::serve_http`].
#[derive(Debug, Clone, Copy)]
pub struct ServerSettings {
    /// How many connections are open.
    pub limits: ConnectionLimits,
    /// How long a connection may wait.
    pub timeouts: ConnectionTimeouts,
}

/// The maximum numbers of open connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// In total. Default: half of the file descriptors that are left after a reserve of 256, at most 4096.
    pub total: usize,
    /// From one IPv4 address or one IPv6 /64 network. Default: three quarters of the total, so that one client leaves
    /// room for others, and a reverse proxy still has most of it.
    pub per_peer: usize,
}

/// How long a connection may wait for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionTimeouts {
    /// From the first byte of a request, or from the connection's start, to the end of its headers. Default: 10
    /// seconds.
    pub header: Duration,
    /// Between two requests. Default: 1 minute.
    pub keep_alive: Duration,
    /// A client that takes less than `min_window_bytes` of a response in this time is disconnected: the window of
    /// uploads. Default: 30 seconds.
    pub window: Duration,
    /// The minimum number of bytes in a window. Default: 1024 per second of it.
    pub min_window_bytes: u64,
}

impl ServerSettings {
    /// Reads `QUIRE_MAX_CONNECTIONS`, `QUIRE_MAX_CONNECTIONS_PER_PEER`, `QUIRE_HEADER_LIMIT_SECS` and
    /// `QUIRE_KEEP_ALIVE_SECS`; the minimum rate is that of uploads.
    ///
    /// # Errors
    /// [`Misconfigured`] if a variable has an invalid value.
    pub fn from_env(submit: &SubmitSettings) -> Result<Self, Misconfigured> {
        let default_total = default_connections(getrlimit(Resource::Nofile).current);
        let total = env::within("QUIRE_MAX_CONNECTIONS", default_total, 1..=1_000_000)?;
        let default_per_peer = (total - total / 4).max(1);
        let per_peer = env::within("QUIRE_MAX_CONNECTIONS_PER_PEER", default_per_peer, 1..=1_000_000)?;
        Ok(Self {
            limits: ConnectionLimits { total, per_peer },
            timeouts: ConnectionTimeouts {
                header: env::secs_within("QUIRE_HEADER_LIMIT_SECS", 10, 1..=3600)?,
                keep_alive: env::secs_within("QUIRE_KEEP_ALIVE_SECS", 60, 1..=86_400)?,
                window: submit.rate_window(),
                min_window_bytes: submit.min_window_bytes(),
            },
        })
    }
}

/// Returns the default maximum of connections for a soft limit of file descriptors; `None` is no limit.
fn default_connections(descriptors: Option<u64>) -> usize {
    let descriptors = descriptors.unwrap_or(u64::MAX);
    let reserved = RESERVED_DESCRIPTORS.min(descriptors / 2);
    let connections = (descriptors - reserved) / DESCRIPTORS_PER_CONNECTION;
    connections.clamp(MIN_DEFAULT_CONNECTIONS, MAX_DEFAULT_CONNECTIONS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_files_and_children() {
        let expected = [(Some(64), 16), (Some(256), 64), (Some(1024), 384), (Some(65_536), 4096), (None, 4096)];
        for (descriptors, connections) in expected {
            assert_eq!(default_connections(descriptors), connections, "{descriptors:?}");
        }
    }
}
