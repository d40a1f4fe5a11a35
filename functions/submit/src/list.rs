//! `GET /task`: the caller's tasks, newest first.

use std::sync::Arc;

use axum::{
    Json,
    extract::{RawQuery, State},
};
use quire_platform::TaskCursor;
use quire_tasks::{CallbackState, Task, TaskId, TaskStatus, UnixMillis};
use serde::Serialize;
use uuid::Uuid;

use crate::{Door, accept::now, caller::Caller, cursor, parameters::Parameters, problem::Problem, summary::Summary};

/// How many tasks one call looks at: one that looks for something rare comes back with a cursor and perhaps nothing else,
/// instead of reading the whole table while its client waits.
const MOST_EXAMINED: usize = 500;
/// How many are read at a time where few of them may be wanted.
const READ_AT_A_TIME: usize = 100;
const STATUSES: &str = "queued, processing, succeeded, partially_succeeded, failed and canceled";
const CALLBACK_STATES: &str = "none, pending, retrying, delivered and exhausted";

#[derive(Debug, Serialize)]
pub(crate) struct Tasks {
    tasks: Vec<Summary>,
    /// Where to go on; `null` where there are no more.
    next: Option<String>,
}

/// Which tasks are wanted. From `created_after` on, and before `created_before`: spans that adjoin share no task and
/// leave none out.
#[derive(Debug, Default)]
struct Filter {
    status: Option<TaskStatus>,
    created_after: Option<UnixMillis>,
    created_before: Option<UnixMillis>,
    tag: Option<String>,
    callback: Option<CallbackState>,
}

impl Filter {
    fn of(parameters: &Parameters<'_>) -> Result<Self, Problem> {
        Ok(Self {
            status: parameters.word("status", STATUSES)?,
            created_after: parameters.time("created_after")?,
            created_before: parameters.time("created_before")?,
            tag: parameters.text("tag")?.map(str::to_owned),
            callback: parameters.word("callback", CALLBACK_STATES)?,
        })
    }

    fn takes(&self, task: &Task, now: UnixMillis) -> bool {
        !task.expired(now)
            && self.status.is_none_or(|status| task.status() == status)
            && self.created_after.is_none_or(|from| task.created_at >= from)
            && self.created_before.is_none_or(|before| task.created_at < before)
            && self.tag.as_ref().is_none_or(|tag| task.tags.contains(tag))
            && self.callback.is_none_or(|state| task.callback_state() == state)
    }

    /// Whether every task in the list's order is wanted, as long as it has not expired.
    const fn takes_all(&self) -> bool {
        self.status.is_none() && self.tag.is_none() && self.callback.is_none()
    }

    /// Behind every task that is too new.
    fn start(&self) -> Option<TaskCursor> {
        // Of those of one moment the one without any digit but 0 is the last, and there is none.
        self.created_before.map(|created_at| TaskCursor { created_at, id: TaskId::new(Uuid::nil()) })
    }
}

pub(crate) async fn list(
    State(door): State<Arc<Door>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<Tasks>, Problem> {
    let parameters = Parameters::of(query.as_deref());
    let (filter, limit) = (Filter::of(&parameters)?, parameters.limit()?);
    let after = parameters.cursor(cursor::listed)?.or_else(|| filter.start());
    let (tasks, next) = find(&door, &caller, &filter, after, limit).await?;
    let next = next.map(|place| cursor::of_listed(&place));
    Ok(Json(Tasks { tasks: tasks.iter().map(Summary::new).collect(), next }))
}

/// Up to `limit` tasks that are wanted, and behind which place there may be more.
async fn find(
    door: &Door,
    caller: &Caller,
    filter: &Filter,
    mut after: Option<TaskCursor>,
    limit: usize,
) -> Result<(Vec<Task>, Option<TaskCursor>), Problem> {
    let (now, mut found, mut examined) = (now(), Vec::new(), 0);
    // One more than are wanted says whether there are more.
    let at_a_time = if filter.takes_all() { limit + 1 } else { READ_AT_A_TIME };
    while examined < MOST_EXAMINED {
        let most = at_a_time.min(MOST_EXAMINED - examined);
        let tasks = door.backend.tasks.list(&caller.tenant, filter.created_after, after, most).await?;
        if tasks.is_empty() {
            return Ok((found, None));
        }
        examined += tasks.len();
        for task in tasks {
            let place = TaskCursor::at(&task);
            if filter.takes(&task, now) {
                if found.len() == limit {
                    return Ok((found, after));
                }
                found.push(task);
            }
            after = Some(place);
        }
    }
    Ok((found, after))
}
