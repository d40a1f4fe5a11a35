//! Composes a task's result as JSON, page by page, in bounded memory.

use quire_platform::{Backend, Error, Result};
use quire_tasks::{Document, Failure, Task, TaskStatus};
use serde::Serialize;

use crate::tasks::{
    answers::{PAGE_SEPARATOR, page_answers},
    document_fold::{ConfidenceFold, DocumentFold},
    pages_by_document::PagesByDocument,
    result_buffer::{ComposedResult, ResultBuffer},
};

/// The number of pages with their text in memory at a time.
const PAGE_BATCH: usize = 32;
/// The number of pages without their text in memory at a time.
const ROW_BATCH: usize = 500;
/// The maximum size of a document's text in memory; a longer one is in the spool until it follows the pages.
const MAX_TEXT_IN_MEMORY: usize = 256 << 10;

/// Whether the pages of a document are listed, with their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageDetail {
    /// Every page, and the text of the document.
    Listed,
    /// No page and no text: the task has too many.
    Omitted,
}

/// How a document ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DocumentOutcome {
    pub(crate) status: TaskStatus,
    pub(crate) error: Option<Failure>,
}

/// Composes the response of `POST /ocr/batch`. A result of more than `max_bytes` is written to a file.
///
/// # Errors
/// [`Error::NotFound`] if the task was deleted concurrently, or any other error of the backend.
pub(crate) async fn compose_json(backend: &Backend, task: &Task, max_bytes: usize) -> Result<ComposedResult> {
    let mut composer = TaskComposer::new(backend, task, max_bytes);
    composer.write_documents(PageDetail::Listed).await?;
    composer.buffer.finish().await
}

/// Composes the response of `POST /ocr`: the first document of the task.
///
/// # Errors
/// As [`compose_json`]; [`Error::Failed`] if the task has no document.
pub(crate) async fn compose_first(
    backend: &Backend,
    task: &Task,
    max_bytes: usize,
) -> Result<(ComposedResult, DocumentOutcome)> {
    let Some(document) = task.documents.first() else {
        return Err(Error::Failed { what: "a result", why: "the task has no document".to_owned() });
    };
    let mut composer = TaskComposer::new(backend, task, max_bytes);
    let outcome = composer.write_document(document, PageDetail::Listed).await?;
    Ok((composer.buffer.finish().await?, outcome))
}

/// Composes the response of `GET /task/{task_id}`: the members of `head`, the documents and their average confidence.
///
/// # Errors
/// As [`compose_json`].
pub(crate) async fn compose_task(
    backend: &Backend,
    task: &Task,
    head: &impl Serialize,
    detail: PageDetail,
    max_bytes: usize,
) -> Result<ComposedResult> {
    let mut composer = TaskComposer::new(backend, task, max_bytes);
    let head = to_json(head)?;
    composer.buffer.write(head.strip_suffix('}').unwrap_or(&head)).await?;
    composer.buffer.write(",\"documents\":").await?;
    composer.write_documents(detail).await?;
    let average = to_json(&composer.confidence.average())?;
    composer.buffer.write(&format!(",\"avg_confidence\":{average}}}")).await?;
    composer.buffer.finish().await
}

/// The state of a result that is being composed.
struct TaskComposer<'a> {
    backend: &'a Backend,
    task: &'a Task,
    pages: PagesByDocument<'a>,
    confidence: ConfidenceFold,
    buffer: ResultBuffer,
}

impl<'a> TaskComposer<'a> {
    fn new(backend: &'a Backend, task: &'a Task, max_bytes: usize) -> Self {
        let pages = PagesByDocument::new(backend, task.id);
        let buffer = ResultBuffer::new(backend, max_bytes);
        Self { backend, task, pages, confidence: ConfidenceFold::default(), buffer }
    }

    async fn write_documents(&mut self, detail: PageDetail) -> Result<()> {
        self.buffer.write("[").await?;
        for (index, document) in self.task.documents.iter().enumerate() {
            if index > 0 {
                self.buffer.write(",").await?;
            }
            self.write_document(document, detail).await?;
        }
        self.buffer.write("]").await
    }

    /// Writes a document as a JSON object. Its pages come first, since its other members depend on all pages.
    async fn write_document(&mut self, document: &Document, detail: PageDetail) -> Result<DocumentOutcome> {
        self.buffer.write("{\"pages\":[").await?;
        let mut fold = DocumentFold::default();
        let text = match detail {
            PageDetail::Listed => self.write_pages(document, &mut fold).await?,
            PageDetail::Omitted => {
                self.fold_pages(document, &mut fold).await?;
                None
            }
        };
        let members = fold.finish(self.task, document);
        let outcome = DocumentOutcome { status: members.status, error: members.error.clone() };
        let members = to_json(&members)?;
        // The object has members, `document` at least.
        let rest = members.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
        self.buffer.write(&format!("],{rest}")).await?;
        if let Some(text) = text {
            self.buffer.write(",\"text\":\"").await?;
            self.buffer.append(text).await?;
            self.buffer.write("\"").await?;
        }
        self.buffer.write("}").await?;
        Ok(outcome)
    }

    /// Writes the pages of a document. Returns its text, escaped for JSON, if the task has ended.
    async fn write_pages(&mut self, document: &Document, fold: &mut DocumentFold) -> Result<Option<ComposedResult>> {
        let mut text = ResultBuffer::new(self.backend, MAX_TEXT_IN_MEMORY);
        let mut separator = "";
        let mut is_first = true;
        loop {
            let pages = self.pages.next_of(document.number, PAGE_BATCH).await?;
            if pages.is_empty() {
                break;
            }
            for (_, page) in page_answers(self.backend, self.task, pages).await? {
                fold.add(page.status, page.confidence, page.error.as_ref());
                self.confidence.add(page.confidence);
                let comma = if is_first { "" } else { "," };
                is_first = false;
                self.buffer.write(&format!("{comma}{}", to_json(&page)?)).await?;
                if let Some(own) = page.text.as_deref().filter(|text| !text.is_empty()) {
                    text.write(&escaped(&format!("{separator}{own}"))?).await?;
                    separator = PAGE_SEPARATOR;
                }
            }
        }
        if self.task.status().ended() { text.finish().await.map(Some) } else { Ok(None) }
    }

    /// Reads the pages of a document without their text.
    async fn fold_pages(&mut self, document: &Document, fold: &mut DocumentFold) -> Result<()> {
        loop {
            let pages = self.pages.next_of(document.number, ROW_BATCH).await?;
            if pages.is_empty() {
                return Ok(());
            }
            for page in pages {
                fold.add(self.task.status_of(&page), page.confidence, page.failure.as_ref());
                self.confidence.add(page.confidence);
            }
        }
    }
}

/// Returns the text as part of a JSON string, without its quotes.
fn escaped(text: &str) -> Result<String> {
    let json = to_json(&text)?;
    Ok(json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).unwrap_or_default().to_owned())
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Failed { what: "a result", why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use quire_platform_embedded::Embedded;
    use quire_tasks::{DocumentFormat, DocumentState, FailureCode, ObjectKey, Outcome, SplitDocument, TaskId, Tenant};
    use serde_json::{Value, json};

    use super::*;
    use crate::tasks::answers::document_answers;

    const PAGES: u32 = 70;

    /// Returns a backend with an ended task: a document with texts and failures, one that failed, and one page.
    async fn ended_task(folder: &std::path::Path) -> (Backend, Task) {
        let backend = Embedded::open(folder, "test").expect("a backend").backend();
        let split = |pages| DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages });
        let failure = Failure::new(FailureCode::EmptyDocument, "a quoted \"pages\":[] in a message");
        let states = [split(PAGES), DocumentState::Failed(failure), split(1)];
        let documents = (1..).zip(states).map(|(number, state)| Document::new(number, Some("a\"b.pdf".into()), state));
        let id = TaskId::derive_from(&["a task"]);
        let task = Task::new(id, Tenant::default(), quire_platform::now(), documents.collect(), None);
        let mut task = backend.tasks.create(task).await.expect("created").task().clone();
        for page in task.pages().collect::<Vec<_>>() {
            let outcome = if page.page % 9 == 2 {
                Outcome::Failed(Failure::new(FailureCode::UnreadablePage, "broken"))
            } else {
                let text = json!({
                    "width": 10, "height": 10, "rotation": 0, "engine": {"name": "a", "version": "1"},
                    "lines": [{"text": format!("\"page\" {}\\\u{1}", page.page), "confidence": 0.3, "polygon": null}],
                });
                let key = ObjectKey::PageText { page, round: 1 }.to_string();
                backend.objects.put(&key, text.to_string().into()).await.expect("stored");
                Outcome::succeeded(Some(0.1 * (page.page % 7) as f32))
            };
            task = backend.tasks.complete_page(page, 1, outcome).await.expect("completed").task().clone();
        }
        (backend, task)
    }

    fn read(composed: ComposedResult) -> Value {
        let bytes = match composed {
            ComposedResult::Bytes(bytes) => bytes,
            ComposedResult::File(path, bytes) => {
                let read = std::fs::read(&path).expect("the file");
                assert_eq!(read.len() as u64, bytes);
                read
            }
        };
        serde_json::from_slice(&bytes).expect("JSON")
    }

    #[tokio::test]
    async fn the_composed_result_equals_the_serialized_answers() {
        let folder = tempfile::tempdir().expect("a folder");
        let (backend, task) = ended_task(folder.path()).await;
        let answers = document_answers(&backend, &task).await.expect("answers");
        // As text: a JSON value would have the digits of 64-bit numbers.
        let expected: Value = serde_json::from_str(&to_json(&answers).expect("JSON")).expect("JSON");
        assert!(expected[0]["text"].as_str().is_some_and(|text| text.contains("\u{1}\n\n\"page\" 3")), "{expected}");
        for max_bytes in [0, 1_000, usize::MAX] {
            let composed = compose_json(&backend, &task, max_bytes).await.expect("composed");
            assert_eq!(read(composed), expected, "{max_bytes}");
        }
        let (first, outcome) = compose_first(&backend, &task, 100).await.expect("composed");
        assert_eq!(read(first), expected[0]);
        assert_eq!((outcome.status, outcome.error), (TaskStatus::PartiallySucceeded, None));
    }

    #[tokio::test]
    async fn omitted_pages_change_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let (backend, task) = ended_task(folder.path()).await;
        let head = json!({"task_id": task.id});
        let task_of = async |detail| {
            let composed = compose_task(&backend, &task, &head, detail, 1_000).await.expect("composed");
            read(composed)
        };
        let mut expected = task_of(PageDetail::Listed).await;
        assert!(expected["avg_confidence"].is_number());
        for document in expected["documents"].as_array_mut().expect("documents") {
            document["pages"] = json!([]);
            document.as_object_mut().expect("an object").remove("text");
        }
        assert_eq!(task_of(PageDetail::Omitted).await, expected);
    }
}
