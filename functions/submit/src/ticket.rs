//! The notes behind `Idempotency-Key`.
//!
//! Whoever comes first with a key writes a note with the name of the task that is to be made, and who comes later finds
//! it: while the first request is still at work it is told so, and afterwards it gets the same task. A note whose writer
//! died is taken over, with the same name: a task is created on the condition that there is none, so that even a writer
//! that was only slow makes nothing twice.

use std::time::Duration;

use quire_platform::{Backend, Collection, Error, Record, retry_with_backoff};
use quire_tasks::{Task, TaskId, UnixMillis};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::warn;
use uuid::Uuid;

use crate::{Door, accept::now, idempotency::Key, problem::Problem};

/// How often a note is looked at again that changed meanwhile: each time somebody else has got on.
const TRIES: usize = 10;
/// How long an answer waits for its note: a client that sends its request again at once should find it, but nobody waits
/// for a store that takes longer.
const SETTLE_WAIT: Duration = Duration::from_secs(2);
const WHAT: &str = "idempotency keys";

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    fingerprint: String,
    task_id: TaskId,
    /// Which request wrote it: one that lost it to another writes nothing any more.
    run: Uuid,
    /// Until when that request may be believed to be at work; `None` when it has been answered.
    running_until: Option<UnixMillis>,
}

/// How far the request of a note is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Running,
    Done,
    /// It died, or does not know itself how it ended.
    Lapsed,
}

impl Note {
    fn standing(&self, now: UnixMillis) -> Standing {
        match self.running_until {
            None => Standing::Done,
            Some(until) if until > now => Standing::Running,
            Some(_) => Standing::Lapsed,
        }
    }
}

/// What a request is to its key.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for a request")]
pub(crate) enum Entry {
    /// It is the first, or has none: it makes a task of this name.
    First(Ticket),
    /// It was answered before: this is its task.
    Again(Task),
}

impl Entry {
    /// Of a request without a key.
    pub(crate) fn unkeyed() -> Self {
        Self::First(Ticket::unkeyed())
    }
}

/// Finds out what a request is that has a key.
pub(crate) async fn enter(door: &Door, Key(key): &Key, fingerprint: String) -> Result<Entry, Problem> {
    let records = &door.backend.records;
    let fresh = Note { fingerprint, task_id: new_id(), run: Uuid::now_v7(), running_until: None };
    for _ in 0..TRIES {
        let begun = now();
        let note = Note { running_until: Some(begun.plus(door.settings.longest_create())), ..fresh.clone() };
        let expires_at = begun.plus(door.settings.keys_kept_for);
        if let Some(ticket) = write(door, key, note.clone(), None, expires_at).await? {
            return Ok(Entry::First(ticket));
        }
        let Some(record) = records.read(Collection::Idempotency, key).await? else { continue };
        let there = read(&record)?;
        if there.run == note.run {
            // Written by this very call, whose first answer was lost on its way.
            return Ok(Entry::First(Ticket::new(door, key, there, expires_at)));
        }
        if let Some(task) = found(door, &there, &note.fingerprint, begun).await? {
            return Ok(Entry::Again(task));
        }
        // Nobody is at work on it, and there is no task: it is ours, under the name it had if it asks for the same.
        let task_id = if there.fingerprint == note.fingerprint { there.task_id } else { note.task_id };
        let note = Note { task_id, ..note };
        if let Some(ticket) = write(door, key, note, Some(record.version), expires_at).await? {
            return Ok(Entry::First(ticket));
        }
    }
    Err(Problem::idempotency_key_in_use())
}

/// Writes a note in place of the one that was seen; the ticket for it, where nobody was faster.
async fn write(
    door: &Door,
    key: &str,
    note: Note,
    seen: Option<u64>,
    expires_at: UnixMillis,
) -> Result<Option<Ticket>, Problem> {
    let body = written(&note);
    // Held before it is written: a client that goes away meanwhile leaves nothing either way.
    let mut ticket = Ticket::new(door, key, note, expires_at);
    let first = door.backend.records.put(Collection::Idempotency, key, body, seen, Some(expires_at)).await?;
    if first {
        return Ok(Some(ticket));
    }
    ticket.held = None;
    Ok(None)
}

/// The task of a note; `None` where it was never made, and nobody makes it.
async fn found(door: &Door, there: &Note, fingerprint: &str, now: UnixMillis) -> Result<Option<Task>, Problem> {
    let standing = there.standing(now);
    let same = there.fingerprint == fingerprint;
    if !same && standing != Standing::Lapsed {
        return Err(Problem::idempotency_key_reused());
    }
    let task = match door.backend.tasks.task(there.task_id).await {
        Ok(task) => Some(task).filter(|task| !task.expired(now)),
        Err(Error::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    match (standing, task) {
        (Standing::Running, None) => Err(Problem::idempotency_key_in_use()),
        (Standing::Running, Some(task)) => Err(Problem::idempotency_key_in_use().of(task.id)),
        (Standing::Lapsed, Some(_)) if !same => Err(Problem::idempotency_key_reused()),
        (Standing::Done, None) => Err(Problem::task_not_found()),
        (_, task) => Ok(task),
    }
}

fn new_id() -> TaskId {
    TaskId::new(Uuid::now_v7())
}

fn written(note: &Note) -> String {
    serde_json::to_string(note).expect("plain data becomes JSON")
}

fn read(record: &Record) -> quire_platform::Result<Note> {
    let malformed = |error| Error::Failed { what: WHAT, why: format!("a note is malformed: {error}") };
    serde_json::from_str(&record.body).map_err(malformed)
}

/// The right to make a task of this name. However it ends, it is noted: by whoever holds it, or when it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// The task's name.
    pub(crate) task_id: TaskId,
    held: Option<Held>,
}

/// What is held of a key.
#[derive(Debug)]
struct Held {
    backend: Backend,
    work: TaskTracker,
    key: String,
    note: Note,
    expires_at: UnixMillis,
    ending: Ending,
}

/// What came of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Nothing: the key is free again.
    Refused,
    /// There may be a task, or not.
    Unknown,
    /// A task.
    Made,
}

impl Ticket {
    /// Of a request without a key.
    pub(crate) fn unkeyed() -> Self {
        Self { task_id: new_id(), held: None }
    }

    fn new(door: &Door, key: &str, note: Note, expires_at: UnixMillis) -> Self {
        let (backend, work, key, ending) = (door.backend.clone(), door.work.clone(), key.to_owned(), Ending::Refused);
        Self { task_id: note.task_id, held: Some(Held { backend, work, key, note, expires_at, ending }) }
    }

    /// Whether somebody else may have taken it over, believing this request dead.
    pub(crate) fn lapsed(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.note.standing(now()) == Standing::Lapsed)
    }

    /// From now on there may be a task.
    pub(crate) fn making(&mut self) {
        self.end(Ending::Unknown);
    }

    /// There is a task.
    pub(crate) fn made(&mut self) {
        self.end(Ending::Made);
    }

    /// There is none.
    pub(crate) fn unmade(&mut self) {
        self.end(Ending::Refused);
    }

    fn end(&mut self, with: Ending) {
        if let Some(held) = &mut self.held {
            held.ending = with;
        }
    }

    /// Notes how it ended, before the answer goes out: whoever sends the request again upon it finds that.
    pub(crate) async fn settle(mut self) {
        if let Some(held) = self.held.take() {
            // Its own task, so that it is done even when the client goes away meanwhile.
            let work = held.work.clone();
            let _ = timeout(SETTLE_WAIT, work.spawn(held.settle())).await;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let (Some(held), Ok(runtime)) = (self.held.take(), tokio::runtime::Handle::try_current()) else { return };
        let work = held.work.clone();
        work.spawn_on(held.settle(), &runtime);
    }
}

impl Held {
    async fn settle(self) {
        // Where it cannot be noted, the note lapses.
        if let Err(error) = retry_with_backoff(|| self.note()).await {
            warn!(task.id = %self.note.task_id, %error, "how a request with an idempotency key ended was not noted");
        }
    }

    async fn note(&self) -> quire_platform::Result<()> {
        let Self { backend, key, .. } = self;
        let Some(record) = backend.records.read(Collection::Idempotency, key).await? else { return Ok(()) };
        if read(&record)?.run != self.note.run {
            return Ok(());
        }
        let seen = Some(record.version);
        let running_until = match self.ending {
            Ending::Refused => return backend.records.delete(Collection::Idempotency, key, seen).await.map(drop),
            Ending::Unknown => Some(UnixMillis(0)),
            Ending::Made => None,
        };
        let body = written(&Note { running_until, ..self.note.clone() });
        // Who was faster has taken it over, or is an earlier try of this very call.
        backend.records.put(Collection::Idempotency, key, body, seen, Some(self.expires_at)).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_lapses_when_its_request_can_be_at_work_no_longer() {
        let (fingerprint, task_id, run) = (String::new(), TaskId::derive_from(&["a task"]), Uuid::nil());
        let mut note = Note { fingerprint, task_id, run, running_until: Some(UnixMillis(10)) };
        assert_eq!(note.standing(UnixMillis(9)), Standing::Running);
        assert_eq!(note.standing(UnixMillis(10)), Standing::Lapsed);
        note.running_until = None;
        assert_eq!(note.standing(UnixMillis(i64::MAX)), Standing::Done);
    }
}
