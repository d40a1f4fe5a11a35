//! A task's result written page after page: however long it is, a few pages of it are in memory.

use quire_platform::{Backend, Error, Result};
use quire_tasks::Task;

use crate::tasks::{
    answers::{DocumentAnswer, PageAnswer, page_answers},
    result_buffer::{ComposedResult, ResultBuffer, spool_failure},
};

/// How many pages are read and written at a time.
const AT_A_TIME: usize = 32;

/// The same as JSON: what `POST /ocr/batch` answers.
///
/// # Errors
/// [`Error::NotFound`] where the task is deleted meanwhile; otherwise any.
pub(crate) async fn as_json(backend: &Backend, task: &Task, most: usize) -> Result<ComposedResult> {
    let pages = backend.tasks.pages(task.id).await?;
    let (mut draft, mut rest) = (ResultBuffer::new(backend, most), &pages[..]);
    let malformed = |error: serde_json::Error| Error::Failed { what: "a result", why: error.to_string() };
    for (index, document) in task.documents.iter().enumerate() {
        let (own, others) = rest.split_at(rest.partition_point(|page| page.page.document <= document.number));
        rest = others;
        // The pages first: what is said of all of them is known behind the last.
        draft
            .write(if index == 0 { "[{\"pages\":[" } else { ",{\"pages\":[" })
            .await
            .map_err(|error| spool_failure(&error))?;
        let mut told = Vec::with_capacity(own.len());
        for pages in own.chunks(AT_A_TIME) {
            let mut written = String::new();
            for (_, page) in page_answers(backend, task, pages.to_vec()).await? {
                if !told.is_empty() {
                    written.push(',');
                }
                written.push_str(&serde_json::to_string(&page).map_err(malformed)?);
                told.push(PageAnswer { read: None, ..page });
            }
            draft.write(&written).await.map_err(|error| spool_failure(&error))?;
        }
        let answer = DocumentAnswer { pages: Vec::new(), ..DocumentAnswer::new(task, document, told) };
        let answer = serde_json::to_string(&answer).map_err(malformed)?;
        draft.write(&behind(&answer)).await.map_err(|error| spool_failure(&error))?;
    }
    draft.write(if task.documents.is_empty() { "[]" } else { "]" }).await.map_err(|error| spool_failure(&error))?;
    draft.end().await.map_err(|error| spool_failure(&error))
}

/// The other members of an answer without pages, behind its pages. Within a text their quotation marks would be escaped.
fn behind(answer: &str) -> String {
    let (before, rest) = answer.split_once("\"pages\":[]").unwrap_or((answer, ""));
    let before = before.trim_start_matches('{').trim_end_matches(',');
    format!("],{before}{rest}")
}
