//! The records of the task table.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    Callback, CallbackState, Counts, Document, DocumentState, Failure, PageRef, PageStatus, ReadAs, RedactPolicy,
    TaskId, TaskStatus, Tenant, TraceParent, UnixMillis,
};

/// Default: how long a task is kept.
pub const DEFAULT_RETENTION: Duration = Duration::from_hours(7 * 24);
/// Shortest retention that a customer can request.
pub const MIN_RETENTION: Duration = Duration::from_hours(1);
/// Longest retention that a customer can request.
pub const MAX_RETENTION: Duration = Duration::from_hours(90 * 24);

/// A task: one submission of one or more documents.
///
/// ```
/// use quire_tasks::{
///     Document, DocumentFormat, DocumentState, PageMessage, SplitDocument, Task, TaskId, TaskStatus, Tenant,
/// UnixMillis,
/// };
///
/// let split = SplitDocument { format: DocumentFormat::Pdf, pages: 3 };
/// let document = Document::new(1, Some("invoice.pdf".to_owned()), DocumentState::Split(split));
/// let id = TaskId::derive_from(&["example"]);
/// let task = Task::new(id, Tenant::default(), UnixMillis(0), vec![document], None);
///
/// assert_eq!(task.status(), TaskStatus::Queued);
/// let messages: Vec<PageMessage> = task.page_messages().collect();
/// assert_eq!(messages.len(), 3);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The id.
    pub id: TaskId,
    /// The tenant that owns it.
    pub tenant: Tenant,
    /// Number of the round, from 1. Statuses are final within a round; a retry, redrive or correction starts the
    /// next.
    pub round: u32,
    /// Incremented by every change. The `ETag` is derived from it.
    pub version: u64,
    /// When the task was accepted.
    pub created_at: UnixMillis,
    /// When the last page ended.
    pub ended_at: Option<UnixMillis>,
    /// When the task expires. An expired task is not returned any more; its data is deleted soon after.
    #[serde(default = "never")]
    pub expires_at: UnixMillis,
    /// The customer's tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The documents, in the order sent.
    pub documents: Vec<Document>,
    /// Number of pages by status.
    pub counts: Counts,
    /// The callback, if the customer requested one.
    pub callback: Option<Callback>,
    /// Whether all messages for the documents known at creation have been sent. The sweeper finds tasks that were
    /// interrupted before, and sends their messages again.
    pub dispatched: bool,
    /// The read options.
    #[serde(default, skip_serializing_if = "ReadAs::is_default")]
    pub read_as: ReadAs,
    /// The redaction policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redact: Option<RedactPolicy>,
    /// Whether results contain the words of lines, unless a request says otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub words: bool,
    /// Whether this round started with a correction of a page. Its callback is then a `task.updated`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub updated: bool,
    /// The trace of the submission. All work on the task belongs to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceParent>,
}

impl Task {
    /// Returns a new task in its first round. Default: [`DEFAULT_RETENTION`], default read options, no tags, no
    /// redaction.
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
        Self {
            id,
            tenant,
            round: 1,
            version: 1,
            created_at,
            ended_at: None,
            expires_at: created_at.plus(DEFAULT_RETENTION),
            tags: Vec::new(),
            documents,
            counts,
            callback: callback_url.map(Callback::new),
            dispatched: false,
            read_as: ReadAs::default(),
            redact: None,
            words: false,
            updated: false,
            trace: None,
        }
    }

    /// Returns this task with another retention.
    #[must_use]
    pub fn with_retention(self, retention: Duration) -> Self {
        Self { expires_at: self.created_at.plus(retention), ..self }
    }

    /// Returns this task with tags.
    #[must_use]
    pub fn with_tags(self, tags: Vec<String>) -> Self {
        Self { tags, ..self }
    }

    /// Returns this task with a redaction policy.
    #[must_use]
    pub fn with_redaction(self, redact: Option<RedactPolicy>) -> Self {
        Self { redact, ..self }
    }

    /// Returns this task with or without words in its results.
    #[must_use]
    pub fn with_words(self, words: bool) -> Self {
        Self { words, ..self }
    }

    /// Returns whether the task has expired.
    pub fn expired(&self, now: UnixMillis) -> bool {
        self.expires_at <= now
    }

    /// Returns the effective status of one of its pages. The page records of a canceled task still have the status
    /// `queued`. A queued page of a task that has ended otherwise was reopened after the task was read.
    pub const fn status_of(&self, page: &Page) -> PageStatus {
        match page.status {
            // A page that is queued since an earlier round was not reopened in this one.
            PageStatus::Queued
                if matches!(self.status(), TaskStatus::Canceled)
                    || (self.counts.canceled > 0 && page.round < self.round) =>
            {
                PageStatus::Canceled
            }
            status => status,
        }
    }

    /// Returns the number of the progress event that the last change to the task must send, or `None` if it must send
    /// none.
    pub fn progress_due(&self) -> Option<u32> {
        let progress = self.callback.as_ref()?.progress.as_ref()?;
        let is_due = progress.version == self.version && !self.status().ended();
        if is_due { Some(progress.number) } else { None }
    }

    /// Returns this task with read options.
    #[must_use]
    pub fn with_read_as(self, read_as: ReadAs) -> Self {
        Self { read_as, ..self }
    }

    /// Returns this task as part of a trace.
    #[must_use]
    pub fn with_trace(mut self, trace: TraceParent) -> Self {
        self.trace = Some(trace);
        self
    }

    /// Returns the task's status.
    pub const fn status(&self) -> TaskStatus {
        self.counts.status()
    }

    /// Returns the state of the task's callback.
    pub fn callback_state(&self) -> CallbackState {
        self.callback.as_ref().map_or(CallbackState::None, |callback| callback.state)
    }

    /// Returns whether a callback message must be sent: the task has ended, and its callback is pending or being
    /// retried.
    pub fn needs_callback(&self) -> bool {
        let undelivered = matches!(self.callback_state(), CallbackState::Pending | CallbackState::Retrying);
        self.status().ended() && undelivered
    }

    /// Returns the pages of all documents that are split, in order.
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

    /// Returns the document with a number.
    pub fn document(&self, number: u32) -> Option<&Document> {
        self.documents.iter().find(|document| document.number == number)
    }
}

const fn never() -> UnixMillis {
    // The end of the year 9999, the last that RFC 3339 can represent.
    UnixMillis(253_402_300_799_000)
}

/// The record of a page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The page.
    pub page: PageRef,
    /// Its status.
    pub status: PageStatus,
    /// The round in which it ended. [`crate::ObjectKey::PageText`] contains it.
    pub round: u32,
    /// The failure, if it failed.
    pub failure: Option<Failure>,
    /// The confidence of its text; `None` if it was not read or has no text.
    pub confidence: Option<f32>,
    /// When it ended.
    pub ended_at: Option<UnixMillis>,
    /// Whether its confidence is below its route's threshold. Accepting the page in a review keeps the flag; a
    /// correction clears it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_review: bool,
}

/// The outcome of a page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// The page was read; its text is in the object store.
    Succeeded {
        /// The confidence; `None` without text.
        confidence: Option<f32>,
        /// Whether the confidence is below the route's threshold.
        needs_review: bool,
    },
    /// The page could not be read.
    Failed(Failure),
}

impl Outcome {
    /// Returns the outcome of a page that was read and needs no review.
    pub const fn succeeded(confidence: Option<f32>) -> Self {
        Self::Succeeded { confidence, needs_review: false }
    }

    /// Returns the page status of this outcome.
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
    fn a_task_without_a_trace_can_be_deserialized() {
        let task = Task::new(TaskId::new(Uuid::nil()), Tenant::default(), UnixMillis(0), Vec::new(), None);
        let untraced = serde_json::to_string(&task).expect("JSON");
        assert!(!untraced.contains("trace"));
        assert_eq!(serde_json::from_str::<Task>(&untraced).expect("a task"), task);
        let traced = task.with_trace(TraceParent::new(7, 8));
        let text = serde_json::to_string(&traced).expect("JSON");
        assert_eq!(serde_json::from_str::<Task>(&text).expect("a task"), traced);
    }

    #[test]
    fn a_queued_page_of_a_canceled_task_is_canceled() {
        let mut task = Task::new(TaskId::new(Uuid::nil()), Tenant::default(), UnixMillis(0), Vec::new(), None);
        let page = PageRef { task_id: task.id, document: 1, page: 1 };
        let page = Page {
            page,
            status: PageStatus::Queued,
            round: 1,
            failure: None,
            confidence: None,
            ended_at: None,
            needs_review: false,
        };
        task.counts = Counts { open: 1, ..Counts::default() };
        assert_eq!(task.status_of(&page), PageStatus::Queued);
        task.counts = Counts { canceled: 1, ..Counts::default() };
        assert_eq!(task.status_of(&page), PageStatus::Canceled);
        task.counts = Counts { canceled: 1, open: 1, ..Counts::default() };
        task.round = 2;
        assert_eq!(task.status_of(&page), PageStatus::Canceled, "another page was reopened");
    }
}
