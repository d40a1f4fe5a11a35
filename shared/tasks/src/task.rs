//! The records of the task table.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    Callback, CallbackState, Counts, Document, DocumentState, Failure, PageMessage, PageRef, PageStatus, ReadAs,
    RedactPolicy, TaskId, TaskStatus, Tenant, TraceParent, UnixMillis,
};

/// How long a task is kept unless its customer says otherwise.
pub const DEFAULT_RETENTION: Duration = Duration::from_hours(7 * 24);
/// The shortest that a customer may ask for.
pub const MIN_RETENTION: Duration = Duration::from_hours(1);
/// The longest.
pub const MAX_RETENTION: Duration = Duration::from_hours(90 * 24);

/// One submission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its name.
    pub id: TaskId,
    /// Whose it is.
    pub tenant: Tenant,
    /// Counts the times its pages were opened, from 1. States are final within a round.
    pub round: u32,
    /// Goes up with every change: what an `ETag` is made of.
    pub version: u64,
    /// When it was accepted.
    pub created_at: UnixMillis,
    /// When its last page ended.
    pub ended_at: Option<UnixMillis>,
    /// From when on there is no such task any more: soon after, all that was kept for it is gone.
    #[serde(default = "never")]
    pub expires_at: UnixMillis,
    /// Its customer's own words for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Its documents, in the order sent.
    pub documents: Vec<Document>,
    /// How many of its pages are how far.
    pub counts: Counts,
    /// Where and how its callback goes.
    pub callback: Option<Callback>,
    /// Whether every message that the documents known at its creation need has been sent. A task that was accepted and
    /// then interrupted is found by this, and sent again.
    pub dispatched: bool,
    /// How its pages are read.
    #[serde(default, skip_serializing_if = "ReadAs::is_default")]
    pub read_as: ReadAs,
    /// What must not be kept of what is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redact: Option<RedactPolicy>,
    /// Whether this round began with a correction of a page: then it is told of as an update.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub updated: bool,
    /// The trace that it was submitted in: all that is done for it belongs there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceParent>,
}

impl Task {
    /// A new task: its documents in order, each already split or still to be fetched.
    pub fn new(
        id: TaskId,
        tenant: Tenant,
        created_at: UnixMillis,
        documents: Vec<Document>,
        callback_url: Option<String>,
    ) -> Self {
        let counts = documents.iter().fold(Counts::default(), |counts, document| {
            let (pages, status) = document.state.weight();
            counts.add(pages, status)
        });
        let callback = callback_url.map(Callback::new);
        let (round, version) = (1, 1);
        let (ended_at, dispatched, trace) = (None, false, None);
        let (read_as, updated) = (ReadAs::default(), false);
        let expires_at = created_at.plus(DEFAULT_RETENTION);
        let (tags, redact) = (Vec::new(), None);
        Self {
            id,
            tenant,
            round,
            version,
            created_at,
            ended_at,
            expires_at,
            tags,
            documents,
            counts,
            callback,
            dispatched,
            read_as,
            redact,
            updated,
            trace,
        }
    }

    /// The same, to be kept so long.
    #[must_use]
    pub fn with_retention(self, retention: Duration) -> Self {
        Self { expires_at: self.created_at.plus(retention), ..self }
    }

    /// The same, with its customer's words for it.
    #[must_use]
    pub fn with_tags(self, tags: Vec<String>) -> Self {
        Self { tags, ..self }
    }

    /// The same, with what must not be kept of it.
    #[must_use]
    pub fn with_redaction(self, redact: Option<RedactPolicy>) -> Self {
        Self { redact, ..self }
    }

    /// Whether there is no such task any more.
    pub fn expired(&self, now: UnixMillis) -> bool {
        self.expires_at <= now
    }

    /// A page's status, as far as its task has come: of one that was canceled the record still says that it waits. A page
    /// that waits beside a task that has ended otherwise was opened again since the task was read.
    pub const fn status_of(&self, page: &Page) -> PageStatus {
        match page.status {
            // One that has waited since an earlier round was not opened in this one.
            PageStatus::Queued
                if matches!(self.status(), TaskStatus::Canceled)
                    || (self.counts.canceled > 0 && page.round < self.round) =>
            {
                PageStatus::Canceled
            }
            status => status,
        }
    }

    /// The progress event that the change to this very version of it owes, if it owes one.
    pub fn progress_due(&self) -> Option<u32> {
        let progress = self.callback.as_ref()?.progress.as_ref()?;
        (progress.version == self.version && !self.status().ended()).then_some(progress.number)
    }

    /// The same, to be read like this.
    #[must_use]
    pub fn with_read_as(self, read_as: ReadAs) -> Self {
        Self { read_as, ..self }
    }

    /// The same, as part of a trace.
    #[must_use]
    pub fn with_trace(mut self, trace: TraceParent) -> Self {
        self.trace = Some(trace);
        self
    }

    /// How far it is.
    pub const fn status(&self) -> TaskStatus {
        self.counts.status()
    }

    /// How far its callback is.
    pub fn callback_state(&self) -> CallbackState {
        self.callback.as_ref().map_or(CallbackState::None, |callback| callback.state)
    }

    /// Whether a callback message is due: the task has ended, and its customer has not been told yet.
    pub fn needs_callback(&self) -> bool {
        let untold = matches!(self.callback_state(), CallbackState::Pending | CallbackState::Retrying);
        self.status().ended() && untold
    }

    /// The pages of documents that are split, in order.
    pub fn pages(&self) -> impl Iterator<Item = PageRef> {
        let task_id = self.id;
        self.documents.iter().flat_map(move |document| {
            let pages = match &document.state {
                DocumentState::Split(split) => split.pages,
                DocumentState::Pending { .. } | DocumentState::Failed(_) => 0,
            };
            let number = document.number;
            (1..=pages).map(move |page| PageRef { task_id, document: number, page })
        })
    }

    /// A message for each of these pages.
    pub fn page_messages(&self) -> impl Iterator<Item = PageMessage> {
        self.pages().map(|page| PageMessage::new(self, page))
    }

    /// The document with a number.
    pub fn document(&self, number: u32) -> Option<&Document> {
        self.documents.iter().find(|document| document.number == number)
    }
}

const fn never() -> UnixMillis {
    // The end of the year 9999, the last that RFC 3339 can write.
    UnixMillis(253_402_300_799_000)
}

/// One page's record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// Which.
    pub page: PageRef,
    /// How far.
    pub status: PageStatus,
    /// The round in which it ended: with it, [`crate::ObjectKey::PageText`] finds its text.
    pub round: u32,
    /// Why it failed, when it did.
    pub failure: Option<Failure>,
    /// Of a page that was read and has text.
    pub confidence: Option<f32>,
    /// When it ended.
    pub ended_at: Option<UnixMillis>,
    /// Whether the engine was less sure of it than its route asks for. That stays true of a page that somebody accepts as it
    /// is; a correction takes it away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_review: bool,
}

/// How a page ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// Read; its text is in the store.
    Succeeded {
        /// The page's confidence, `None` without text.
        confidence: Option<f32>,
        /// Whether that is less than its route asks for.
        needs_review: bool,
    },
    /// It could not be read.
    Failed(Failure),
}

impl Outcome {
    /// Read, and as well as is asked for.
    pub const fn succeeded(confidence: Option<f32>) -> Self {
        Self::Succeeded { confidence, needs_review: false }
    }

    /// The page's status from now on.
    pub const fn status(&self) -> PageStatus {
        match self {
            Self::Succeeded { .. } => PageStatus::Succeeded,
            Self::Failed(_) => PageStatus::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{DocumentFormat, DocumentSource, FailureCode, SplitDocument};

    fn document(number: u32, state: DocumentState) -> Document {
        Document::new(number, None, state)
    }

    #[test]
    fn a_new_task_counts_the_pages_it_knows() {
        let split = DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages: 3 });
        let failed = DocumentState::Failed(Failure::new(FailureCode::EmptyDocument, "empty"));
        let pending =
            DocumentState::Pending { source: DocumentSource::Url { url: "https://example.com/a.pdf".to_owned() } };
        let documents = vec![document(1, split), document(2, failed), document(3, pending)];
        let task = Task::new(TaskId::new(Uuid::nil()), Tenant::default(), UnixMillis(0), documents, None);
        assert_eq!(task.counts, Counts { open: 4, succeeded: 0, failed: 1, canceled: 0 });
        assert_eq!(task.pages().map(|p| (p.document, p.page)).collect::<Vec<_>>(), [(1, 1), (1, 2), (1, 3)]);
        assert!(!task.needs_callback());
    }

    #[test]
    fn a_task_keeps_its_trace_and_one_of_old_has_none() {
        let task = Task::new(TaskId::new(Uuid::nil()), Tenant::default(), UnixMillis(0), Vec::new(), None);
        let old = serde_json::to_string(&task).expect("JSON");
        assert!(!old.contains("trace"));
        assert_eq!(serde_json::from_str::<Task>(&old).expect("a task"), task);
        let traced = task.with_trace(TraceParent::new(7, 8));
        let text = serde_json::to_string(&traced).expect("JSON");
        assert_eq!(serde_json::from_str::<Task>(&text).expect("a task"), traced);
    }

    #[test]
    fn a_page_of_a_canceled_task_that_still_waits_is_canceled() {
        let mut task = Task::new(TaskId::new(Uuid::nil()), Tenant::default(), UnixMillis(0), Vec::new(), None);
        let page = PageRef { task_id: task.id, document: 1, page: 1 };
        let (failure, confidence, ended_at) = (None, None, None);
        let page =
            Page { page, status: PageStatus::Queued, round: 1, failure, confidence, ended_at, needs_review: false };
        task.counts = Counts { open: 1, ..Counts::default() };
        assert_eq!(task.status_of(&page), PageStatus::Queued);
        task.counts = Counts { canceled: 1, ..Counts::default() };
        assert_eq!(task.status_of(&page), PageStatus::Canceled);
        task.counts = Counts { canceled: 1, open: 1, ..Counts::default() };
        task.round = 2;
        assert_eq!(task.status_of(&page), PageStatus::Canceled, "another was opened again");
    }
}
