//! Idempotent creation of tasks, the state behind `Idempotency-Key`.
//!
//! The first request with a key writes a record with the id of the task that it creates. A later request finds the
//! record: it is refused while the first request is running, and then gets the first request's task. If the first
//! request crashed, its record expires and another request takes it over with the same task id. Creating a task is
//! conditional on its id, so that even a first request that was only slow never creates a second task.

use std::time::Duration;

use quire_platform::{Backend, Collection, Error, Record, now, retry_with_backoff};
use quire_tasks::{Task, TaskId, UnixMillis};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::warn;
use uuid::Uuid;

use crate::state::AppState;

/// The maximum number of optimistic updates of a record. Each failed one means that another request made progress.
const MAX_ATTEMPTS: usize = 10;
/// How long a response waits for its record to be updated, so that an immediate retry of the client finds it. If the
/// store is slower, the update continues in the background.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);
const WHAT: &str = "idempotency keys";

/// The stored record of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct IdempotencyRecord {
    fingerprint: String,
    task_id: TaskId,
    /// The request that wrote the record. A request that lost the record to another one no longer updates it.
    run: Uuid,
    /// When the running request is considered dead; `None` once it has finished.
    running_until: Option<UnixMillis>,
}

/// The state of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RecordState {
    Running,
    Done,
    /// The request crashed, or its outcome is unknown.
    Expired,
}

impl IdempotencyRecord {
    fn state(&self, now: UnixMillis) -> RecordState {
        match self.running_until {
            None => RecordState::Done,
            Some(until) if until > now => RecordState::Running,
            Some(_) => RecordState::Expired,
        }
    }

    fn serialize(&self) -> String {
        serde_json::to_string(self).expect("plain data serializes to JSON")
    }

    fn parse(record: &Record) -> quire_platform::Result<Self> {
        let malformed = |error| Error::Failed { what: WHAT, why: format!("malformed record: {error}") };
        serde_json::from_str(&record.body).map_err(malformed)
    }
}

/// The outcome of [`claim_key`].
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one per request")]
pub(crate) enum KeyedRequest {
    /// The first request with its key, or one without a key: it creates a task.
    First(IdempotencyGuard),
    /// A repeated request: an earlier one created this task.
    Replay(Task),
}

impl KeyedRequest {
    /// Returns the outcome for a request without a key.
    pub(crate) fn unkeyed() -> Self {
        Self::First(IdempotencyGuard::unkeyed())
    }
}

/// Why a request with a key is refused.
#[derive(Debug)]
pub(crate) enum IdempotencyError {
    /// The first request with this key is still running; with its task, if known. Retry later.
    InUse(Option<TaskId>),
    /// The first request with this key was a different one. Refuse.
    Reused,
    /// The task of the first request was deleted or has expired. Refuse.
    TaskNotFound,
    /// The backend failed.
    Backend(Error),
}

impl From<Error> for IdempotencyError {
    fn from(error: Error) -> Self {
        Self::Backend(error)
    }
}

/// Claims a key for a request: writes its record, or takes over an expired one, by optimistic concurrency.
pub(crate) async fn claim_key(
    app: &AppState,
    key: &str,
    fingerprint: String,
) -> Result<KeyedRequest, IdempotencyError> {
    let records = &app.backend.records;
    let fresh = IdempotencyRecord { fingerprint, task_id: new_id(), run: Uuid::now_v7(), running_until: None };
    for _ in 0..MAX_ATTEMPTS {
        let begun = now();
        let running_until = Some(begun.plus(app.settings.longest_create()));
        let own = IdempotencyRecord { running_until, ..fresh.clone() };
        let expires_at = begun.plus(app.settings.keys_kept_for);
        if let Some(guard) = write_record(app, key, own.clone(), None, expires_at).await? {
            return Ok(KeyedRequest::First(guard));
        }
        let Some(record) = records.read(Collection::Idempotency, key).await? else { continue };
        let found = IdempotencyRecord::parse(&record)?;
        if found.run == own.run {
            // This call's first write succeeded, but its response was lost.
            return Ok(KeyedRequest::First(IdempotencyGuard::new(app, key, found, expires_at)));
        }
        if let Some(task) = find_task(app, &found, &own.fingerprint, begun).await? {
            return Ok(KeyedRequest::Replay(task));
        }
        // Expired without a task: take the record over, with its task id if the request is the same.
        let task_id = if found.fingerprint == own.fingerprint { found.task_id } else { own.task_id };
        let own = IdempotencyRecord { task_id, ..own };
        if let Some(guard) = write_record(app, key, own, Some(record.version), expires_at).await? {
            return Ok(KeyedRequest::First(guard));
        }
    }
    Err(IdempotencyError::InUse(None))
}

/// Writes a record on the condition that the stored version is still `expected`. Returns its guard, or `None` if
/// another request was faster.
async fn write_record(
    app: &AppState,
    key: &str,
    record: IdempotencyRecord,
    expected: Option<u64>,
    expires_at: UnixMillis,
) -> Result<Option<IdempotencyGuard>, IdempotencyError> {
    let body = record.serialize();
    // The guard exists before the write: if this future is dropped, the record is cleaned up.
    let mut guard = IdempotencyGuard::new(app, key, record, expires_at);
    let written = app.backend.records.put(Collection::Idempotency, key, body, expected, Some(expires_at)).await?;
    if written {
        return Ok(Some(guard));
    }
    guard.held = None;
    Ok(None)
}

/// Returns the task of a record. `None`: the task was never created, and no request is creating it.
async fn find_task(
    app: &AppState,
    found: &IdempotencyRecord,
    fingerprint: &str,
    now: UnixMillis,
) -> Result<Option<Task>, IdempotencyError> {
    let state = found.state(now);
    let is_same = found.fingerprint == fingerprint;
    if !is_same && state != RecordState::Expired {
        return Err(IdempotencyError::Reused);
    }
    let task = match app.backend.tasks.task(found.task_id).await {
        Ok(task) if !task.expired(now) => Some(task),
        Ok(_) | Err(Error::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    match (state, task) {
        (RecordState::Running, task) => Err(IdempotencyError::InUse(task.map(|task| task.id))),
        (RecordState::Expired, Some(_)) if !is_same => Err(IdempotencyError::Reused),
        (RecordState::Done, None) => Err(IdempotencyError::TaskNotFound),
        (_, task) => Ok(task),
    }
}

fn new_id() -> TaskId {
    TaskId::new(Uuid::now_v7())
}

/// The exclusive right to create a task with this id. Its outcome is recorded by [`Self::finish`], or on drop.
#[derive(Debug)]
pub(crate) struct IdempotencyGuard {
    /// The id of the task to be created.
    pub(crate) task_id: TaskId,
    held: Option<HeldKey>,
}

/// The claimed key of a guard.
#[derive(Debug)]
struct HeldKey {
    backend: Backend,
    work: TaskTracker,
    key: String,
    record: IdempotencyRecord,
    expires_at: UnixMillis,
    outcome: RequestOutcome,
}

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RequestOutcome {
    /// No task: the key is released.
    Refused,
    /// The task may or may not exist.
    Pending,
    /// The task exists.
    Created,
}

impl IdempotencyGuard {
    /// Returns the guard of a request without a key.
    pub(crate) fn unkeyed() -> Self {
        Self { task_id: new_id(), held: None }
    }

    fn new(app: &AppState, key: &str, record: IdempotencyRecord, expires_at: UnixMillis) -> Self {
        let task_id = record.task_id;
        let held = HeldKey {
            backend: app.backend.clone(),
            work: app.work.clone(),
            key: key.to_owned(),
            record,
            expires_at,
            outcome: RequestOutcome::Refused,
        };
        Self { task_id, held: Some(held) }
    }

    /// Whether another request may have taken the key over, because this one is considered dead.
    pub(crate) fn is_expired(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.record.state(now()) == RecordState::Expired)
    }

    /// Notes that the task is about to be created.
    pub(crate) fn mark_pending(&mut self) {
        self.set_outcome(RequestOutcome::Pending);
    }

    /// Notes that the task exists.
    pub(crate) fn mark_created(&mut self) {
        self.set_outcome(RequestOutcome::Created);
    }

    /// Notes that the task does not exist.
    pub(crate) fn mark_refused(&mut self) {
        self.set_outcome(RequestOutcome::Refused);
    }

    fn set_outcome(&mut self, outcome: RequestOutcome) {
        if let Some(held) = &mut self.held {
            held.outcome = outcome;
        }
    }

    /// Records the outcome. It is called before the response is sent, so that a repeated request finds the record.
    pub(crate) async fn finish(mut self) {
        if let Some(held) = self.held.take() {
            // In the background, so that it is finished even if the client disconnects.
            let work = held.work.clone();
            let _ = timeout(FINISH_TIMEOUT, work.spawn(held.finish())).await;
        }
    }
}

impl Drop for IdempotencyGuard {
    fn drop(&mut self) {
        let (Some(held), Ok(runtime)) = (self.held.take(), tokio::runtime::Handle::try_current()) else { return };
        let work = held.work.clone();
        work.spawn_on(held.finish(), &runtime);
    }
}

impl HeldKey {
    async fn finish(self) {
        // If the outcome cannot be recorded, the record expires.
        if let Err(error) = retry_with_backoff(|| self.record_outcome()).await {
            warn!(task.id = %self.record.task_id, %error, "cannot record the outcome of an idempotent request");
        }
    }

    async fn record_outcome(&self) -> quire_platform::Result<()> {
        let Self { backend, key, .. } = self;
        let Some(stored) = backend.records.read(Collection::Idempotency, key).await? else { return Ok(()) };
        if IdempotencyRecord::parse(&stored)?.run != self.record.run {
            return Ok(());
        }
        let expected = Some(stored.version);
        let running_until = match self.outcome {
            RequestOutcome::Refused => {
                return backend.records.delete(Collection::Idempotency, key, expected).await.map(drop);
            }
            RequestOutcome::Pending => Some(UnixMillis(0)),
            RequestOutcome::Created => None,
        };
        let body = IdempotencyRecord { running_until, ..self.record.clone() }.serialize();
        // A lost race means that another request took the key over, or that an earlier attempt of this call succeeded.
        backend.records.put(Collection::Idempotency, key, body, expected, Some(self.expires_at)).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_expires_when_its_request_is_considered_dead() {
        let mut record = IdempotencyRecord {
            fingerprint: String::new(),
            task_id: TaskId::derive_from(&["a task"]),
            run: Uuid::nil(),
            running_until: Some(UnixMillis(10)),
        };
        assert_eq!(record.state(UnixMillis(9)), RecordState::Running);
        assert_eq!(record.state(UnixMillis(10)), RecordState::Expired);
        record.running_until = None;
        assert_eq!(record.state(UnixMillis(i64::MAX)), RecordState::Done);
    }
}
