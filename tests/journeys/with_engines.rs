//! `quire read` with engines of one's own, workers that die over one, and HunyuanOCR in the worker itself.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};

use crate::harness::{
    Launch, ModelServer, Serve, Sheet, Upload, engine_of, eventually, pdf, png, quire, routed, text_of, written,
};

/// A file with these pages, and one that says that the server reads everything.
fn files(folder: &Path, server: &ModelServer) -> [String; 2] {
    let document = folder.join("letter.pdf");
    fs::write(&document, pdf(&[Sheet::new("One"), Sheet::new("Two")])).expect("a file");
    let routes = json!([{ "modes": ["text", "markdown", "table", "fields"], "primary": "a@1" }]);
    let config = written(folder, &routed(&json!({ "a@1": server.engine(&json!({})) }), &routes));
    [document, config].map(|path| path.to_str().expect("a plain path").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_read_in_the_mode_that_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ModelServer::start();
    let [document, config] = files(folder.path(), &server);
    let read = async |arguments: &[&str]| {
        let all = ["read", "--engines", &config].into_iter().chain(arguments.iter().copied()).chain([&*document]);
        quire(all).await.printed()
    };
    let markdown = read(&["--mode", "markdown", "--format", "markdown"]).await;
    assert!(markdown.contains("\n| a | b |\n|---|---|\n| 1 | $x^2$ |"), "as it is: {markdown}");
    let table = read(&["--mode", "table", "--format", "markdown"]).await;
    assert!(table.contains("<table><tr><td>Page "), "as it is: {table}");
    let text = read(&[]).await;
    assert_eq!(text.matches("by a/model\nSecond line").count(), 2, "{text}");
    let fields = ["--mode", "fields", "--key", "total", "--key", "due", "--format", "json"];
    let fields: Value = serde_json::from_str(&read(&fields).await).expect("JSON");
    assert_eq!(fields[0]["pages"][1]["fields"], json!({ "total": "12.50", "due": null }), "{fields:#}");
    let prompt = server.asked().pop().expect("it was asked").prompt;
    assert!(prompt.contains("total") && prompt.contains("due"), "{prompt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mode_that_nobody_reads_is_refused_in_one_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let card = folder.path().join("card.png");
    fs::write(&card, png(&Sheet::new("A card"))).expect("a file");
    let card = card.to_str().expect("a plain path");
    let table = quire(["read", "--mode", "table", card]).await;
    assert!(table.complaint().contains("no engine offers the mode table; available modes: text"), "{table:#?}");
    let fields = quire(["read", "--mode", "fields", card]).await;
    assert!(fields.code != Some(0) && fields.stderr.contains("key"), "{fields:#?}");
    let engine = quire(["read", "--engine", "b@1", card]).await;
    assert!(engine.complaint().contains("pp-ocr@v6-small"), "{engine:#?}");
    let missing = quire(["read", "--engines", "/nowhere/engines.json", card]).await;
    assert!(missing.complaint().contains("/nowhere/engines.json"), "{missing:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_while_a_server_reads_for_it_loses_no_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ModelServer::start();
    server.takes(Duration::from_millis(300));
    let routes = json!([{ "modes": ["text"], "primary": "a@1" }]);
    let config = routed(&json!({ "a@1": server.engine(&json!({})) }), &routes);
    let serve = Serve::start(Launch::new(folder.path()).engines(&config)).await;
    let sheets: Vec<Sheet> = (1..=12).map(|page| Sheet::new(format!("Chapter {page}"))).collect();
    let id = serve.api().submit_without_callback([Upload::new("book.pdf", pdf(&sheets))]).await.accepted();
    eventually("it reads", || async { (server.asked().len() > 4).then_some(()) }).await;
    serve.kill_a_worker().await;
    let task = serve.api().ended(&id).await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for seen in server.asked() {
        *times.entry(seen.page).or_default() += 1;
    }
    assert_eq!(times.len(), 12);
    assert!(times.values().any(|times| *times > 1), "what was in hand is read again: {times:#?}");
    let mut texts: Vec<String> =
        task["documents"][0]["pages"].as_array().expect("pages").iter().map(|page| text_of(page).to_owned()).collect();
    texts.sort();
    let expected: Vec<String> = times.keys().map(|page| format!("Page {page} by a/model\nSecond line")).collect();
    assert_eq!(texts, expected);
    assert!(server.most_at_once() > 1, "pages are read side by side");
}

fn tiny_model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/ocr/tests/data/hunyuan-tiny/model")
}

/// Random weights: what it says has no meaning, but it is always the same.
#[tokio::test(flavor = "multi_thread")]
async fn hunyuan_ocr_reads_in_the_worker_several_pages_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let engines = json!({ "hunyuan-tiny@random-1": { "kind": "hunyuan-ocr", "folder": tiny_model(), "slots": 3 } });
    let config = routed(&engines, &json!([{ "modes": ["text", "markdown"], "primary": "hunyuan-tiny@random-1" }]));
    let serve = Serve::start(Launch::new(folder.path()).engines(&config)).await;
    let api = serve.api();
    let sheets = ["One", "Two", "Three", "Four"].map(Sheet::new);
    let upload = || [Upload::new("four.pdf", pdf(&sheets))];
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(api.submit_without_callback(upload()).await.accepted());
    }
    let mut read = Vec::new();
    for id in &ids {
        let task = api.ended(id).await;
        assert_eq!(task["status"], "succeeded", "{task:#}");
        let pages = task["documents"][0]["pages"].as_array().expect("pages").clone();
        assert_eq!(pages.len(), 4);
        assert!(pages.iter().all(|page| engine_of(page) == "hunyuan-tiny@random-1"), "{task:#}");
        assert!(pages.iter().any(|page| page["warnings"].is_array()), "it is stopped at some page: {task:#}");
        read.push(pages.iter().map(|page| text_of(page).to_owned()).collect::<Vec<_>>());
    }
    assert!(read.iter().all(|texts| *texts == read[0]), "the same pages, the same texts, whoever else is in the slots");
    let file = folder.path().join("four.pdf");
    fs::write(&file, pdf(&sheets)).expect("a file");
    let engines = folder.path().join("engines.json");
    let arguments = ["--mode".as_ref(), "text".as_ref(), "--format".as_ref(), "json".as_ref(), file.as_os_str()];
    let printed =
        quire(["read".as_ref(), "--engines".as_ref(), engines.as_os_str()].into_iter().chain(arguments)).await;
    let printed: Value = serde_json::from_str(&printed.printed()).expect("JSON");
    let texts: Vec<&str> = printed[0]["pages"].as_array().expect("pages").iter().map(text_of).collect();
    assert_eq!(texts, read[0]);
}
