//! Configured engines: `quire read` with a model server, killed workers, and HunyuanOCR inside the worker.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};

use crate::harness::{
    ModelServer, ServeOptions, ServeProcess, TestPage, UploadFile, engine_config, engine_of, eventually,
    expected_texts, pdf, png, quire, text_of, write_config,
};

/// Writes a document of two pages, and a configuration that routes all modes to the server. Returns both paths.
fn write_files(folder: &Path, server: &ModelServer) -> [String; 2] {
    let document = folder.join("letter.pdf");
    fs::write(&document, pdf(&[TestPage::new("One"), TestPage::new("Two")])).expect("the file can be written");
    let routes = json!([{ "modes": ["text", "markdown", "table", "fields"], "primary": "a@1" }]);
    let config = write_config(folder, &engine_config(&json!({ "a@1": server.engine(&json!({})) }), &routes));
    [document, config].map(|path| path.to_str().expect("the path is UTF-8").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_read_in_the_requested_mode() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = ModelServer::start();
    let [document, config] = write_files(folder.path(), &server);
    let read = async |arguments: &[&str]| {
        let all = ["read", "--engines", &config].into_iter().chain(arguments.iter().copied()).chain([&*document]);
        quire(all).await.expect_stdout()
    };
    let markdown = read(&["--mode", "markdown", "--format", "markdown"]).await;
    assert!(markdown.contains("\n| a | b |\n|---|---|\n| 1 | $x^2$ |"), "the model's output is unchanged: {markdown}");
    let table = read(&["--mode", "table", "--format", "markdown"]).await;
    assert!(table.contains("<table><tr><td>Page "), "the model's output is unchanged: {table}");
    let text = read(&[]).await;
    assert_eq!(text.matches("by a/model\nSecond line").count(), 2, "{text}");
    let fields = ["--mode", "fields", "--key", "total", "--key", "due", "--format", "json"];
    let fields: Value = serde_json::from_str(&read(&fields).await).expect("JSON");
    assert_eq!(fields[0]["pages"][1]["fields"], json!({ "total": "12.50", "due": null }), "{fields:#}");
    let prompt = server.requests().pop().expect("the server got a request").prompt;
    assert!(prompt.contains("total") && prompt.contains("due"), "{prompt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mode_without_an_engine_is_rejected_in_one_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let card = folder.path().join("card.png");
    fs::write(&card, png(&TestPage::new("A card"))).expect("the file can be written");
    let card = card.to_str().expect("the path is UTF-8");
    let formula = quire(["read", "--mode", "formula", card]).await;
    assert!(formula.expect_error_line().contains(expected_texts::MODE_NOT_OFFERED), "{formula:#?}");
    let fields = quire(["read", "--mode", "fields", card]).await;
    assert!(fields.code != Some(0) && fields.stderr.contains("key"), "{fields:#?}");
    let engine = quire(["read", "--engine", "b@1", card]).await;
    assert!(engine.expect_error_line().contains("pp-ocr@v6-small"), "{engine:#?}");
    let missing = quire(["read", "--engines", "/nowhere/engines.json", card]).await;
    assert!(missing.expect_error_line().contains("/nowhere/engines.json"), "{missing:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_during_requests_to_a_server_loses_no_page() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = ModelServer::start();
    server.set_delay(Duration::from_millis(300));
    let routes = json!([{ "modes": ["text"], "primary": "a@1" }]);
    let config = engine_config(&json!({ "a@1": server.engine(&json!({})) }), &routes);
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).engines(&config)).await;
    let sheets: Vec<TestPage> = (1..=12).map(|page| TestPage::new(format!("Chapter {page}"))).collect();
    let id = serve.api().submit_without_callback([UploadFile::new("book.pdf", pdf(&sheets))]).await.accepted_task_id();
    eventually("the server reads pages", || async { (server.requests().len() > 4).then_some(()) }).await;
    serve.kill_worker().await;
    let task = serve.api().await_end(&id).await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for request in server.requests() {
        *times.entry(request.page).or_default() += 1;
    }
    assert_eq!(times.len(), 12);
    assert!(times.values().any(|times| *times > 1), "pages in flight are read again: {times:#?}");
    let mut texts: Vec<String> =
        task["documents"][0]["pages"].as_array().expect("pages").iter().map(|page| text_of(page).to_owned()).collect();
    texts.sort();
    let expected: Vec<String> = times.keys().map(|page| format!("Page {page} by a/model\nSecond line")).collect();
    assert_eq!(texts, expected);
    assert!(server.max_concurrency() > 1, "pages are read concurrently");
}

fn tiny_model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/hunyuan-ocr/tests/data/hunyuan-tiny/model")
}

/// The model has random weights: its text is meaningless, but deterministic.
#[tokio::test(flavor = "multi_thread")]
async fn hunyuan_ocr_reads_several_pages_concurrently_in_the_worker() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let engines = json!({ "hunyuan-tiny@random-1": { "kind": "hunyuan-ocr", "folder": tiny_model(), "slots": 3 } });
    let config =
        engine_config(&engines, &json!([{ "modes": ["text", "markdown"], "primary": "hunyuan-tiny@random-1" }]));
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).engines(&config)).await;
    let api = serve.api();
    let sheets = ["One", "Two", "Three", "Four"].map(TestPage::new);
    let upload = || [UploadFile::new("four.pdf", pdf(&sheets))];
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(api.submit_without_callback(upload()).await.accepted_task_id());
    }
    let mut read = Vec::new();
    for id in &ids {
        let task = api.await_end(id).await;
        assert_eq!(task["status"], "succeeded", "{task:#}");
        let pages = task["documents"][0]["pages"].as_array().expect("pages").clone();
        assert_eq!(pages.len(), 4);
        assert!(pages.iter().all(|page| engine_of(page) == "hunyuan-tiny@random-1"), "{task:#}");
        assert!(pages.iter().any(|page| page["warnings"].is_array()), "some page ends with a warning: {task:#}");
        read.push(pages.iter().map(|page| text_of(page).to_owned()).collect::<Vec<_>>());
    }
    assert!(read.iter().all(|texts| *texts == read[0]), "the texts do not depend on the other pages in the batch");
    let file = folder.path().join("four.pdf");
    fs::write(&file, pdf(&sheets)).expect("the file can be written");
    let engines = folder.path().join("engines.json");
    let arguments = ["--mode".as_ref(), "text".as_ref(), "--format".as_ref(), "json".as_ref(), file.as_os_str()];
    let printed =
        quire(["read".as_ref(), "--engines".as_ref(), engines.as_os_str()].into_iter().chain(arguments)).await;
    let printed: Value = serde_json::from_str(&printed.expect_stdout()).expect("JSON");
    let texts: Vec<&str> = printed[0]["pages"].as_array().expect("pages").iter().map(text_of).collect();
    assert_eq!(texts, read[0]);
}
