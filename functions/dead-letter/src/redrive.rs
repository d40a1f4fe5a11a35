//! Redrive of dead letters by an operator.
//!
//! Each message is sent before its record is deleted, so that an interrupted redrive can be repeated: handling a
//! message twice is idempotent.

use std::collections::{BTreeMap, HashMap};

use quire_platform::{
    Backend, Error, QueueName, Reopen, Result, delete_orphaned_corrections, enqueue_callback, retry_with_backoff, send,
};
use quire_tasks::{CallbackMessage, CallbackUpdate, Message, PageMessage, PageRef, PageStatus, Task, TaskId};

use crate::{
    DeadLetter, DeadLetterKind,
    record::{discard_dead_letter, list_dead_letters, show_dead_letter},
};

/// Selection of dead letters of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetterSelection {
    /// All dead letters.
    All,
    /// The dead letters with these names.
    Named(Vec<String>),
}

/// The result of redriving one dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedriveResult {
    /// The dead letter's name.
    pub name: String,
    /// The outcome.
    pub outcome: RedriveOutcome,
}

/// The outcome of redriving one dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedriveOutcome {
    /// Sent; its record is deleted.
    Sent,
    /// Not needed: its work was done since, or its task is deleted. Its record is deleted.
    NotNeeded,
    /// Not possible; its record is kept.
    Kept {
        /// The reason.
        why: &'static str,
    },
}

/// Redrives dead letters: pages in a new round of their task, callbacks with a new retry schedule.
///
/// # Errors
/// [`Error::NotFound`] if a name does not exist, before anything is sent; otherwise an error of the backend. Messages
/// that were sent before the error stay sent.
pub async fn redrive(
    backend: &Backend,
    kind: DeadLetterKind,
    selection: DeadLetterSelection,
) -> Result<Vec<RedriveResult>> {
    let dead_letters = select_dead_letters(backend, kind, selection).await?;
    match kind {
        DeadLetterKind::Pages => redrive_pages(backend, dead_letters).await,
        DeadLetterKind::Callbacks => redrive_callbacks(backend, dead_letters).await,
        DeadLetterKind::Documents => {
            let why = "a failed document cannot be redriven: submit it again";
            Ok(dead_letters.into_iter().map(|dead_letter| kept(dead_letter, why)).collect())
        }
    }
}

async fn select_dead_letters(
    backend: &Backend,
    kind: DeadLetterKind,
    selection: DeadLetterSelection,
) -> Result<Vec<DeadLetter>> {
    let DeadLetterSelection::Named(names) = selection else {
        return list_dead_letters(backend, kind).await;
    };
    let mut dead_letters = Vec::new();
    for name in names {
        dead_letters.push(show_dead_letter(backend, kind, &name).await?);
    }
    Ok(dead_letters)
}

fn kept(dead_letter: DeadLetter, why: &'static str) -> RedriveResult {
    RedriveResult { name: dead_letter.name, outcome: RedriveOutcome::Kept { why } }
}

const MALFORMED: &str = "the message is malformed";

/// All pages of a task are redriven together: each reopening starts a new round.
async fn redrive_pages(backend: &Backend, dead_letters: Vec<DeadLetter>) -> Result<Vec<RedriveResult>> {
    let mut redriven = Vec::new();
    let mut tasks: BTreeMap<TaskId, Vec<(PageRef, DeadLetter)>> = BTreeMap::new();
    for dead_letter in dead_letters {
        match PageMessage::decode(&dead_letter.body) {
            Ok(PageMessage { page, .. }) => tasks.entry(page.task_id).or_default().push((page, dead_letter)),
            Err(_) => redriven.push(kept(dead_letter, MALFORMED)),
        }
    }
    for (task_id, dead_letters) in tasks {
        redriven.extend(redrive_pages_of_task(backend, task_id, dead_letters).await?);
    }
    Ok(redriven)
}

async fn redrive_pages_of_task(
    backend: &Backend,
    task_id: TaskId,
    dead_letters: Vec<(PageRef, DeadLetter)>,
) -> Result<Vec<RedriveResult>> {
    let pages: Vec<PageRef> = dead_letters.iter().map(|(page, _)| *page).collect();
    let statuses = match retry_with_backoff(|| backend.tasks.reopen(task_id, Reopen::Pages(pages.clone()))).await {
        Ok(completion) => {
            let task = completion.task();
            let statuses = page_statuses(backend, task, &pages).await?;
            // Queued pages were reopened just now, or by a redrive that was interrupted before it sent their
            // messages.
            let queued = || pages.iter().filter(|page| statuses.get(page) == Some(&PageStatus::Queued));
            delete_orphaned_corrections(backend, task).await?;
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
    for (page, dead_letter) in dead_letters {
        let outcome = match statuses.get(&page) {
            Some(PageStatus::Queued) => RedriveOutcome::Sent,
            Some(PageStatus::Failed) => RedriveOutcome::Kept { why: "its task is still open: retry when it has ended" },
            Some(PageStatus::Succeeded | PageStatus::Canceled) | None => RedriveOutcome::NotNeeded,
        };
        redriven.push(finish(backend, dead_letter, outcome).await?);
    }
    Ok(redriven)
}

/// Returns the statuses of those of these pages that exist.
async fn page_statuses(backend: &Backend, task: &Task, pages: &[PageRef]) -> Result<HashMap<PageRef, PageStatus>> {
    let mut statuses = HashMap::new();
    for page in pages {
        match retry_with_backoff(|| backend.tasks.page(*page)).await {
            Ok(page) => statuses.insert(page.page, task.status_of(&page)),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
    }
    Ok(statuses)
}

async fn redrive_callbacks(backend: &Backend, dead_letters: Vec<DeadLetter>) -> Result<Vec<RedriveResult>> {
    let mut redriven = Vec::new();
    for dead_letter in dead_letters {
        let outcome = match CallbackMessage::decode(&dead_letter.body) {
            Ok(message) => redrive_callback(backend, &message).await?,
            Err(_) => RedriveOutcome::Kept { why: MALFORMED },
        };
        redriven.push(finish(backend, dead_letter, outcome).await?);
    }
    Ok(redriven)
}

async fn redrive_callback(backend: &Backend, message: &CallbackMessage) -> Result<RedriveOutcome> {
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

async fn finish(backend: &Backend, dead_letter: DeadLetter, outcome: RedriveOutcome) -> Result<RedriveResult> {
    if !matches!(outcome, RedriveOutcome::Kept { .. }) {
        discard_dead_letter(backend, &dead_letter).await?;
    }
    Ok(RedriveResult { name: dead_letter.name, outcome })
}
