//! What a customer sees while a task is open.

use crate::harness::{Launch, Serve, Sheet, Upload, pdf, png, squeezed, text_of};

const PAGES: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn the_progress_of_forty_pages_is_seen_moving() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = Serve::start(Launch::new(folder.path()).workers(2)).await;
    let api = serve.api();
    let sheets: Vec<Sheet> = (1..=PAGES).map(|page| Sheet::new(format!("Chapter {page}"))).collect();
    let task = api.submit_without_callback([Upload::new("book.pdf", pdf(&sheets))]).await.accepted();

    let (mut etag, mut seen) = (String::new(), Vec::new());
    let ended = loop {
        let answer = api.task_after(&task, &etag).await;
        let header = |name| answer.header(name).map(str::to_owned);
        etag = header("etag").expect("every answer has an ETag");
        if answer.status == 304 {
            continue;
        }
        let retry_after = header("retry-after");
        let body = answer.body(200);
        let open = body["progress"]["open"].as_u64().expect("a count");
        assert_eq!(open + body["progress"]["succeeded"].as_u64().expect("a count"), PAGES as u64, "{body:#}");
        assert_eq!(retry_after.is_some(), open > 0);
        seen.push(open);
        if open == 0 {
            break body;
        }
    };
    assert!(seen.is_sorted_by(|earlier, later| earlier >= later), "progress only moves on: {seen:?}");
    seen.dedup();
    assert!(seen.len() > PAGES / 4, "a wait ends when something has changed: {seen:?}");

    assert_eq!(ended["status"], "succeeded");
    let pages = ended["documents"][0]["pages"].as_array().expect("pages");
    let texts: Vec<String> = pages.iter().map(|page| squeezed(text_of(page))).collect();
    let expected: Vec<String> = (1..=PAGES).map(|page| format!("Chapter{page}")).collect();
    assert_eq!(texts, expected);
    assert_eq!(api.task_after(&task, &etag).await.status, 304);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_known_by_its_bytes_and_not_by_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = Serve::start(Launch::new(folder.path())).await;
    let sheet = Sheet::new("Not what it says");
    for upload in [
        Upload::new("scan.pdf", png(&sheet)).called("application/pdf"),
        Upload::new("picture.png", pdf(&[sheet])).called("image/png"),
    ] {
        let body = serve.api().ocr(upload).await.body(200);
        assert_eq!(squeezed(text_of(&body)), "Notwhatitsays");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_takes_too_long_to_wait_for_becomes_a_task_to_ask_about() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = Serve::start(Launch::new(folder.path()).variable("QUIRE_SYNC_LIMIT_SECS", "1")).await;
    let api = serve.api();
    let sheets: Vec<Sheet> = (1..=PAGES).map(|page| Sheet::new(format!("Chapter {page}"))).collect();
    let upload = || Upload::new("book.pdf", pdf(&sheets));
    for answer in [api.ocr(upload()).await, api.batch([upload()]).await] {
        let location = answer.header("location").map(str::to_owned);
        let body = answer.body(202);
        assert_eq!(body["status_url"].as_str(), location.as_deref());
        let task = api.ended(body["task_id"].as_str().expect("a task id")).await;
        assert_eq!(task["status"], "succeeded", "{task:#}");
    }
}
