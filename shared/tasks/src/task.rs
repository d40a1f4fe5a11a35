//! The records of the task table.

use serde::{Deserialize, Serialize};

use crate::{
    CallbackState, Counts, Document, DocumentState, Failure, PageMessage, PageRef, PageStatus, ReadAs, TaskId,
    TaskStatus, Tenant, TraceParent, UnixMillis,
};

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
    #[serde(default, skip_serializing_if = "ReadAs::is_usual")]
    pub read_as: ReadAs,
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
        let callback = callback_url.map(Callback::owed);
        let (round, version) = (1, 1);
        let (ended_at, dispatched, trace) = (None, false, None);
        let (read_as, updated) = (ReadAs::default(), false);
        Self {
            id,
            tenant,
            round,
            version,
            created_at,
            ended_at,
            documents,
            counts,
            callback,
            dispatched,
            read_as,
            updated,
            trace,
        }
    }

    /// The same, to be read like this.
    #[must_use]
    pub fn read_as(self, read_as: ReadAs) -> Self {
        Self { read_as, ..self }
    }

    /// The same, as part of a trace.
    #[must_use]
    pub fn traced(mut self, trace: TraceParent) -> Self {
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
    pub fn owes_callback(&self) -> bool {
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

/// One page's record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// Which.
    pub page: PageRef,
    /// How far.
    pub status: PageStatus,
    /// The round in which it ended: with it, [`crate::Key::PageText`] finds its text.
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
    pub const fn read(confidence: Option<f32>) -> Self {
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

/// A task's callback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// Where it goes.
    pub url: String,
    /// How far it is.
    pub state: CallbackState,
    /// How often it was tried in this round.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

impl Callback {
    /// A callback that nobody has tried yet.
    pub const fn owed(url: String) -> Self {
        Self { url, state: CallbackState::Pending, attempts: 0, last_error: None }
    }
}

/// How an attempt at a callback ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallbackUpdate {
    /// The receiver took it.
    Delivered,
    /// It did not, and will be asked again.
    Retrying {
        /// Why.
        error: String,
    },
    /// It did not, and will not be asked again.
    Exhausted {
        /// Why.
        error: String,
    },
    /// An operator wants it tried again.
    Owed,
}

impl CallbackUpdate {
    /// `callback` after this, or `None` where the update comes too late: a delivered callback stays delivered, and an
    /// exhausted one is only left by [`CallbackUpdate::Owed`] or by a delivery.
    pub fn apply(&self, callback: &Callback) -> Option<Callback> {
        use CallbackState::{Delivered, Exhausted, Pending, Retrying};
        let attempts = callback.attempts + 1;
        let url = callback.url.clone();
        let next =
            |state, error: &String| Callback { url: url.clone(), state, attempts, last_error: Some(error.clone()) };
        match (callback.state, self) {
            (Delivered | CallbackState::None, _) | (Exhausted, Self::Retrying { .. } | Self::Exhausted { .. }) => None,
            (_, Self::Delivered) => Some(Callback { url, state: Delivered, attempts, last_error: None }),
            (_, Self::Retrying { error }) => Some(next(Retrying, error)),
            (_, Self::Exhausted { error }) => Some(next(Exhausted, error)),
            (Pending | Retrying | Exhausted, Self::Owed) => Some(Callback { state: Pending, ..callback.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{FailureCode, Format, Source, Split};

    fn document(number: u32, state: DocumentState) -> Document {
        Document { number, name: None, state }
    }

    #[test]
    fn a_new_task_counts_the_pages_it_knows() {
        let split = DocumentState::Split(Split { format: Format::Pdf, pages: 3 });
        let failed = DocumentState::Failed(Failure::new(FailureCode::EmptyDocument, "empty"));
        let pending = DocumentState::Pending { source: Source::Url { url: "https://example.com/a.pdf".to_owned() } };
        let documents = vec![document(1, split), document(2, failed), document(3, pending)];
        let task = Task::new(TaskId::new(Uuid::nil()), Tenant::default(), UnixMillis(0), documents, None);
        assert_eq!(task.counts, Counts { open: 4, succeeded: 0, failed: 1, canceled: 0 });
        assert_eq!(task.pages().map(|p| (p.document, p.page)).collect::<Vec<_>>(), [(1, 1), (1, 2), (1, 3)]);
        assert!(!task.owes_callback());
    }

    #[test]
    fn a_task_keeps_its_trace_and_one_of_old_has_none() {
        let task = Task::new(TaskId::new(Uuid::nil()), Tenant::default(), UnixMillis(0), Vec::new(), None);
        let old = serde_json::to_string(&task).expect("JSON");
        assert!(!old.contains("trace"));
        assert_eq!(serde_json::from_str::<Task>(&old).expect("a task"), task);
        let traced = task.traced(TraceParent::new(7, 8));
        let text = serde_json::to_string(&traced).expect("JSON");
        assert_eq!(serde_json::from_str::<Task>(&text).expect("a task"), traced);
    }

    #[test]
    fn a_delivered_callback_stays_delivered() {
        let owed = Callback::owed("https://example.com".to_owned());
        let failed = CallbackUpdate::Retrying { error: "500".to_owned() };
        let retrying = failed.apply(&owed).expect("a first attempt counts");
        assert_eq!((retrying.state, retrying.attempts), (CallbackState::Retrying, 1));
        let delivered = CallbackUpdate::Delivered.apply(&retrying).expect("a second attempt counts");
        assert_eq!((delivered.state, delivered.last_error.as_ref()), (CallbackState::Delivered, None));
        for late in [failed, CallbackUpdate::Owed, CallbackUpdate::Delivered] {
            assert_eq!(late.apply(&delivered), None);
        }
    }

    #[test]
    fn an_exhausted_callback_can_be_owed_again() {
        let owed = Callback::owed("https://example.com".to_owned());
        let exhausted = CallbackUpdate::Exhausted { error: "410".to_owned() }.apply(&owed).expect("counts");
        assert_eq!(CallbackUpdate::Retrying { error: "late".to_owned() }.apply(&exhausted), None);
        let again = CallbackUpdate::Owed.apply(&exhausted).expect("an operator may");
        assert_eq!(again.state, CallbackState::Pending);
    }
}
