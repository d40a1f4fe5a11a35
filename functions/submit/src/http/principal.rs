//! Whose a request is.

use axum::{extract::FromRequestParts, http::request::Parts};
use quire_tasks::{Task, TaskId, Tenant};

use crate::{
    http::problem::{Problem, not_found},
    state::AppState,
    time::now,
};

/// Who asks. The router puts it on every request that it lets through; a call without it is a mistake of ours.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    /// The tenant.
    pub(crate) tenant: Tenant,
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::internal(&"a request without a caller"))
    }
}

impl AppState {
    /// A task of the caller's. Another tenant's, an expired one, and what is no id at all are all the same to it.
    pub(crate) async fn task_of(&self, principal: &Principal, id: &str) -> Result<Task, Problem> {
        let task = self.stored_task_of(principal, id).await?;
        if task.expired(now()) { Err(Problem::task_not_found()) } else { Ok(task) }
    }

    /// The same, as long as anything may be kept for it: for who removes that.
    pub(crate) async fn stored_task_of(&self, principal: &Principal, id: &str) -> Result<Task, Problem> {
        let id: TaskId = id.parse().map_err(|_| Problem::task_not_found())?;
        let task = self.backend.tasks.task(id).await.map_err(not_found)?;
        if task.tenant == principal.tenant { Ok(task) } else { Err(Problem::task_not_found()) }
    }
}
