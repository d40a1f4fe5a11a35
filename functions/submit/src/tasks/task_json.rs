//! Composes a task's result as JSON, page by page, in bounded memory.

use quire_platform::{Backend, Error, Result};
use quire_tasks::{Document, Failure, Page, Task, TaskId, TaskStatus};
use serde::Serialize;

use crate::tasks::{
    answers::{DocumentAnswer, PageAnswer, page_answers},
    result_buffer::{ComposedResult, ResultBuffer},
};

/// The number of pages in memory at a time.
const PAGE_BATCH: usize = 32;

/// Composes the response of `POST /ocr/batch`. A result of more than `max_bytes` is written to a file.
///
/// # Errors
/// [`Error::NotFound`] if the task was deleted concurrently, or any other error of the backend.
pub(crate) async fn compose_json(backend: &Backend, task: &Task, max_bytes: usize) -> Result<ComposedResult> {
    let pages = backend.tasks.pages(task.id).await?;
    let mut rest = &pages[..];
    let mut buffer = ResultBuffer::new(backend, max_bytes);
    buffer.write("[").await?;
    for (index, document) in task.documents.iter().enumerate() {
        let (own, others) = rest.split_at(rest.partition_point(|page| page.page.document <= document.number));
        rest = others;
        if index > 0 {
            buffer.write(",").await?;
        }
        write_document(backend, task, document, own, &mut buffer).await?;
    }
    buffer.write("]").await?;
    buffer.finish().await
}

/// Writes a document as a JSON object. Its pages come first, since its other members depend on all pages.
async fn write_document(
    backend: &Backend,
    task: &Task,
    document: &Document,
    pages: &[Page],
    buffer: &mut ResultBuffer,
) -> Result<()> {
    buffer.write("{\"pages\":[").await?;
    // The pages without their lines, i.e. what the document's other members need.
    let mut summaries = Vec::with_capacity(pages.len());
    for pages in pages.chunks(PAGE_BATCH) {
        let mut json = String::new();
        for (_, page) in page_answers(backend, task, pages.to_vec()).await? {
            if !summaries.is_empty() {
                json.push(',');
            }
            json.push_str(&to_json(&page)?);
            summaries.push(PageAnswer { read: None, ..page });
        }
        buffer.write(&json).await?;
    }
    buffer.write("]").await?;
    let answer = DocumentAnswer::new(task, document, summaries);
    buffer.write(&object_rest(answer)?).await
}

/// The members of a [`DocumentAnswer`] but its pages.
#[derive(Debug, Serialize)]
struct DocumentMembers {
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<TaskId>,
    document: u32,
    file: Option<String>,
    status: TaskStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    avg_confidence: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

impl From<DocumentAnswer> for DocumentMembers {
    fn from(answer: DocumentAnswer) -> Self {
        // Without `..`, so that a new member of the answer cannot be forgotten here.
        let DocumentAnswer { task_id, document, file, status, text, avg_confidence, pages: _, error } = answer;
        Self { task_id, document, file, status, text, avg_confidence, error }
    }
}

/// Serializes the rest of a JSON object after its member `pages`: a comma, the other members and the closing brace.
fn object_rest(answer: DocumentAnswer) -> Result<String> {
    let mut object = to_json(&DocumentMembers::from(answer))?;
    // The object has members, `document` at least: its opening brace becomes the comma before them.
    object.replace_range(..1, ",");
    Ok(object)
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Failed { what: "a result", why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use quire_tasks::FailureCode;
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_streamed_object_equals_the_serialized_answer() {
        let failure = Failure::new(FailureCode::EmptyDocument, "a quoted \"pages\":[] in a message");
        let answer = DocumentAnswer::refused(3, Some("\"pages\":[]".to_owned()), failure);
        let streamed = format!("{{\"pages\":[]{}", object_rest(answer.clone()).expect("JSON"));
        let streamed: Value = serde_json::from_str(&streamed).expect("one JSON object");
        assert_eq!(streamed, serde_json::to_value(&answer).expect("JSON"));
    }
}
