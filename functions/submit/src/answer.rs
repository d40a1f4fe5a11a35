//! What was read, as JSON: the same for every call that shows it.

use futures_util::{StreamExt, TryStreamExt, stream};
use quire_platform::{Home, Result};
use quire_tasks::{
    Counts, Document, DocumentState, Failure, Key, Page, PageStatus, PageText, Task, TaskId, TaskStatus,
    average_confidence,
};
use serde::Serialize;
use tracing::error;

/// How many results of a task are read from the store at a time: enough to hide its latency, and few enough that a
/// long document does not take all its connections.
const READ_AT_A_TIME: usize = 16;
/// Between the texts of a document's pages. A form feed would say more, but is an escape in JSON and invisible when
/// printed; whoever needs the boundaries has `pages`.
const PAGE_SEPARATOR: &str = "\n\n";

/// One document of a task: an entry of the batch answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DocumentAnswer {
    /// Missing where every document of a request was refused, so that there is no task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// Its place in the request, from 1.
    pub document: u32,
    /// The file name that came with it.
    pub file: Option<String>,
    /// A function of its pages, as a task's is.
    pub status: TaskStatus,
    /// The texts of the pages that have one, with an empty line between them; not there while the task is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The mean over its pages that have one.
    pub avg_confidence: Option<f32>,
    /// Its pages, in order; empty for a document that could not be split.
    pub pages: Vec<PageAnswer>,
    /// Why nothing of it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// One page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PageAnswer {
    /// Its number in the document, from 1.
    pub page: u32,
    /// How far it is.
    pub status: PageStatus,
    /// Its lines, one below the other; not there while the task is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The mean of its lines' confidences weighted by their characters; `null` without text.
    pub confidence: Option<f32>,
    /// Whether its engine was less sure of it than its route asks for, and nobody has corrected it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub needs_review: bool,
    /// Its size, rotation, engine and lines, and what else its mode gives, where it was read and the task has ended.
    #[serde(flatten)]
    pub read: Option<PageText>,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

impl DocumentAnswer {
    /// The answer for a document that was refused, where no task was made.
    pub(crate) fn refused(document: u32, file: Option<String>, failure: Failure) -> Self {
        let (status, text, error) = (TaskStatus::Failed, Some(String::new()), Some(failure));
        Self { task_id: None, document, file, status, text, avg_confidence: None, pages: Vec::new(), error }
    }

    fn new(task: &Task, document: &Document, pages: Vec<PageAnswer>) -> Self {
        let status = status(document, &pages);
        let error = match &document.state {
            DocumentState::Failed(failure) => Some(failure.clone()),
            _ if status == TaskStatus::Failed => reason(&pages).cloned(),
            _ => None,
        };
        let text = task.status().ended().then(|| {
            let texts = pages.iter().filter_map(|page| page.text.as_deref()).filter(|text| !text.is_empty());
            texts.collect::<Vec<_>>().join(PAGE_SEPARATOR)
        });
        let avg_confidence = average_confidence(pages.iter().map(|page| page.confidence));
        let (task_id, file) = (Some(task.id), document.name.clone());
        Self { task_id, document: document.number, file, status, text, avg_confidence, pages, error }
    }
}

/// A task's documents, in the order sent: with all that was read when the task has ended, and before that with how far
/// each page is.
///
/// # Errors
/// Any [`quire_platform::Error`].
pub async fn documents(home: &Home, task: &Task) -> Result<Vec<DocumentAnswer>> {
    let ended = task.status().ended();
    let pages = home.tasks.pages(task.id).await?;
    let reads = pages.into_iter().map(|page| answer(home.clone(), page, ended));
    let mut answers: Vec<(u32, PageAnswer)> = stream::iter(reads).buffered(READ_AT_A_TIME).try_collect().await?;
    let mut documents = Vec::with_capacity(task.documents.len());
    for document in &task.documents {
        let rest = answers.split_off(answers.partition_point(|(number, _)| *number <= document.number));
        let own = std::mem::replace(&mut answers, rest);
        let pages = own.into_iter().map(|(_, page)| page).collect();
        documents.push(DocumentAnswer::new(task, document, pages));
    }
    Ok(documents)
}

/// A page with the number of its document.
async fn answer(home: Home, page: Page, ended: bool) -> Result<(u32, PageAnswer)> {
    let Page { page: place, status, round, failure, confidence, needs_review, .. } = page;
    let read = match status {
        PageStatus::Succeeded if ended => {
            let key = Key::PageText { page: place, round }.to_string();
            Some(parse(&key, &home.objects.read(&key).await?)?)
        }
        _ => None,
    };
    let text = ended.then(|| read.as_ref().map_or_else(String::new, PageText::text));
    let page = PageAnswer { page: place.page, status, text, confidence, needs_review, read, error: failure };
    Ok((place.document, page))
}

fn parse(key: &str, json: &[u8]) -> Result<PageText> {
    serde_json::from_slice(json).map_err(|error| {
        // The position says enough; the object itself is the customer's text.
        error!(object.key = key, line = error.line(), column = error.column(), "a stored result is malformed");
        quire_platform::Error::Failed { what: "a stored result", why: "malformed".to_owned() }
    })
}

fn status(document: &Document, pages: &[PageAnswer]) -> TaskStatus {
    let counts = match &document.state {
        DocumentState::Split(_) => pages.iter().fold(Counts::default(), |counts, page| counts.add(1, page.status)),
        other => {
            let (pages, status) = other.weight();
            Counts::default().add(pages, status)
        }
    };
    counts.status()
}

/// Why no page was read: a reason of ours before one of the document's, since sending it again may then end better.
fn reason(pages: &[PageAnswer]) -> Option<&Failure> {
    let failures = || pages.iter().filter_map(|page| page.error.as_ref());
    failures().find(|failure| failure.code.retryable()).or_else(|| failures().next())
}
