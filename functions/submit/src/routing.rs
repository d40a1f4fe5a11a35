//! Who reads a task, and what it waits for: the operator's routes, with what is written down about their engines.

use std::{sync::Arc, time::Duration};

use quire_platform::{Backend, Result, engine_status};
use quire_routes::{Config, NotOffered, WaitingReason};
use quire_tasks::{EngineStatuses, ReadAs, Task, TaskId};
use tokio::{sync::Mutex, time::Instant};
use tracing::warn;

use crate::{Wanted, accept::now};

/// How old what is known of the board may be: many clients ask for their tasks at the same moment, and none of them
/// minds a second.
const FRESH: Duration = Duration::from_secs(1);

/// The routes, and the board as it was read last.
#[derive(Debug)]
pub(crate) struct Routing {
    config: Arc<Config>,
    /// Locked while it is read, so that those who ask meanwhile wait for that one answer.
    board: Mutex<Option<(Instant, Arc<EngineStatuses>)>>,
}

impl Routing {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self { config, board: Mutex::new(None) }
    }

    /// How this task is read. The outer error is the backend's.
    pub(crate) async fn assign(
        &self,
        backend: &Backend,
        id: TaskId,
        wanted: Wanted,
    ) -> Result<Result<ReadAs, NotOffered>> {
        let Wanted { mode, engine } = wanted;
        let has_canary = self.config.route(mode.name()).is_some_and(|route| route.canary.is_some());
        // All that the board says here is whether a canary was rolled back.
        let board = if has_canary && engine.is_none() { self.board(backend).await? } else { Arc::default() };
        Ok(self.config.assign(id, mode, engine.as_deref(), &board))
    }

    /// What an open task waits for besides its turn. A board that cannot be read tells nothing: how far the task is, is
    /// known all the same.
    pub(crate) async fn waiting_reason(&self, backend: &Backend, task: &Task) -> Option<WaitingReason> {
        if task.status().ended() {
            return None;
        }
        match self.board(backend).await {
            Ok(board) => self.config.waiting_reason(&task.read_as, &board, now()),
            Err(error) => {
                warn!(%error, "what is written down about engines cannot be read");
                None
            }
        }
    }

    async fn board(&self, backend: &Backend) -> Result<Arc<EngineStatuses>> {
        let mut last = self.board.lock().await;
        if let Some((_, board)) = last.as_ref().filter(|(read, _)| read.elapsed() < FRESH) {
            return Ok(Arc::clone(board));
        }
        let board = Arc::new(engine_status::read(backend).await?);
        *last = Some((Instant::now(), Arc::clone(&board)));
        Ok(board)
    }
}
