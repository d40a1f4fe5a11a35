//! The full body of a callback, with all pages.

use std::collections::BTreeMap;

use quire_formats::page_output;
use quire_tasks::{
    Document, DocumentState, EngineName, Failure, ModeName, Page, PageRef, PageStatus, PageText, Task, TaskId,
    TaskStatus, UnixMillis, Warning, average_confidence,
};
use serde::Serialize;

use super::common_fields::{completion_event, result_url, to_json};

/// Maximum total length of the text in a callback. Beyond it, all texts are omitted: receivers and their proxies
/// accept a few megabytes.
pub const MAX_TEXT_BYTES: usize = 4 * 1024 * 1024;

/// Maximum number of pages in a callback. Beyond it, no page is listed.
pub const MAX_PAGES: u32 = 10_000;

#[derive(Serialize)]
struct FullPayload<'a> {
    r#type: String,
    timestamp: Option<String>,
    task_id: TaskId,
    status: TaskStatus,
    avg_confidence: Option<f32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    text_omitted: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pages_omitted: bool,
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
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [Warning],
}

/// The content of a page that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct PageContent {
    /// The text; `None` if the texts together are known to exceed the limit.
    pub text: Option<String>,
    /// The engine that read it.
    pub engine: EngineName,
    /// The output mode.
    pub mode: ModeName,
    /// What is known to be missing or wrong.
    pub warnings: Vec<Warning>,
}

impl From<PageText> for PageContent {
    fn from(read: PageText) -> Self {
        Self { text: Some(page_output(&read)), engine: read.engine, mode: read.mode, warnings: read.warnings }
    }
}

/// Returns the full body for an ended task, as JSON: the same bytes on every attempt. `read` contains the pages that
/// were read. If one of their texts is missing, or all together exceed [`MAX_TEXT_BYTES`], every page's `text` is
/// omitted: `text_omitted` is set, and `result_url` is the URL of the result.
///
/// # Panics
/// Never: the payload is plain data.
pub fn full_payload(task: &Task, pages: &[Page], read: &BTreeMap<PageRef, PageContent>) -> String {
    let succeeded = pages.iter().filter(|page| page.status == PageStatus::Succeeded);
    let bytes: Option<usize> = succeeded.map(|page| read.get(&page.page)?.text.as_ref().map(String::len)).sum();
    let text_omitted = bytes.is_none_or(|bytes| bytes > MAX_TEXT_BYTES);
    let payload = FullPayload {
        r#type: completion_event(task),
        timestamp: task.ended_at.and_then(UnixMillis::to_rfc3339),
        task_id: task.id,
        status: task.status(),
        avg_confidence: average_confidence(pages.iter().map(|page| page.confidence)),
        text_omitted,
        pages_omitted: false,
        result_url: result_url(task).filter(|_| text_omitted),
        documents: task.documents.iter().map(document_payload).collect(),
        pages: pages.iter().map(|page| page_payload(task, page, read.get(&page.page), text_omitted)).collect(),
    };
    to_json(&payload)
}

/// Returns the full body for an ended task of more than [`MAX_PAGES`] pages: no page is listed, `text_omitted` and
/// `pages_omitted` are set, and `result_url` is the URL of the result.
///
/// # Panics
/// Never: the payload is plain data.
pub fn full_payload_without_pages(task: &Task, avg_confidence: Option<f32>) -> String {
    to_json(&FullPayload {
        r#type: completion_event(task),
        timestamp: task.ended_at.and_then(UnixMillis::to_rfc3339),
        task_id: task.id,
        status: task.status(),
        avg_confidence,
        text_omitted: true,
        pages_omitted: true,
        result_url: result_url(task),
        documents: task.documents.iter().map(document_payload).collect(),
        pages: Vec::new(),
    })
}

fn document_payload(document: &Document) -> DocumentPayload<'_> {
    let (pages, error) = match &document.state {
        DocumentState::Pending { .. } => (0, None),
        DocumentState::Split(split) => (split.pages, None),
        DocumentState::Failed(failure) => (0, Some(failure)),
    };
    DocumentPayload { document: document.number, name: document.name.as_deref(), pages, error }
}

/// A page without a result has the empty text, since clients join the texts of all pages.
fn page_payload<'a>(task: &Task, page: &'a Page, read: Option<&'a PageContent>, text_omitted: bool) -> PagePayload<'a> {
    let PageRef { document, page: number, .. } = page.page;
    let read = read.filter(|_| page.status == PageStatus::Succeeded);
    let text = read.and_then(|read| read.text.as_deref()).unwrap_or_default();
    PagePayload {
        document,
        page: number,
        status: task.status_of(page),
        text: if text_omitted { None } else { Some(text) },
        confidence: page.confidence,
        error: page.failure.as_ref(),
        engine: read.map(|read| &read.engine),
        mode: read.map(|read| read.mode).filter(|mode| *mode != ModeName::Text),
        needs_review: page.needs_review,
        warnings: read.map(|read| &read.warnings[..]).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use quire_tasks::{Counts, DocumentFormat, FailureCode, SplitDocument, Tenant, UnixMillis, WarningKind};
    use serde_json::{Value, json};

    use super::*;

    /// Returns a task with a document of two pages, the second of which failed, and a failed document.
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

    fn payload_json(task: &Task, pages: &[Page], read: &BTreeMap<PageRef, PageContent>) -> Value {
        serde_json::from_str(&full_payload(task, pages, read)).expect("JSON")
    }

    fn read(text: impl Into<String>) -> PageContent {
        let engine = EngineName { name: "a".to_owned(), version: "1".to_owned() };
        PageContent { text: Some(text.into()), engine, mode: ModeName::Text, warnings: Vec::new() }
    }

    #[test]
    fn a_full_payload_has_every_page_and_document() {
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
                {
                    "document": 2, "name": null, "pages": 0,
                    "error": { "code": "empty_document", "message": "it is empty" },
                },
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
        assert_eq!(payload_json(&task, &pages, &read), expected);
    }

    #[test]
    fn texts_beyond_the_limit_are_omitted_from_every_page() {
        let (task, pages) = ended_task();
        let fits = BTreeMap::from([(pages[0].page, read("x".repeat(MAX_TEXT_BYTES)))]);
        assert_eq!(payload_json(&task, &pages, &fits).get("text_omitted"), None);
        let too_long = BTreeMap::from([(pages[0].page, read("x".repeat(MAX_TEXT_BYTES + 1)))]);
        let json = payload_json(&task, &pages, &too_long);
        assert_eq!(json["text_omitted"], true);
        assert!(json["pages"].as_array().is_some_and(|pages| pages.iter().all(|page| page.get("text").is_none())));
        assert_eq!(json["pages"][0]["confidence"], 0.75);
        assert_eq!(json["pages"][0]["engine"]["name"], "a", "the engine is kept");
        let dropped = BTreeMap::from([(pages[0].page, PageContent { text: None, ..read("") })]);
        assert_eq!(payload_json(&task, &pages, &dropped)["text_omitted"], true);
    }

    #[test]
    fn a_payload_without_pages_has_the_documents_and_the_result_url() {
        let (mut task, pages) = ended_task();
        task.callback.as_mut().expect("a callback").base_url = "https://ocr.example.com".to_owned();
        let read = BTreeMap::from([(pages[0].page, read("Hello"))]);
        let mut expected = payload_json(&task, &pages, &read);
        expected["pages"] = json!([]);
        expected["text_omitted"] = true.into();
        expected["pages_omitted"] = true.into();
        expected["result_url"] = format!("https://ocr.example.com/task/{}/result", task.id).into();
        let body = full_payload_without_pages(&task, Some(0.75));
        assert_eq!(serde_json::from_str::<Value>(&body).expect("JSON"), expected);
    }

    #[test]
    fn a_result_url_is_present_only_if_text_is_omitted() {
        let (mut task, pages) = ended_task();
        task.callback.as_mut().expect("a callback").base_url = "https://ocr.example.com".to_owned();
        let url = format!("https://ocr.example.com/task/{}/result", task.id);
        assert_eq!(payload_json(&task, &pages, &BTreeMap::new())["result_url"], url);
        assert_eq!(payload_json(&task, &pages, &[(pages[0].page, read("Hello"))].into()).get("result_url"), None);
    }

    #[test]
    fn a_queued_page_of_a_canceled_task_is_canceled() {
        let (mut task, mut pages) = ended_task();
        pages[1].status = PageStatus::Queued;
        pages[1].failure = None;
        task.counts = Counts { open: 0, succeeded: 1, failed: 1, canceled: 1 };
        let json = payload_json(&task, &pages, &[(pages[0].page, read("Hello"))].into());
        assert_eq!((&json["type"], &json["status"]), (&"task.canceled".into(), &"canceled".into()));
        assert_eq!((&json["pages"][0]["text"], &json["pages"][1]["status"]), (&"Hello".into(), &"canceled".into()));
    }

    #[test]
    fn a_page_has_its_warnings() {
        let (task, pages) = ended_task();
        let warnings = vec![WarningKind::UnreadText { lines: 2, characters: 40 }.into()];
        let json = payload_json(&task, &pages, &[(pages[0].page, PageContent { warnings, ..read("") })].into());
        let message = "2 lines of text were detected but not read";
        let warning = json!({"code": "unread_text", "lines": 2, "characters": 40, "message": message});
        assert_eq!((&json["pages"][0]["warnings"], json["pages"][1].get("warnings")), (&json!([warning]), None));
    }

    #[test]
    fn a_page_has_its_mode_and_review_flag() {
        let (task, mut pages) = ended_task();
        pages[0].needs_review = true;
        let json =
            payload_json(&task, &pages, &[(pages[0].page, PageContent { mode: ModeName::Table, ..read("") })].into());
        assert_eq!((&json["pages"][0]["mode"], &json["pages"][0]["needs_review"]), (&"table".into(), &true.into()));
        assert_eq!((json["pages"][1].get("mode"), json["pages"][1].get("needs_review")), (None, None));
    }

    #[test]
    fn a_correction_is_an_update_event() {
        let (mut task, pages) = ended_task();
        task.updated = true;
        let json = payload_json(&task, &pages, &BTreeMap::new());
        assert_eq!((&json["type"], &json["status"]), (&"task.updated".into(), &"partially_succeeded".into()));
    }

    #[test]
    fn the_order_of_fields_is_stable() {
        let (task, pages) = ended_task();
        let body = full_payload(&task, &pages, &BTreeMap::from([(pages[0].page, read("Hello"))]));
        let page = r#"{"document":1,"page":1,"status":"succeeded","text":"Hello","confidence":0.75,"engine":"#;
        assert!(body.contains(page), "{body}");
    }

    #[test]
    fn a_missing_text_is_omitted_and_not_empty() {
        let (task, pages) = ended_task();
        let json = payload_json(&task, &pages, &BTreeMap::new());
        assert_eq!(json["text_omitted"], true);
        assert_eq!(json["pages"][0].get("text"), None);
    }

    #[test]
    fn the_callback_url_is_not_in_the_payload() {
        let (task, pages) = ended_task();
        assert!(!full_payload(&task, &pages, &BTreeMap::new()).contains("token=abc"));
    }
}
