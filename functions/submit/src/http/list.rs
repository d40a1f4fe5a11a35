//! `GET /task`: lists the tenant's tasks, newest first.

use std::sync::Arc;

use axum::{
    Json,
    extract::{RawQuery, State},
};
use quire_platform::{TaskCursor, now};
use quire_tasks::{CallbackState, Task, TaskId, TaskStatus, UnixMillis};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    http::{cursor, principal::Principal, problem::Problem, query::QueryParameters, summary::TaskSummary},
    state::AppState,
};

/// The maximum number of tasks that one call examines. A search for something rare returns a cursor and possibly no
/// task, instead of scanning the whole table while its client waits.
const MAX_EXAMINED: usize = 500;
/// The number of tasks read at a time if the filter may reject most of them.
const READ_BATCH: usize = 100;
const STATUSES: &str = "queued, processing, succeeded, partially_succeeded, failed, canceled";
const CALLBACK_STATES: &str = "none, pending, retrying, delivered, exhausted";

#[derive(Debug, Serialize)]
pub(crate) struct TaskList {
    tasks: Vec<TaskSummary>,
    /// The cursor of the next page; `null` on the last page.
    next: Option<String>,
}

/// Selects tasks. `created_after` is inclusive and `created_before` exclusive, so that adjacent ranges neither overlap
/// nor leave a gap.
#[derive(Debug, Default)]
struct TaskFilter {
    status: Option<TaskStatus>,
    created_after: Option<UnixMillis>,
    created_before: Option<UnixMillis>,
    tag: Option<String>,
    callback: Option<CallbackState>,
}

impl TaskFilter {
    fn parse(parameters: &QueryParameters<'_>) -> Result<Self, Problem> {
        Ok(Self {
            status: parameters.word("status", STATUSES)?,
            created_after: parameters.time("created_after")?,
            created_before: parameters.time("created_before")?,
            tag: parameters.text("tag")?.map(str::to_owned),
            callback: parameters.word("callback", CALLBACK_STATES)?,
        })
    }

    fn matches(&self, task: &Task, now: UnixMillis) -> bool {
        !task.expired(now)
            && self.status.is_none_or(|status| task.status() == status)
            && self.created_after.is_none_or(|from| task.created_at >= from)
            && self.created_before.is_none_or(|before| task.created_at < before)
            && self.tag.as_ref().is_none_or(|tag| task.tags.contains(tag))
            && self.callback.is_none_or(|state| task.callback_state() == state)
    }

    /// Whether it matches every task of the range that has not expired.
    const fn matches_all(&self) -> bool {
        self.status.is_none() && self.tag.is_none() && self.callback.is_none()
    }

    /// Returns the position after every task that is too new.
    fn start(&self) -> Option<TaskCursor> {
        // Of the tasks of one millisecond, the nil id would be the last, and no task has it.
        self.created_before.map(|created_at| TaskCursor { created_at, id: TaskId::new(Uuid::nil()) })
    }
}

pub(crate) async fn list_tasks(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<TaskList>, Problem> {
    let parameters = QueryParameters::parse(query.as_deref());
    let filter = TaskFilter::parse(&parameters)?;
    let limit = parameters.limit()?;
    let after = parameters.cursor(cursor::parse_listed)?.or_else(|| filter.start());
    let (tasks, next) = find_tasks(&app, &principal, &filter, after, limit).await?;
    let next = next.map(|position| cursor::encode_listed(&position));
    Ok(Json(TaskList { tasks: tasks.iter().map(TaskSummary::new).collect(), next }))
}

/// Returns up to `limit` matching tasks, and the position after which there may be more.
async fn find_tasks(
    app: &AppState,
    principal: &Principal,
    filter: &TaskFilter,
    mut after: Option<TaskCursor>,
    limit: usize,
) -> Result<(Vec<Task>, Option<TaskCursor>), Problem> {
    let now = now();
    let mut found = Vec::new();
    let mut examined = 0;
    // Reads one more than the limit to know whether another page follows.
    let batch = if filter.matches_all() { limit + 1 } else { READ_BATCH };
    while examined < MAX_EXAMINED {
        let count = batch.min(MAX_EXAMINED - examined);
        let tasks = app.backend.tasks.list(&principal.tenant, filter.created_after, after, count).await?;
        if tasks.is_empty() {
            return Ok((found, None));
        }
        examined += tasks.len();
        for task in tasks {
            let position = TaskCursor::at(&task);
            if filter.matches(&task, now) {
                if found.len() == limit {
                    return Ok((found, after));
                }
                found.push(task);
            }
            after = Some(position);
        }
    }
    Ok((found, after))
}
