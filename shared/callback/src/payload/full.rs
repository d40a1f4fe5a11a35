//! The body of a callback.

use std::collections::BTreeMap;

use quire_tasks::{
    Document, DocumentState, EngineName, Failure, ModeName, Page, PageRef, PageStatus, PageText, Task, TaskId,
    TaskStatus, average_confidence,
};
use serde::Serialize;

use super::common_fields::{completion_event, result_url, rfc3339, to_json};

/// A callback with more text than this goes without: receivers, and what stands before them, take a few megabytes.
pub const MAX_TEXT_BYTES: usize = 4 * 1024 * 1024;

#[derive(Serialize)]
struct FullPayload<'a> {
    r#type: String,
    timestamp: Option<String>,
    task_id: TaskId,
    status: TaskStatus,
    avg_confidence: Option<f32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    text_omitted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_url: Option<String>,
    documents: Vec<DocumentPayload<'a>>,
    pages: Vec<PagePayload<'a>>,
}

#[derive(Serialize)]
struct DocumentPayload<'a> {
    document: u32,
    name: Option<&'a str>,
    pages: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Failure>,
}

#[derive(Serialize)]
struct PagePayload<'a> {
    document: u32,
    page: u32,
    status: PageStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    confidence: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<&'a EngineName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<ModeName>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    needs_review: bool,
}

/// What is told of a page that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageContent {
    /// Its text; `None` where it is known already that there is too much in all.
    pub text: Option<String>,
    /// Who read it.
    pub engine: EngineName,
    /// What was made of it.
    pub mode: ModeName,
}

impl From<PageText> for PageContent {
    fn from(read: PageText) -> Self {
        Self { text: Some(read.text()), engine: read.engine, mode: read.mode }
    }
}

/// What the customer is told of an ended task, as JSON: the same bytes on every attempt. `read` has the pages that were
/// read. Where the text of one of them lacks, or all together are longer than [`MAX_TEXT_BYTES`], no page has its `text`:
/// `text_omitted` says so, and `result_url` where it is to be had.
///
/// # Panics
/// Never: the payload is plain data.
pub fn full_payload(task: &Task, pages: &[Page], read: &BTreeMap<PageRef, PageContent>) -> String {
    let succeeded = pages.iter().filter(|page| page.status == PageStatus::Succeeded);
    let bytes: Option<usize> = succeeded.map(|page| read.get(&page.page)?.text.as_ref().map(String::len)).sum();
    let text_omitted = bytes.is_none_or(|bytes| bytes > MAX_TEXT_BYTES);
    let payload = FullPayload {
        r#type: completion_event(task),
        timestamp: task.ended_at.and_then(rfc3339),
        task_id: task.id,
        status: task.status(),
        avg_confidence: average_confidence(pages.iter().map(|page| page.confidence)),
        text_omitted,
        result_url: result_url(task).filter(|_| text_omitted),
        documents: task.documents.iter().map(document_payload).collect(),
        pages: pages.iter().map(|page| page_payload(task, page, read.get(&page.page), text_omitted)).collect(),
    };
    to_json(&payload)
}

fn document_payload(document: &Document) -> DocumentPayload<'_> {
    let (pages, error) = match &document.state {
        DocumentState::Pending { .. } => (0, None),
        DocumentState::Split(split) => (split.pages, None),
        DocumentState::Failed(failure) => (0, Some(failure)),
    };
    DocumentPayload { document: document.number, name: document.name.as_deref(), pages, error }
}

/// A page that was not read has the empty text: clients join the texts of all.
fn page_payload<'a>(task: &Task, page: &'a Page, read: Option<&'a PageContent>, text_omitted: bool) -> PagePayload<'a> {
    let PageRef { document, page: number, .. } = page.page;
    let read = read.filter(|_| page.status == PageStatus::Succeeded);
    let text = read.and_then(|read| read.text.as_deref()).unwrap_or_default();
    PagePayload {
        document,
        page: number,
        status: task.status_of(page),
        text: (!text_omitted).then_some(text),
        confidence: page.confidence,
        error: page.failure.as_ref(),
        engine: read.map(|read| &read.engine),
        mode: read.map(|read| read.mode).filter(|mode| *mode != ModeName::Text),
        needs_review: page.needs_review,
    }
}

#[cfg(test)]
mod tests {
    use quire_tasks::{Counts, DocumentFormat, FailureCode, SplitDocument, Tenant, UnixMillis};
    use serde_json::{Value, json};

    use super::*;

    /// A task with a document of two pages, the second of which failed, and a document that failed as a whole.
    fn ended_task() -> (Task, Vec<Page>) {
        let id: TaskId = "task_0192abcd000070008000000000000001".parse().expect("an id");
        let split = DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages: 2 });
        let failed = DocumentState::Failed(Failure::new(FailureCode::EmptyDocument, "it is empty"));
        let documents = vec![Document::new(1, Some("a.pdf".to_owned()), split), Document::new(2, None, failed)];
        let url = Some("https://example.com/hook?token=abc".to_owned());
        let mut task = Task::new(id, Tenant::default(), UnixMillis(0), documents, url);
        task.counts = Counts { open: 0, succeeded: 1, failed: 2, canceled: 0 };
        task.ended_at = Some(UnixMillis(1_700_000_000_123));
        let page = |number, status, failure, confidence| Page {
            page: PageRef { task_id: id, document: 1, page: number },
            status,
            round: 1,
            failure,
            confidence,
            ended_at: task.ended_at,
            needs_review: false,
        };
        let pages = vec![
            page(1, PageStatus::Succeeded, None, Some(0.75)),
            page(2, PageStatus::Failed, Some(Failure::new(FailureCode::UnreadablePage, "it is broken")), None),
        ];
        (task, pages)
    }

    fn told(task: &Task, pages: &[Page], read: &BTreeMap<PageRef, PageContent>) -> Value {
        serde_json::from_str(&full_payload(task, pages, read)).expect("JSON")
    }

    fn read(text: impl Into<String>) -> PageContent {
        let engine = EngineName { name: "a".to_owned(), version: "1".to_owned() };
        PageContent { text: Some(text.into()), engine, mode: ModeName::Text }
    }

    #[test]
    fn a_receiver_learns_how_every_page_and_document_ended() {
        let (task, pages) = ended_task();
        let read = BTreeMap::from([(pages[0].page, read("Hello\n世界"))]);
        let expected = json!({
            "type": "task.partially_succeeded",
            "timestamp": "2023-11-14T22:13:20.123Z",
            "task_id": task.id.to_string(),
            "status": "partially_succeeded",
            "avg_confidence": 0.75,
            "documents": [
                { "document": 1, "name": "a.pdf", "pages": 2 },
                { "document": 2, "name": null, "pages": 0, "error": { "code": "empty_document", "message": "it is empty" } },
            ],
            "pages": [
                {
                    "document": 1, "page": 1, "status": "succeeded", "text": "Hello\n世界", "confidence": 0.75,
                    "engine": { "name": "a", "version": "1" },
                },
                {
                    "document": 1, "page": 2, "status": "failed", "text": "", "confidence": null,
                    "error": { "code": "unreadable_page", "message": "it is broken" },
                },
            ],
        });
        assert_eq!(told(&task, &pages, &read), expected);
    }

    #[test]
    fn too_much_text_is_left_out_of_every_page() {
        let (task, pages) = ended_task();
        let fits = BTreeMap::from([(pages[0].page, read("x".repeat(MAX_TEXT_BYTES)))]);
        assert_eq!(told(&task, &pages, &fits).get("text_omitted"), None);
        let too_long = BTreeMap::from([(pages[0].page, read("x".repeat(MAX_TEXT_BYTES + 1)))]);
        let told = told(&task, &pages, &too_long);
        assert_eq!(told["text_omitted"], true);
        assert!(told["pages"].as_array().is_some_and(|pages| pages.iter().all(|page| page.get("text").is_none())));
        assert_eq!(told["pages"][0]["confidence"], 0.75);
        assert_eq!(told["pages"][0]["engine"]["name"], "a", "who read it is said all the same");
        let dropped = BTreeMap::from([(pages[0].page, PageContent { text: None, ..read("") })]);
        assert_eq!(self::told(&task, &pages, &dropped)["text_omitted"], true);
    }

    #[test]
    fn what_is_left_out_says_where_it_is_to_be_had_and_what_is_not_does_not() {
        let (mut task, pages) = ended_task();
        task.callback.as_mut().expect("a callback").base_url = "https://ocr.example.com".to_owned();
        let url = format!("https://ocr.example.com/task/{}/result", task.id);
        assert_eq!(told(&task, &pages, &BTreeMap::new())["result_url"], url);
        assert_eq!(told(&task, &pages, &[(pages[0].page, read("Hello"))].into()).get("result_url"), None);
    }

    #[test]
    fn a_page_that_still_waited_when_its_task_was_canceled_is_told_as_canceled() {
        let (mut task, mut pages) = ended_task();
        (pages[1].status, pages[1].failure) = (PageStatus::Queued, None);
        task.counts = Counts { open: 0, succeeded: 1, failed: 1, canceled: 1 };
        let told = told(&task, &pages, &[(pages[0].page, read("Hello"))].into());
        assert_eq!((&told["type"], &told["status"]), (&"task.canceled".into(), &"canceled".into()));
        assert_eq!((&told["pages"][0]["text"], &told["pages"][1]["status"]), (&"Hello".into(), &"canceled".into()));
    }

    #[test]
    fn a_page_of_another_mode_and_one_that_is_not_sure_say_so() {
        let (task, mut pages) = ended_task();
        pages[0].needs_review = true;
        let told = told(&task, &pages, &[(pages[0].page, PageContent { mode: ModeName::Table, ..read("") })].into());
        assert_eq!((&told["pages"][0]["mode"], &told["pages"][0]["needs_review"]), (&"table".into(), &true.into()));
        assert_eq!((told["pages"][1].get("mode"), told["pages"][1].get("needs_review")), (None, None));
    }

    #[test]
    fn a_correction_is_told_as_an_update() {
        let (mut task, pages) = ended_task();
        task.updated = true;
        let told = told(&task, &pages, &BTreeMap::new());
        assert_eq!((&told["type"], &told["status"]), (&"task.updated".into(), &"partially_succeeded".into()));
    }

    #[test]
    fn what_receivers_know_keeps_its_place() {
        let (task, pages) = ended_task();
        let body = full_payload(&task, &pages, &BTreeMap::from([(pages[0].page, read("Hello"))]));
        let page = r#"{"document":1,"page":1,"status":"succeeded","text":"Hello","confidence":0.75,"engine":"#;
        assert!(body.contains(page), "{body}");
    }

    #[test]
    fn text_that_is_gone_is_said_to_be_omitted_not_empty() {
        let (task, pages) = ended_task();
        let told = told(&task, &pages, &BTreeMap::new());
        assert_eq!(told["text_omitted"], true);
        assert_eq!(told["pages"][0].get("text"), None);
    }

    #[test]
    fn the_address_of_the_receiver_is_not_told() {
        let (task, pages) = ended_task();
        assert!(!full_payload(&task, &pages, &BTreeMap::new()).contains("token=abc"));
    }
}
