//! The open connections, and their limits in total and per peer.
//!
//! At a limit, the least useful connection is closed in favor of the new one: an idle or incomplete one, or else the
//! slowest transfer. A request that this server works on is never interrupted; if there are only such, the new
//! connection is refused. At the total limit, the peer with the most connections loses one.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::server::{activity::Activity, settings::ConnectionLimits};

/// Interval of the log lines and metrics about connections that were closed or refused.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The open connections.
#[derive(Debug)]
pub(super) struct Connections {
    limits: ConnectionLimits,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    open: HashMap<u64, OpenConnection>,
    by_peer: HashMap<IpAddr, usize>,
    events: LimitEvents,
    reported_at: Option<Instant>,
}

#[derive(Debug)]
struct OpenConnection {
    peer: IpAddr,
    activity: Arc<Activity>,
    closed: CancellationToken,
}

/// What happened since the last report.
#[derive(Debug, Default, PartialEq, Eq)]
struct LimitEvents {
    /// Connections that were closed in favor of others.
    closed: u64,
    refused: u64,
    /// How often a connection could not be accepted for lack of file descriptors.
    out_of_descriptors: u64,
}

/// A connection within the limits. It counts until it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    id: u64,
    connections: Arc<Connections>,
    pub(super) activity: Arc<Activity>,
    /// Canceled when the connection must be closed in favor of another.
    pub(super) closed: CancellationToken,
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self { limits, started: Instant::now(), state: Mutex::default() }
    }

    /// Adds a connection of a peer. Returns `None` if a limit is reached and no connection may be closed.
    pub(super) fn admit(self: &Arc<Self>, ip: IpAddr) -> Option<Admitted> {
        let peer = network_of(ip);
        let mut state = self.state();
        let within_limits = if state.by_peer.get(&peer).copied().unwrap_or(0) >= self.limits.per_peer {
            state.close_one(Some(peer))
        } else if state.open.len() >= self.limits.total {
            let largest = state.by_peer.iter().max_by_key(|(_, count)| **count).map(|(peer, _)| *peer);
            state.close_one(largest) || state.close_one(None)
        } else {
            true
        };
        if !within_limits {
            state.events.refused += 1;
            state.report_at_intervals();
            return None;
        }
        let id = state.next_id;
        state.next_id += 1;
        let activity = Arc::new(Activity::new(self.started));
        let closed = CancellationToken::new();
        let open = OpenConnection { peer, activity: Arc::clone(&activity), closed: closed.clone() };
        state.open.insert(id, open);
        *state.by_peer.entry(peer).or_insert(0) += 1;
        state.report_at_intervals();
        drop(state);
        Some(Admitted { id, connections: Arc::clone(self), activity, closed })
    }

    /// Closes a connection, since the process has no file descriptor left. Returns false if none may be closed.
    pub(super) fn free_descriptor(&self) -> bool {
        let mut state = self.state();
        state.events.out_of_descriptors += 1;
        let closed = state.close_one(None);
        state.report_at_intervals();
        closed
    }

    /// Counts a connection that was refused for lack of file descriptors.
    pub(super) fn count_refused(&self) {
        self.state().events.refused += 1;
    }

    /// Logs what happened since the last report, if anything did and the last report is old enough.
    pub(super) fn report(&self) {
        self.state().report_at_intervals();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Closes the most dispensable connection, of this peer only if one is given. Returns false if there is none.
    fn close_one(&mut self, peer: Option<IpAddr>) -> bool {
        let of_peer = self.open.iter().filter(|(_, open)| peer.is_none_or(|peer| open.peer == peer));
        let dispensable = of_peer.filter_map(|(id, open)| Some((open.activity.dispensable()?, *id)));
        let Some((_, id)) = dispensable.min() else { return false };
        if let Some(open) = self.remove(id) {
            open.closed.cancel();
        }
        self.events.closed += 1;
        true
    }

    fn remove(&mut self, id: u64) -> Option<OpenConnection> {
        let open = self.open.remove(&id)?;
        if let Some(count) = self.by_peer.get_mut(&open.peer) {
            *count -= 1;
            if *count == 0 {
                self.by_peer.remove(&open.peer);
            }
        }
        Some(open)
    }

    /// Reports at most once per interval: under attack, one line per connection would fill the disk.
    fn report_at_intervals(&mut self) {
        let is_due = self.reported_at.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL);
        if !is_due || self.events == LimitEvents::default() {
            return;
        }
        let LimitEvents { closed, refused, out_of_descriptors } = std::mem::take(&mut self.events);
        let open = self.open.len();
        if out_of_descriptors > 0 {
            warn!(
                open,
                closed,
                refused,
                out_of_descriptors,
                "out of file descriptors: raise `ulimit -n`, or lower QUIRE_MAX_CONNECTIONS"
            );
        } else {
            warn!(
                open,
                closed, refused, "connection limit reached: idle and slow connections were closed, or new ones refused"
            );
        }
        quire_telemetry::metrics::count("ConnectionsClosed", closed);
        quire_telemetry::metrics::count("ConnectionsRefused", refused);
        self.reported_at = Some(Instant::now());
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.connections.state().remove(self.id);
    }
}

/// Returns what counts as one peer: an IPv4 address, or an IPv6 /64 network, which is the least that one customer of a
/// provider has (RFC 6177).
fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::activity::Phase;

    fn connections(total: usize, per_peer: usize) -> Arc<Connections> {
        Arc::new(Connections::new(ConnectionLimits { total, per_peer }))
    }

    fn peer(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_unused_connection_of_a_peer_at_its_limit_is_closed() {
        let connections = connections(10, 2);
        let first = connections.admit(peer(1)).expect("within the limits");
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        let second = connections.admit(peer(1)).expect("within the limits");
        let other = connections.admit(peer(2)).expect("within the limits");
        let third = connections.admit(peer(1)).expect("the first is closed");
        let closed = [&first, &second, &other, &third].map(|admitted| admitted.closed.is_cancelled());
        assert_eq!(closed, [true, false, false, false]);
    }

    #[test]
    fn requests_in_progress_are_not_closed_and_a_dropped_connection_counts_no_more() {
        let connections = connections(2, 2);
        let working = || {
            let admitted = connections.admit(peer(1)).expect("within the limits");
            admitted.activity.begin(Phase::Working);
            admitted
        };
        let held = [working(), working()];
        assert!(connections.admit(peer(1)).is_none());
        assert!(connections.admit(peer(2)).is_none());
        assert!(held.iter().all(|admitted| !admitted.closed.is_cancelled()));
        drop(held);
        assert!(connections.admit(peer(2)).is_some());
    }

    #[test]
    fn at_the_total_limit_the_peer_with_the_most_connections_loses_one() {
        let connections = connections(4, 3);
        let few = connections.admit(peer(1)).expect("within the limits");
        let many: Vec<_> = (0..3).map(|_| connections.admit(peer(2)).expect("within the limits")).collect();
        assert!(connections.admit(peer(3)).is_some());
        assert!(!few.closed.is_cancelled());
        assert_eq!(many.iter().filter(|admitted| admitted.closed.is_cancelled()).count(), 1);
    }

    #[test]
    fn an_ipv6_network_is_one_peer() {
        let network = |text: &str| network_of(text.parse().expect("an address"));
        assert_eq!(network("2001:db8:1:2:3::4"), network("2001:db8:1:2:ffff::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), peer(1));
        assert_ne!(peer(1), peer(2));
    }
}
