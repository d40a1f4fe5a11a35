//! All engines of this worker, each behind its gate.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use quire_routes::{Config, EngineEntry, Kind};
use quire_tasks::{BreakerState, EngineName, EngineReport, UnixMillis};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    gate::{Gate, Room},
    lane, local,
    local_engine::LocalEngine,
};

/// The engines, and the routes through them.
#[derive(Debug)]
pub(crate) struct Engines {
    config: Arc<Config>,
    gates: BTreeMap<EngineName, Gate>,
    changes: watch::Sender<()>,
    appetite: u32,
}

/// What stands between the lanes and the engines' threads. Dropped, it ends.
pub(crate) type Drivers = JoinSet<()>;

/// Starts every engine of the configuration, one after the other: a task may name any of them.
///
/// # Errors
/// When one of them cannot be had.
pub(crate) async fn start<M>(
    config: Arc<Config>,
    make: Arc<M>,
    page_limit: Duration,
) -> anyhow::Result<(Arc<Engines>, Drivers)>
where
    M: Fn(&EngineEntry) -> anyhow::Result<LocalEngine> + Send + Sync + 'static,
{
    let (mut gates, mut drivers, mut appetite) = (BTreeMap::new(), JoinSet::new(), 0);
    let changes = watch::Sender::new(());
    for entry in config.engines.values() {
        let (lane, hunger) = if let Kind::Openai(server) = &entry.kind {
            lane::to_server(entry, server)?
        } else {
            let make = Arc::clone(&make);
            let started = local::start(entry.clone(), move |entry| make(entry), page_limit).await?;
            drivers.spawn(started.driver);
            (started.lane, started.appetite)
        };
        appetite = appetite.max(hunger);
        let engine = entry.engine.clone();
        gates.insert(engine.clone(), Gate::new(engine, lane, config.breaker, changes.clone()));
    }
    Ok((Arc::new(Engines { config, gates, changes, appetite }), drivers))
}

impl Engines {
    /// The routes.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// How many pages keep the hungriest engine busy.
    pub(crate) const fn appetite(&self) -> u32 {
        self.appetite
    }

    /// An engine of the configuration.
    ///
    /// # Panics
    /// Where it is none of those.
    pub(crate) fn gate(&self, engine: &EngineName) -> &Gate {
        &self.gates[engine]
    }

    /// All of them.
    pub(crate) fn gates(&self) -> impl Iterator<Item = (&EngineName, &Gate)> {
        self.gates.iter()
    }

    /// How each stands.
    pub(crate) fn states(&self) -> Vec<BreakerState> {
        self.gates.values().map(Gate::state).collect()
    }

    /// How each does, for the board.
    pub(crate) fn reports(&self, worker: &str, at: UnixMillis) -> Vec<EngineReport> {
        self.gates.values().map(|gate| gate.report(worker, at)).collect()
    }

    /// Told of everything that may let a page through, or no longer.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Waits until a page may be received, and says whether only one.
    pub(crate) async fn opens(&self) -> Room {
        let mut changes = self.changes();
        loop {
            let room = self.room();
            let Room::None { until } = room else { return room };
            tokio::select! {
                heard = changes.changed() => heard.unwrap_or(()),
                () = wait(until) => {}
            }
        }
    }

    /// Waits until no page may be received any more.
    pub(crate) async fn closes(&self) {
        let mut changes = self.changes();
        while !matches!(self.room(), Room::None { .. }) {
            changes.changed().await.unwrap_or(());
        }
    }

    /// The most room that there is at any engine which a route asks first or next. A canary does not count: what is meant
    /// for it is read by others as well.
    pub(crate) fn room(&self) -> Room {
        let now = std::time::Instant::now();
        let routed = self.config.routes.iter().flat_map(|route| [Some(&route.primary), route.fallback.as_ref()]);
        let rooms = routed.flatten().map(|engine| self.gate(engine).room(now));
        rooms.reduce(wider).unwrap_or(Room::Many)
    }
}

/// The wider of two; of two without room the one that opens first.
fn wider(a: Room, b: Room) -> Room {
    match (a, b) {
        (Room::None { until: Some(a) }, Room::None { until: Some(b) }) => Room::None { until: Some(a.min(b)) },
        (Room::None { until: None }, none @ Room::None { .. })
        | (none @ Room::None { .. }, Room::None { until: None }) => none,
        (a, b) => a.min(b),
    }
}

async fn wait(until: Option<std::time::Instant>) {
    match until {
        Some(until) => sleep_until(Instant::from_std(until)).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_as_much_room_as_at_the_engine_with_the_most() {
        let now = std::time::Instant::now();
        let none = |secs| Room::None { until: Some(now + Duration::from_secs(secs)) };
        let paused = Room::None { until: None };
        assert_eq!(wider(none(1), Room::Many), Room::Many);
        assert_eq!(wider(Room::One, Room::Many), Room::Many);
        assert_eq!(wider(Room::One, paused), Room::One);
        assert_eq!(
            (wider(none(2), none(1)), wider(paused, none(1)), wider(none(1), paused)),
            (none(1), none(1), none(1))
        );
    }
}
