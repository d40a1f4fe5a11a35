//! Requests that are rejected before anything is stored.

use serde_json::Value;

use crate::harness::{
    CallbackReceiver, ServeOptions, ServeProcess, TestPage, UploadFile, encrypted_pdf, files_below, pdf,
    pdf_with_a_broken_page, png, png_header, raw_bmp, text_of, without_whitespace,
};

async fn serve(folder: &tempfile::TempDir) -> ServeProcess {
    ServeProcess::start(ServeOptions::new(folder.path()).variable("QUIRE_MAX_BODY_BYTES", "2000000")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_documents_are_rejected_before_anything_is_stored() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serve = serve(&folder).await;
    let api = serve.api();
    let refused = [
        (&b"plain text, whatever its name says"[..], 415, "unsupported_format"),
        (b"", 422, "empty_document"),
        (&encrypted_pdf(), 422, "encrypted_document"),
        (&png_header(100_000, 100_000), 413, "too_many_pixels"),
        (b"%PDF-1.7\nbroken", 422, "unreadable_document"),
    ];
    for (bytes, status, code) in refused {
        let file = || [UploadFile::new("file.png", bytes)];
        let [upload] = file();
        assert_eq!(api.ocr(upload).await.problem_code(status), code);
        assert_eq!(api.submit_without_callback(file()).await.problem_code(status), code);
        let entries = api.batch(file()).await.expect_status(200);
        assert_eq!(entries[0]["error"]["code"], code, "{entries:#}");
        assert_eq!(text_of(&entries[0]), "");
    }
    let large = || [UploadFile::new("large.bmp", raw_bmp(1000, 1000))];
    let [upload] = large();
    assert_eq!(api.ocr(upload).await.problem_code(413), "body_too_large");
    assert_eq!(api.batch(large()).await.problem_code(413), "body_too_large");
    assert_eq!(api.submit_without_callback(large()).await.problem_code(413), "body_too_large");
    assert_eq!(files_below(&serve.objects()), [""; 0], "nothing is stored");
    assert_eq!(files_below(&serve.data().join("spool")), [""; 0], "the spool is empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_page_fails_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serve = serve(&folder).await;
    let torn = pdf_with_a_broken_page(&[TestPage::new("Page one"), TestPage::new("Page three")]);
    let body = serve.api().ocr(UploadFile::new("torn.pdf", torn)).await.expect_status(200);
    let pages = body["pages"].as_array().expect("pages");
    let outcome =
        |page: &Value| page["error"]["code"].as_str().map_or_else(|| without_whitespace(text_of(page)), str::to_owned);
    assert_eq!(pages.iter().map(outcome).collect::<Vec<_>>(), ["Pageone", "unreadable_page", "Pagethree"]);
    assert_eq!(body["status"], "partially_succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_task_is_not_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serve = serve(&folder).await;
    for id in ["task_00000000000070008000000000000000", "task_x", "..%2F..%2Fquire.db"] {
        assert_eq!(serve.api().get(&format!("/task/{id}")).await.problem_code(404), "task_not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_are_rejected_outside_of_development() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serve = serve(&folder).await;
    let api = serve.api();
    let refused = [
        "http://example.com/a.png",
        "http://127.0.0.1:9/a.png",
        "https://127.0.0.1/a.png",
        "https://localhost/a.png",
        "https://10.1.2.3/a.png",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/a.png",
        "https://[::ffff:10.0.0.1]/a.png",
        "https://2130706433/a.png",
        "ftp://example.com/a.png",
        "no url",
    ];
    for url in refused {
        let answer = api.submit_url(url, None).await;
        assert_eq!(answer.body["pointer"], "#/image_url", "{url}: {answer:#?}");
        assert_eq!(answer.problem_code(422), "url_refused", "{url}");
        let answer = api.submit_url("https://example.com/a.png", Some(url)).await;
        assert_eq!(answer.body["pointer"], "#/callback_url", "{url}: {answer:#?}");
        assert_eq!(answer.problem_code(422), "url_refused", "{url}");
        let answer = api.submit([UploadFile::new("a.png", png(&TestPage::new("Any")))], url).await;
        assert_eq!(answer.problem_code(422), "url_refused", "{url}");
    }
    assert_eq!(files_below(&serve.objects()), [""; 0], "nothing is stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_document_fails_its_task_and_the_callback_has_the_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let receiver = CallbackReceiver::start().await;
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).dev()).await;
    let api = serve.api();
    let missing = receiver.url_of("/nowhere.png?token=ofthecustomer");
    let id = api.submit_url(&missing, Some(&receiver.url())).await.accepted_task_id();
    let task = api.await_end(&id).await;
    assert_eq!(task["status"], "failed", "{task:#}");
    assert_eq!(task["documents"][0]["error"]["code"], "fetch_failed", "{task:#}");
    let body = receiver.await_callbacks(1).await[0].json();
    assert_eq!(body["status"], "failed", "{body:#}");
    assert_eq!(body["documents"][0]["error"]["code"], "fetch_failed", "{body:#}");
    let text = receiver.serve_file("/text", b"no document".to_vec());
    let id = api.submit_url(&text, None).await.accepted_task_id();
    assert_eq!(api.await_end(&id).await["documents"][0]["error"]["code"], "unsupported_format");
    let pages = receiver.serve_file("/pages", pdf(&[TestPage::new("One of two"), TestPage::new("Two of two")]));
    let id = api.submit_url(&pages, None).await.accepted_task_id();
    let task = api.await_end(&id).await;
    assert_eq!(without_whitespace(text_of(&task["documents"][0])), "OneoftwoTwooftwo");
    assert!(!serve.log().contains("ofthecustomer"), "queries are not logged:\n{}", serve.log());
}
