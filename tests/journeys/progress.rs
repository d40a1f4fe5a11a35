//! The progress of open tasks, and the sync limit.

use crate::harness::{ServeOptions, ServeProcess, TestPage, UploadFile, pdf, png, text_of, without_whitespace};

const PAGES: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn long_polling_shows_the_progress_of_forty_pages() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).workers(2)).await;
    let api = serve.api();
    let sheets: Vec<TestPage> = (1..=PAGES).map(|page| TestPage::new(format!("Chapter {page}"))).collect();
    let task = api.submit_without_callback([UploadFile::new("book.pdf", pdf(&sheets))]).await.accepted_task_id();

    let mut etag = String::new();
    let mut open_counts = Vec::new();
    let ended = loop {
        let answer = api.task_if_changed(&task, &etag).await;
        let header = |name| answer.header(name).map(str::to_owned);
        etag = header("etag").expect("every response has an ETag");
        if answer.status == 304 {
            continue;
        }
        let retry_after = header("retry-after");
        let body = answer.expect_status(200);
        let open = body["progress"]["open"].as_u64().expect("a count");
        assert_eq!(open + body["progress"]["succeeded"].as_u64().expect("a count"), PAGES as u64, "{body:#}");
        assert_eq!(retry_after.is_some(), open > 0);
        open_counts.push(open);
        if open == 0 {
            break body;
        }
    };
    assert!(open_counts.is_sorted_by(|earlier, later| earlier >= later), "progress is monotonic: {open_counts:?}");
    open_counts.dedup();
    assert!(open_counts.len() > PAGES / 4, "a long poll returns on each change: {open_counts:?}");

    assert_eq!(ended["status"], "succeeded");
    let pages = ended["documents"][0]["pages"].as_array().expect("pages");
    let texts: Vec<String> = pages.iter().map(|page| without_whitespace(text_of(page))).collect();
    let expected: Vec<String> = (1..=PAGES).map(|page| format!("Chapter{page}")).collect();
    assert_eq!(texts, expected);
    assert_eq!(api.task_if_changed(&task, &etag).await.status, 304);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_format_is_detected_by_content_not_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serve = ServeProcess::start(ServeOptions::new(folder.path())).await;
    let sheet = TestPage::new("Not what it says");
    for upload in [
        UploadFile::new("scan.pdf", png(&sheet)).with_content_type("application/pdf"),
        UploadFile::new("picture.png", pdf(&[sheet])).with_content_type("image/png"),
    ] {
        let body = serve.api().ocr(upload).await.expect_status(200);
        assert_eq!(without_whitespace(text_of(&body)), "Notwhatitsays");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_beyond_the_sync_limit_becomes_a_task_to_poll() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).variable("QUIRE_SYNC_LIMIT_SECS", "1")).await;
    let api = serve.api();
    let sheets: Vec<TestPage> = (1..=PAGES).map(|page| TestPage::new(format!("Chapter {page}"))).collect();
    let upload = || UploadFile::new("book.pdf", pdf(&sheets));
    for answer in [api.ocr(upload()).await, api.batch([upload()]).await] {
        let location = answer.header("location").map(str::to_owned);
        let body = answer.expect_status(202);
        assert_eq!(body["status_url"].as_str(), location.as_deref());
        let task = api.await_end(body["task_id"].as_str().expect("a task id")).await;
        assert_eq!(task["status"], "succeeded", "{task:#}");
    }
}
