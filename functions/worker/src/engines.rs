//! All engines of this worker, each behind its guard.

use std::{collections::BTreeMap, future::pending, sync::Arc, time::Duration};

use quire_routes::{Config, EngineEntry, EngineKind};
use quire_tasks::{BreakerState, EngineName, EngineReport, UnixMillis};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    engine_guard::{EngineCapacity, EngineGuard},
    engine_transport::EngineTransport,
    local,
    local_engine::LocalEngine,
};

/// The engines, and the routes through them.
#[derive(Debug)]
pub(crate) struct Engines {
    config: Arc<Config>,
    guards: BTreeMap<EngineName, EngineGuard>,
    changes: watch::Sender<()>,
    target_pages: u32,
}

/// The tasks between the transports and the engines' threads. They stop when this is dropped.
pub(crate) type EngineDrivers = JoinSet<()>;

/// Starts every engine of the configuration, one after the other: a task may name any of them.
///
/// # Errors
/// When one of them cannot start.
pub(crate) async fn start<M>(
    config: Arc<Config>,
    make_engine: Arc<M>,
    page_timeout: Duration,
) -> anyhow::Result<(Arc<Engines>, EngineDrivers)>
where
    M: Fn(&EngineEntry) -> anyhow::Result<LocalEngine> + Send + Sync + 'static,
{
    let mut guards = BTreeMap::new();
    let mut drivers = JoinSet::new();
    let mut target_pages = 0;
    let changes = watch::Sender::new(());
    for entry in config.engines.values() {
        let (transport, engine_target) = match &entry.kind {
            EngineKind::Openai(server) => EngineTransport::to_server(entry, server)?,
            EngineKind::Tesseract(program) => EngineTransport::to_program(entry, program).await,
            EngineKind::PpOcr(_) | EngineKind::HunyuanOcr(_) => {
                let make_engine = Arc::clone(&make_engine);
                let started = local::start(entry.clone(), move |entry| make_engine(entry), page_timeout).await?;
                drivers.spawn(started.driver);
                (started.transport, started.target_pages)
            }
        };
        target_pages = target_pages.max(engine_target);
        let engine = entry.engine.clone();
        guards.insert(engine.clone(), EngineGuard::new(engine, transport, config.breaker, changes.clone()));
    }
    Ok((Arc::new(Engines { config, guards, changes, target_pages }), drivers))
}

impl Engines {
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Returns how many pages in flight keep the engine with the largest demand busy.
    pub(crate) const fn target_pages(&self) -> u32 {
        self.target_pages
    }

    /// Returns the guard of an engine of the configuration.
    ///
    /// # Panics
    /// When the configuration does not have the engine.
    pub(crate) fn guard(&self, engine: &EngineName) -> &EngineGuard {
        &self.guards[engine]
    }

    pub(crate) fn guards(&self) -> impl Iterator<Item = (&EngineName, &EngineGuard)> {
        self.guards.iter()
    }

    /// Returns the breaker state of every engine, in the order of their names.
    pub(crate) fn breaker_states(&self) -> Vec<BreakerState> {
        self.guards.values().map(EngineGuard::breaker_state).collect()
    }

    /// Returns a report of every engine, for the engine status store.
    pub(crate) fn reports(&self, worker: &str, at: UnixMillis) -> Vec<EngineReport> {
        self.guards.values().map(|guard| guard.report(worker, at)).collect()
    }

    /// Subscribes to every change that may open or close an engine for pages.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Waits until a page may be received, and returns the capacity.
    pub(crate) async fn wait_for_capacity(&self) -> EngineCapacity {
        let mut changes = self.changes();
        loop {
            let capacity = self.capacity();
            let EngineCapacity::None { until } = capacity else { return capacity };
            tokio::select! {
                changed = changes.changed() => changed.unwrap_or(()),
                () = sleep_until_known(until) => {}
            }
        }
    }

    /// Waits until no page may be received any more.
    pub(crate) async fn wait_until_none(&self) {
        let mut changes = self.changes();
        while !matches!(self.capacity(), EngineCapacity::None { .. }) {
            changes.changed().await.unwrap_or(());
        }
    }

    /// Returns the largest capacity among the primaries and fallbacks of the routes. A canary does not count: its pages
    /// have a fallback.
    pub(crate) fn capacity(&self) -> EngineCapacity {
        let now = std::time::Instant::now();
        let routed = self.config.routes.iter().flat_map(|route| [Some(&route.primary), route.fallback.as_ref()]);
        let capacities = routed.flatten().map(|engine| self.guard(engine).capacity(now));
        capacities.reduce(larger).unwrap_or(EngineCapacity::Many)
    }
}

/// Returns the larger of two capacities; of two without capacity, the one that ends first.
fn larger(a: EngineCapacity, b: EngineCapacity) -> EngineCapacity {
    use EngineCapacity::None as Blocked;
    match (a, b) {
        (Blocked { until: Some(a) }, Blocked { until: Some(b) }) => Blocked { until: Some(a.min(b)) },
        (Blocked { until: None }, other @ Blocked { .. }) | (other @ Blocked { .. }, Blocked { until: None }) => other,
        (a, b) => a.min(b),
    }
}

async fn sleep_until_known(until: Option<std::time::Instant>) {
    match until {
        Some(until) => sleep_until(Instant::from_std(until)).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_capacity_is_that_of_the_engine_with_the_most() {
        let now = std::time::Instant::now();
        let open_for = |secs| EngineCapacity::None { until: Some(now + Duration::from_secs(secs)) };
        let paused = EngineCapacity::None { until: None };
        assert_eq!(larger(open_for(1), EngineCapacity::Many), EngineCapacity::Many);
        assert_eq!(larger(EngineCapacity::One, EngineCapacity::Many), EngineCapacity::Many);
        assert_eq!(larger(EngineCapacity::One, paused), EngineCapacity::One);
        assert_eq!(larger(open_for(2), open_for(1)), open_for(1));
        assert_eq!(larger(paused, open_for(1)), open_for(1));
        assert_eq!(larger(open_for(1), paused), open_for(1));
    }
}
