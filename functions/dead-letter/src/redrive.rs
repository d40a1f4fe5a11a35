//! The operator's second chance for dead letters.
//!
//! Each is sent first and discarded last, so that an interrupted redrive can be repeated: what was sent twice is done
//! once.

use std::collections::{BTreeMap, HashMap};

use quire_platform::{
    Backend, Error, QueueName, Reopen, Result, enqueue_callback, forget_corrections, retry_with_backoff, send,
};
use quire_tasks::{CallbackMessage, CallbackUpdate, Message, PageMessage, PageRef, PageStatus, Task, TaskId};

use crate::{
    DeadLetter, DeadLetterKind,
    record::{discard_dead_letter, list_dead_letters, show_dead_letter},
};

/// Which dead letters of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetterSelection {
    /// All there are.
    All,
    /// Those with these names.
    Named(Vec<String>),
}

/// What became of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedriveResult {
    /// Its name.
    pub name: String,
    /// What became of it.
    pub outcome: RedriveOutcome,
}

/// What became of a dead letter that was to be redriven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedriveOutcome {
    /// It is on its way again, and no longer a dead letter.
    Sent,
    /// What it asks for has been done since, or its task is gone: it is no longer a dead letter.
    NotNeeded,
    /// It cannot be sent again and stays where it is.
    Kept {
        /// Why.
        why: &'static str,
    },
}

/// Sends dead letters again: pages in a new round of their task, callbacks with a full new count of attempts.
///
/// # Errors
/// [`Error::NotFound`] for a name that there is not, before anything is sent; otherwise of the backend. What was sent
/// before the error stays sent.
pub async fn redrive(
    backend: &Backend,
    kind: DeadLetterKind,
    selection: DeadLetterSelection,
) -> Result<Vec<RedriveResult>> {
    let letters = select(backend, kind, selection).await?;
    match kind {
        DeadLetterKind::Pages => pages(backend, letters).await,
        DeadLetterKind::Callbacks => callbacks(backend, letters).await,
        DeadLetterKind::Documents => {
            let why = "a document that failed stays failed: it must be submitted again";
            Ok(letters.into_iter().map(|letter| kept(letter, why)).collect())
        }
    }
}

async fn select(backend: &Backend, kind: DeadLetterKind, selection: DeadLetterSelection) -> Result<Vec<DeadLetter>> {
    let DeadLetterSelection::Named(names) = selection else {
        return list_dead_letters(backend, kind).await;
    };
    let mut letters = Vec::new();
    for name in names {
        letters.push(show_dead_letter(backend, kind, &name).await?);
    }
    Ok(letters)
}

fn kept(letter: DeadLetter, why: &'static str) -> RedriveResult {
    RedriveResult { name: letter.name, outcome: RedriveOutcome::Kept { why } }
}

const UNREADABLE: &str = "nobody can read this message";

/// All pages of a task go together: each opening of a task is a round of its own.
async fn pages(backend: &Backend, letters: Vec<DeadLetter>) -> Result<Vec<RedriveResult>> {
    let mut redriven = Vec::new();
    let mut tasks: BTreeMap<TaskId, Vec<(PageRef, DeadLetter)>> = BTreeMap::new();
    for letter in letters {
        match PageMessage::decode(&letter.body) {
            Ok(PageMessage { page, .. }) => tasks.entry(page.task_id).or_default().push((page, letter)),
            Err(_) => redriven.push(kept(letter, UNREADABLE)),
        }
    }
    for (task_id, letters) in tasks {
        redriven.extend(pages_of(backend, task_id, letters).await?);
    }
    Ok(redriven)
}

async fn pages_of(
    backend: &Backend,
    task_id: TaskId,
    letters: Vec<(PageRef, DeadLetter)>,
) -> Result<Vec<RedriveResult>> {
    let pages: Vec<PageRef> = letters.iter().map(|(page, _)| *page).collect();
    let statuses = match retry_with_backoff(|| backend.tasks.reopen(task_id, Reopen::These(pages.clone()))).await {
        Ok(completion) => {
            let task = completion.task();
            let statuses = statuses(backend, task).await?;
            // Queued is what was opened just now, or by a redrive that was interrupted before it sent anything.
            let queued = || pages.iter().filter(|page| statuses.get(page) == Some(&PageStatus::Queued));
            forget_corrections(backend, task).await?;
            let messages: Vec<_> = queued().map(|page| PageMessage::new(task, *page)).collect();
            let queue = backend.queue(QueueName::Pages);
            retry_with_backoff(|| send(queue.as_ref(), task, messages.clone())).await?;
            retry_with_backoff(|| backend.tasks.mark_dispatched(task_id)).await?;
            statuses
        }
        Err(Error::NotFound { .. }) => HashMap::new(),
        Err(error) => return Err(error),
    };
    let mut redriven = Vec::new();
    for (page, letter) in letters {
        let outcome = match statuses.get(&page) {
            Some(PageStatus::Queued) => RedriveOutcome::Sent,
            Some(PageStatus::Failed) => {
                RedriveOutcome::Kept { why: "its task is still open: try again when it has ended" }
            }
            Some(PageStatus::Succeeded | PageStatus::Canceled) | None => RedriveOutcome::NotNeeded,
        };
        redriven.push(conclude(backend, letter, outcome).await?);
    }
    Ok(redriven)
}

async fn statuses(backend: &Backend, task: &Task) -> Result<HashMap<PageRef, PageStatus>> {
    let pages = retry_with_backoff(|| backend.tasks.pages(task.id)).await?;
    Ok(pages.into_iter().map(|page| (page.page, task.status_of(&page))).collect())
}

async fn callbacks(backend: &Backend, letters: Vec<DeadLetter>) -> Result<Vec<RedriveResult>> {
    let mut redriven = Vec::new();
    for letter in letters {
        let outcome = match CallbackMessage::decode(&letter.body) {
            Ok(message) => callback(backend, &message).await?,
            Err(_) => RedriveOutcome::Kept { why: UNREADABLE },
        };
        redriven.push(conclude(backend, letter, outcome).await?);
    }
    Ok(redriven)
}

async fn callback(backend: &Backend, message: &CallbackMessage) -> Result<RedriveOutcome> {
    let CallbackMessage { task_id, round, .. } = *message;
    let task = match retry_with_backoff(|| backend.tasks.update_callback(task_id, round, CallbackUpdate::Redrive)).await
    {
        Ok(completion) => completion.task().clone(),
        Err(Error::NotFound { .. }) => return Ok(RedriveOutcome::NotNeeded),
        Err(error) => return Err(error),
    };
    if task.round != round || !task.needs_callback() {
        return Ok(RedriveOutcome::NotNeeded);
    }
    enqueue_callback(backend, &task).await?;
    Ok(RedriveOutcome::Sent)
}

async fn conclude(backend: &Backend, letter: DeadLetter, outcome: RedriveOutcome) -> Result<RedriveResult> {
    if !matches!(outcome, RedriveOutcome::Kept { .. }) {
        discard_dead_letter(backend, &letter).await?;
    }
    Ok(RedriveResult { name: letter.name, outcome })
}
