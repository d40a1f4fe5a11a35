//! The members of a document's answer that depend on all its pages, computed page by page in bounded memory.

use quire_tasks::{Counts, Document, DocumentState, Failure, PageStatus, Task, TaskId, TaskStatus};
use serde::Serialize;

/// What is known of a document from the pages that were added so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct DocumentFold {
    counts: Counts,
    confidence: ConfidenceFold,
    /// The first retryable failure, and the first one.
    retryable: Option<Failure>,
    first: Option<Failure>,
}

/// The mean of confidences, added in the same order as [`quire_tasks::average_confidence`] adds them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ConfidenceFold {
    sum: f32,
    known: u32,
}

/// The members of a [`crate::DocumentAnswer`] but its pages and its text.
#[derive(Debug, Serialize)]
pub(crate) struct DocumentMembers<'a> {
    pub(crate) task_id: TaskId,
    pub(crate) document: u32,
    pub(crate) file: Option<&'a str>,
    pub(crate) status: TaskStatus,
    pub(crate) avg_confidence: Option<f32>,
    /// Why no page could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Failure>,
}

impl ConfidenceFold {
    pub(crate) fn add(&mut self, confidence: Option<f32>) {
        if let Some(confidence) = confidence {
            self.sum += confidence;
            self.known += 1;
        }
    }

    pub(crate) fn average(self) -> Option<f32> {
        if self.known == 0 { None } else { Some(self.sum / self.known as f32) }
    }
}

impl DocumentFold {
    /// Adds the next page.
    pub(crate) fn add(&mut self, status: PageStatus, confidence: Option<f32>, error: Option<&Failure>) {
        self.counts = self.counts.add(1, status);
        self.confidence.add(confidence);
        if let Some(failure) = error {
            if failure.code.retryable() && self.retryable.is_none() {
                self.retryable = Some(failure.clone());
            }
            if self.first.is_none() {
                self.first = Some(failure.clone());
            }
        }
    }

    /// Returns the members of the document's answer, once all its pages are added.
    pub(crate) fn finish<'a>(self, task: &Task, document: &'a Document) -> DocumentMembers<'a> {
        let status = self.status(task, document);
        let error = match &document.state {
            DocumentState::Failed(failure) => Some(failure.clone()),
            // A retryable failure takes precedence, because the client can act on it.
            _ if status == TaskStatus::Failed => self.retryable.or(self.first),
            _ => None,
        };
        let avg_confidence = self.confidence.average();
        let file = document.name.as_deref();
        DocumentMembers { task_id: task.id, document: document.number, file, status, avg_confidence, error }
    }

    fn status(&self, task: &Task, document: &Document) -> TaskStatus {
        let counts = match &document.state {
            DocumentState::Split(_) => self.counts,
            DocumentState::Pending { .. } if task.status().ended() => Counts::default().add(1, PageStatus::Canceled),
            other => {
                let (pages, status) = other.weight();
                Counts::default().add(pages, status)
            }
        };
        counts.status()
    }
}
