//! Assigns tasks to engines by the operator's routes, and explains what an open task waits for.

use std::{sync::Arc, time::Duration};

use quire_platform::{Backend, Result, engine_status, now};
use quire_routes::{Config, NotOffered, WaitingReason};
use quire_tasks::{EngineStatuses, ReadAs, Task, TaskId};
use tokio::{sync::Mutex, time::Instant};
use tracing::warn;

use crate::tasks::options::ReadOptions;

/// The maximum age of the cached engine statuses, which all polling clients share.
const CACHE_TTL: Duration = Duration::from_secs(1);

/// The routes, with a cache of the engine statuses.
#[derive(Debug)]
pub(crate) struct Routing {
    config: Arc<Config>,
    /// Locked during a read, so that concurrent requests share it.
    cache: Mutex<Option<(Instant, Arc<EngineStatuses>)>>,
}

impl Routing {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self { config, cache: Mutex::new(None) }
    }

    /// Assigns a new task. The outer error is the backend's; the inner one means that no engine supports the request.
    pub(crate) async fn assign(
        &self,
        backend: &Backend,
        id: TaskId,
        options: ReadOptions,
    ) -> Result<Result<ReadAs, NotOffered>> {
        let ReadOptions { mode, engine, text_layer } = options;
        let has_canary = self.config.route(mode.name()).is_some_and(|route| route.canary.is_some());
        // The statuses only matter for a canary, which may be rolled back.
        let statuses = if has_canary && engine.is_none() { self.statuses(backend).await? } else { Arc::default() };
        let assigned = self.config.assign(id, mode, engine.as_deref(), &statuses);
        Ok(assigned.map(|read_as| ReadAs { text_layer, ..read_as }))
    }

    /// Returns what an open task waits for, if not only for capacity. If the engine statuses cannot be read, the reason
    /// is unknown, and the request still succeeds.
    pub(crate) async fn waiting_reason(&self, backend: &Backend, task: &Task) -> Option<WaitingReason> {
        if task.status().ended() {
            return None;
        }
        match self.statuses(backend).await {
            Ok(statuses) => self.config.waiting_reason(&task.read_as, &statuses, now()),
            Err(error) => {
                warn!(%error, "cannot read engine status");
                None
            }
        }
    }

    async fn statuses(&self, backend: &Backend) -> Result<Arc<EngineStatuses>> {
        let mut cache = self.cache.lock().await;
        if let Some((read_at, statuses)) = cache.as_ref()
            && read_at.elapsed() < CACHE_TTL
        {
            return Ok(Arc::clone(statuses));
        }
        let statuses = Arc::new(engine_status::read(backend).await?);
        *cache = Some((Instant::now(), Arc::clone(&statuses)));
        Ok(statuses)
    }
}
