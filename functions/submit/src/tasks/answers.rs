//! Documents and pages with their text, as all responses serialize them.

use quire_formats::page_output;
use quire_platform::{Backend, Result};
use quire_tasks::{Document, Failure, Page, PageStatus, PageText, Task, TaskId, TaskStatus};
use serde::Serialize;

use crate::tasks::{
    document_fold::{DocumentFold, DocumentMembers},
    page_texts::{StoredText, missing_text, page_texts},
};

/// The separator between the texts of a document's pages. A form feed would be more precise, but is an escape in JSON
/// and invisible in print; `pages` has the exact boundaries.
pub(crate) const PAGE_SEPARATOR: &str = "\n\n";

/// A document of a task: an entry of the response to `POST /ocr/batch`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DocumentAnswer {
    /// Absent if every document of the request was refused, so that no task exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// The number of the document in the request, from 1.
    pub document: u32,
    /// The file name that was sent.
    pub file: Option<String>,
    /// The status, derived from the pages like that of a task.
    pub status: TaskStatus,
    /// The texts of its pages, separated by empty lines; absent while the task is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The mean confidence, 0 to 1, of the pages that have one.
    pub avg_confidence: Option<f32>,
    /// Its pages, in order. Empty if the document could not be split.
    pub pages: Vec<PageAnswer>,
    /// Why no page could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// A page of a document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PageAnswer {
    /// The number of the page in the document, from 1.
    pub page: u32,
    /// The status of the page.
    pub status: PageStatus,
    /// Its lines, separated by line feeds, or the output of its mode; absent while the task is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The mean confidence of its lines, 0 to 1, weighted by their length; `null` without text.
    pub confidence: Option<f32>,
    /// Whether its confidence is below the threshold of its route, and it was not corrected yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub needs_review: bool,
    /// Its size, rotation, engine, lines and the output of its mode; absent while the task is open or if it was not
    /// read.
    #[serde(flatten)]
    pub read: Option<PageText>,
    /// Why it could not be read, or why its text is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

impl DocumentAnswer {
    /// Returns the answer for a document that was refused, without a task.
    pub(crate) fn refused(document: u32, file: Option<String>, failure: Failure) -> Self {
        Self {
            task_id: None,
            document,
            file,
            status: TaskStatus::Failed,
            text: Some(String::new()),
            avg_confidence: None,
            pages: Vec::new(),
            error: Some(failure),
        }
    }

    /// Returns the answer for a document of a task, with its pages in order.
    fn new(task: &Task, document: &Document, pages: Vec<PageAnswer>) -> Self {
        let mut fold = DocumentFold::default();
        for page in &pages {
            fold.add(page.status, page.confidence, page.error.as_ref());
        }
        let DocumentMembers { task_id, document, file, status, avg_confidence, error } = fold.finish(task, document);
        let text = if task.status().ended() { Some(joined_text(&pages)) } else { None };
        let file = file.map(str::to_owned);
        Self { task_id: Some(task_id), document, file, status, text, avg_confidence, pages, error }
    }
}

/// Returns a task's documents, in the order sent: with their text if the task has ended, and otherwise with the status
/// of each page. All of it is in memory: for a program that reads its own files. The API composes its responses page by
/// page.
///
/// # Errors
/// [`quire_platform::Error::NotFound`] if the task was deleted concurrently, or any other error of the backend.
pub async fn document_answers(backend: &Backend, task: &Task) -> Result<Vec<DocumentAnswer>> {
    let pages = backend.tasks.pages(task.id).await?;
    let mut answers = page_answers(backend, task, pages).await?;
    let mut documents = Vec::with_capacity(task.documents.len());
    for document in &task.documents {
        let rest = answers.split_off(answers.partition_point(|(number, _)| *number <= document.number));
        let own = std::mem::replace(&mut answers, rest);
        let pages = own.into_iter().map(|(_, page)| page).collect();
        documents.push(DocumentAnswer::new(task, document, pages));
    }
    Ok(documents)
}

/// Returns pages of a task, each with the number of its document.
pub(crate) async fn page_answers(backend: &Backend, task: &Task, pages: Vec<Page>) -> Result<Vec<(u32, PageAnswer)>> {
    let texts = page_texts(backend, task, pages).await?;
    Ok(texts.into_iter().map(|(page, text)| (page.page.document, page_answer(task, page, text))).collect())
}

fn page_answer(task: &Task, page: Page, stored: StoredText) -> PageAnswer {
    let status = task.status_of(&page);
    let (read, missing) = match stored {
        StoredText::Read(mut read) => {
            if !task.words {
                read.clear_words();
            }
            (Some(*read), None)
        }
        StoredText::Missing => (None, Some(missing_text())),
        StoredText::None => (None, None),
    };
    let text = if task.status().ended() && missing.is_none() {
        Some(read.as_ref().map_or_else(String::new, page_output))
    } else {
        None
    };
    PageAnswer {
        page: page.page.page,
        status,
        text,
        confidence: page.confidence,
        needs_review: page.needs_review,
        read,
        error: page.failure.or(missing),
    }
}

fn joined_text(pages: &[PageAnswer]) -> String {
    let texts = pages.iter().filter_map(|page| page.text.as_deref()).filter(|text| !text.is_empty());
    texts.collect::<Vec<_>>().join(PAGE_SEPARATOR)
}
