//! What was read, as JSON: the same for every call that shows it.

use futures_util::{StreamExt, TryStreamExt, stream};
use quire_platform::{Backend, Error, Result};
use quire_tasks::{
    Counts, Document, DocumentState, Failure, FailureCode, ObjectKey, Page, PageStatus, PageText, Task, TaskId,
    TaskStatus, average_confidence,
};
use serde::Serialize;
use tracing::error;

use crate::accept::now;

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
    /// Why it could not be read, or why what was read is not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

impl DocumentAnswer {
    /// The answer for a document that was refused, where no task was made.
    pub(crate) fn refused(document: u32, file: Option<String>, failure: Failure) -> Self {
        let (status, text, error) = (TaskStatus::Failed, Some(String::new()), Some(failure));
        Self { task_id: None, document, file, status, text, avg_confidence: None, pages: Vec::new(), error }
    }

    /// The answer for a document of a task, of its pages in order.
    pub(crate) fn new(task: &Task, document: &Document, pages: Vec<PageAnswer>) -> Self {
        let status = status(task, document, &pages);
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
/// [`Error::NotFound`] where the task is deleted meanwhile; otherwise any.
pub async fn documents(backend: &Backend, task: &Task) -> Result<Vec<DocumentAnswer>> {
    let pages = backend.tasks.pages(task.id).await?;
    let mut answers = answers(backend, task, pages).await?;
    let mut documents = Vec::with_capacity(task.documents.len());
    for document in &task.documents {
        let rest = answers.split_off(answers.partition_point(|(number, _)| *number <= document.number));
        let own = std::mem::replace(&mut answers, rest);
        let pages = own.into_iter().map(|(_, page)| page).collect();
        documents.push(DocumentAnswer::new(task, document, pages));
    }
    Ok(documents)
}

/// Pages of a task, each with the number of its document.
pub(crate) async fn answers(backend: &Backend, task: &Task, pages: Vec<Page>) -> Result<Vec<(u32, PageAnswer)>> {
    let ended = task.status().ended();
    let with_text = texts(backend, task, pages).await?;
    let answer = |(page, read): (Page, Text)| {
        let (status, document) = (task.status_of(&page), page.page.document);
        let (read, lost) = match read {
            Text::Read(read) => (Some(*read), None),
            Text::Lost => (None, Some(lost())),
            Text::None => (None, None),
        };
        let text = (ended && lost.is_none()).then(|| read.as_ref().map_or_else(String::new, PageText::text));
        let error = page.failure.or(lost);
        let (confidence, needs_review) = (page.confidence, page.needs_review);
        (document, PageAnswer { page: page.page.page, status, text, confidence, needs_review, read, error })
    };
    Ok(with_text.into_iter().map(answer).collect())
}

/// What is there of a page to be shown.
#[derive(Debug, PartialEq)]
pub(crate) enum Text {
    /// Nothing yet, or nothing at all.
    None,
    /// What was read.
    Read(Box<PageText>),
    /// It was read, and what was read is no longer in the store.
    Lost,
}

/// What is said of a page whose text is lost.
pub(crate) fn lost() -> Failure {
    Failure::new(FailureCode::Internal, "What was read on this page is no longer there.")
}

/// These pages with what was read on them, once their task has ended.
///
/// # Errors
/// [`Error::NotFound`] where the task is deleted meanwhile; otherwise any.
pub(crate) async fn texts(backend: &Backend, task: &Task, pages: Vec<Page>) -> Result<Vec<(Page, Text)>> {
    let ended = task.status().ended();
    let reads = pages.into_iter().map(|page| with_text(backend.clone(), page, ended));
    let texts: Vec<_> = stream::iter(reads).buffered(READ_AT_A_TIME).try_collect().await?;
    if texts.iter().any(|(_, text)| *text == Text::Lost) && backend.tasks.task(task.id).await?.expired(now()) {
        return Err(Error::NotFound { what: task.id.to_string() });
    }
    Ok(texts)
}

async fn with_text(backend: Backend, page: Page, ended: bool) -> Result<(Page, Text)> {
    if !ended || page.status != PageStatus::Succeeded {
        return Ok((page, Text::None));
    }
    let key = ObjectKey::PageText { page: page.page, round: page.round }.to_string();
    let text = match backend.objects.read(&key).await {
        Ok(json) => Text::Read(Box::new(parse(&key, &json)?)),
        Err(Error::NotFound { .. }) => Text::Lost,
        Err(error) => return Err(error),
    };
    Ok((page, text))
}

fn parse(key: &str, json: &[u8]) -> Result<PageText> {
    serde_json::from_slice(json).map_err(|error| {
        // The position says enough; the object itself is the customer's text.
        error!(object.key = key, line = error.line(), column = error.column(), "a stored result is malformed");
        Error::Failed { what: "a stored result", why: "malformed".to_owned() }
    })
}

fn status(task: &Task, document: &Document, pages: &[PageAnswer]) -> TaskStatus {
    let counts = match &document.state {
        DocumentState::Split(_) => pages.iter().fold(Counts::default(), |counts, page| counts.add(1, page.status)),
        DocumentState::Pending { .. } if task.status().ended() => Counts::default().add(1, PageStatus::Canceled),
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
