//! A result that takes its time: asked for once, made behind the documents queue, and waited for.
//!
//! How far it is stands in an object beside the result, so that every process knows it and it goes when the task does.

use std::time::Duration;

use quire_platform::{Backend, Error, QueueName, Result, retry_with_backoff, send};
use quire_tasks::{DocumentJob, DocumentMessage, Failure, ObjectKey, Task, UnixMillis};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::{Door, accept::now};

/// The longest pause between two looks at whether it is made.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The first one; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// How much longer than making it may take whoever asked for it waits, before it is asked for again: a queue may be long.
const PATIENCE: Duration = Duration::from_mins(15);
/// After this what failed by no fault of the document's may be tried again.
const AGAIN_AFTER: Duration = Duration::from_mins(10);

/// How far a searchable PDF is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub(crate) enum Preparation {
    /// Somebody is asked to make it.
    Asked {
        /// Since when.
        at: UnixMillis,
    },
    /// It lies in the store.
    Ready {
        /// Its size.
        bytes: u64,
    },
    /// It cannot be made.
    Failed {
        /// Since when.
        at: UnixMillis,
        /// Why.
        failure: Failure,
    },
}

impl Preparation {
    /// Where the PDF of a task's round lies.
    pub(crate) fn pdf(task: &Task) -> ObjectKey {
        ObjectKey::Result { task_id: task.id, round: task.round, ending: "pdf" }
    }

    fn key(task: &Task) -> String {
        ObjectKey::Result { task_id: task.id, round: task.round, ending: "pdf.json" }.to_string()
    }

    /// How far it is; `None` where nobody has asked for it.
    pub(crate) async fn read(backend: &Backend, task: &Task) -> Result<Option<Self>> {
        let key = Self::key(task);
        let json = match retry_with_backoff(|| backend.objects.read(&key)).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            json => json?,
        };
        let malformed = |_| Error::Failed { what: "the state of a result", why: "malformed".to_owned() };
        serde_json::from_slice(&json).map(Some).map_err(malformed)
    }

    /// Writes down that it is this far.
    pub(crate) async fn write(&self, backend: &Backend, task: &Task) -> Result<()> {
        let (key, json) = (Self::key(task), self.encode());
        retry_with_backoff(|| backend.objects.put(&key, json.clone().into())).await
    }

    fn encode(&self) -> String {
        serde_json::to_string(self).expect("plain data becomes JSON")
    }

    /// Whether it is to be asked for again: whoever was asked is gone, or it may end better now.
    fn lapsed(&self, longest: Duration, now: UnixMillis) -> bool {
        match self {
            Self::Asked { at } => at.plus(longest + PATIENCE) <= now,
            Self::Ready { .. } => false,
            Self::Failed { at, failure } => failure.code.retryable() && at.plus(AGAIN_AFTER) <= now,
        }
    }
}

/// Asks for it, unless somebody has; and waits for it that long.
pub(crate) async fn prepared(door: &Door, task: &Task, wait: Duration) -> Result<Preparation> {
    let deadline = Instant::now() + wait;
    let mut preparation = match Preparation::read(&door.backend, task).await? {
        Some(known) if !known.lapsed(door.settings.result_limit, now()) => known,
        known => ask(&door.backend, task, known.is_some()).await?,
    };
    let mut pause = FIRST_PAUSE;
    while matches!(preparation, Preparation::Asked { .. }) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        tokio::select! {
            () = sleep(pause.min(left)) => pause = (2 * pause).min(LONGEST_PAUSE),
            () = door.closing.cancelled() => break,
        }
        preparation = Preparation::read(&door.backend, task).await?.unwrap_or(preparation);
    }
    Ok(preparation)
}

async fn ask(backend: &Backend, task: &Task, again: bool) -> Result<Preparation> {
    let asked = Preparation::Asked { at: now() };
    if again {
        asked.write(backend, task).await?;
    } else if !backend.objects.put_new(&Preparation::key(task), asked.encode().into()).await? {
        // Somebody else was faster.
        return Ok(Preparation::read(backend, task).await?.unwrap_or(asked));
    }
    let message = DocumentMessage { task_id: task.id, document: 0, round: task.round, job: DocumentJob::SearchablePdf };
    let queue = backend.queue(QueueName::Documents);
    if let Err(error) = retry_with_backoff(|| send(queue.as_ref(), task, [message.clone()])).await {
        // Or nobody would ask for it again for long.
        let key = Preparation::key(task);
        retry_with_backoff(|| backend.objects.delete(&key)).await?;
        return Err(error);
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use quire_tasks::FailureCode;

    use super::*;

    #[test]
    fn what_is_made_or_can_never_be_is_not_asked_for_again() {
        let (limit, late) = (Duration::from_mins(15), UnixMillis(i64::MAX));
        let failed = |code| Preparation::Failed { at: UnixMillis(0), failure: Failure::new(code, "why") };
        assert!(!Preparation::Ready { bytes: 1 }.lapsed(limit, late));
        assert!(!failed(FailureCode::DocumentTooLarge).lapsed(limit, late));
        assert!(failed(FailureCode::TimedOut).lapsed(limit, late));
        assert!(!failed(FailureCode::TimedOut).lapsed(limit, UnixMillis(0)));
        let asked = Preparation::Asked { at: UnixMillis(0) };
        assert!(asked.lapsed(limit, late) && !asked.lapsed(limit, UnixMillis(60_000)));
    }
}
