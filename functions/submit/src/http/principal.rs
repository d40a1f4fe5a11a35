//! The tenant that a request belongs to.

use axum::{extract::FromRequestParts, http::request::Parts};
use quire_platform::now;
use quire_tasks::{Task, TaskId, Tenant};

use crate::{
    http::{problem::Problem, problem_sources::task_problem},
    state::AppState,
};

/// The authenticated principal. The router adds it to every request that it admits; a missing one is a bug.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    pub(crate) tenant: Tenant,
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::internal(&"a request without a principal"))
    }
}

impl AppState {
    /// Returns a task of the principal. Error: `task_not_found`, also for a malformed id, an expired task and another
    /// tenant's task, so that ids cannot be probed.
    pub(crate) async fn task_of(&self, principal: &Principal, id: &str) -> Result<Task, Problem> {
        let task = self.stored_task_of(principal, id).await?;
        if task.expired(now()) { Err(Problem::task_not_found()) } else { Ok(task) }
    }

    /// As [`Self::task_of`], but also returns an expired task whose data may not be deleted yet.
    pub(crate) async fn stored_task_of(&self, principal: &Principal, id: &str) -> Result<Task, Problem> {
        let id: TaskId = id.parse().map_err(|_| Problem::task_not_found())?;
        let task = self.backend.tasks.task(id).await.map_err(task_problem)?;
        if task.tenant == principal.tenant { Ok(task) } else { Err(Problem::task_not_found()) }
    }
}
