//! Fallback engines: after a failure, while the first engine is unavailable, and below a confidence threshold.

use serde_json::{Value, json};

use crate::harness::{
    ModelBehavior, ModelServer, ServeOptions, ServeProcess, TestPage, UploadFile, engine_config, engine_of, pdf,
    text_of, without_whitespace,
};

fn upload(sheets: &[TestPage]) -> [UploadFile; 1] {
    [UploadFile::new("sheets.pdf", pdf(sheets))]
}

/// Reads the pages in this mode and returns them.
async fn read_pages(serve: &ServeProcess, sheets: &[TestPage], mode: &str) -> Vec<Value> {
    let id = serve.api().post_form("/ocr/async", upload(sheets), &[("mode", mode)]).await.accepted_task_id();
    let mut task = serve.api().await_end(&id).await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    match task["documents"][0]["pages"].take() {
        Value::Array(pages) => pages,
        other => panic!("no pages: {other:#}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_fails_is_read_by_the_fallback_and_reports_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = ModelServer::start();
    server.set_yellow_behavior(ModelBehavior::Status(400));
    let engines = json!({ "a@1": server.engine(&json!({})), "pp-ocr@v6-small": { "kind": "pp-ocr" } });
    let routes = json!([{ "modes": ["text"], "primary": "a@1", "fallback": "pp-ocr@v6-small" }]);
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).engines(&engine_config(&engines, &routes))).await;
    let sheets = [TestPage::new("Before"), TestPage::new("Refused").yellow(), TestPage::new("Behind")];
    let pages = read_pages(&serve, &sheets, "text").await;
    let engines: Vec<String> = pages.iter().map(engine_of).collect();
    assert_eq!(engines, ["a@1", "pp-ocr@v6-small", "a@1"]);
    assert_eq!(without_whitespace(text_of(&pages[1])), "Refused");
    let tried = json!([{ "engine": { "name": "a", "version": "1" }, "why": "failed", "code": "model_failed" }]);
    assert_eq!(pages[1]["tried"], tried, "{:#}", pages[1]);
    assert!(pages[0].get("tried").is_none() && pages[2].get("tried").is_none(), "{pages:#?}");
    let log = serve.log();
    assert!(!log.contains("Refused") && !log.contains("Second line"), "texts are not logged:\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_responds_times_out_and_its_breaker_opens() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = ModelServer::start();
    server.set_behavior(ModelBehavior::NeverResponds);
    let engines =
        json!({ "a@1": server.engine(&json!({ "timeout_secs": 1 })), "pp-ocr@v6-small": { "kind": "pp-ocr" } });
    let routes = json!([{ "modes": ["text"], "primary": "a@1", "fallback": "pp-ocr@v6-small" }]);
    let mut config = engine_config(&engines, &routes);
    config["breaker"]["open_secs"] = json!(600);
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).engines(&config)).await;
    let sheets: Vec<TestPage> = (1..=12).map(|page| TestPage::new(format!("Chapter {page}"))).collect();
    let pages = read_pages(&serve, &sheets, "text").await;
    assert!(pages.iter().all(|page| engine_of(page) == "pp-ocr@v6-small"), "{pages:#?}");
    let unavailable = pages.iter().filter(|page| page["tried"][0]["why"] == "unavailable").count();
    assert!(unavailable > 0, "an open breaker sends no requests: {pages:#?}");
    assert!(server.requests().len() < 12, "{} pages were tried", server.requests().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_result_with_the_higher_confidence_is_kept_and_names_the_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let primary = ModelServer::start();
    let fallback = ModelServer::start();
    primary.set_confidence(0.6);
    fallback.set_confidence(0.4);
    let vllm = json!({ "dialect": "vllm" });
    let engines = json!({
        "a@1": primary.engine(&vllm), "b@1": fallback.engine(&vllm), "pp-ocr@v6-small": { "kind": "pp-ocr" },
    });
    let routes = json!([
        { "modes": ["text"], "primary": "a@1", "fallback": "pp-ocr@v6-small", "fallback_below": 0.7 },
        { "modes": ["markdown"], "primary": "a@1", "fallback": "b@1", "fallback_below": 0.7 },
        { "modes": ["table"], "primary": "a@1", "fallback": "b@1", "fallback_below": 0.5 },
    ]);
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).engines(&engine_config(&engines, &routes))).await;
    let sheet = [TestPage::new("Plain to see")];
    let others = |page: &Value| {
        let tried = page["tried"].as_array().cloned().unwrap_or_default();
        let percent = |tried: &Value| (tried["confidence"].as_f64().expect("a confidence") * 100.0).round() as u32;
        tried.iter().map(|tried| (engine_of(tried), tried["why"].clone(), percent(tried))).collect::<Vec<_>>()
    };
    let text = read_pages(&serve, &sheet, "text").await.remove(0);
    assert_eq!(
        (engine_of(&text).as_str(), without_whitespace(text_of(&text)).as_str()),
        ("pp-ocr@v6-small", "Plaintosee")
    );
    assert_eq!(others(&text), [("a@1".to_owned(), json!("less_sure"), 60)]);
    let markdown = read_pages(&serve, &sheet, "markdown").await.remove(0);
    assert_eq!(engine_of(&markdown), "a@1", "the fallback has a lower confidence");
    assert_eq!(others(&markdown), [("b@1".to_owned(), json!("less_sure"), 40)]);
    let requests_before = fallback.requests().len();
    let table = read_pages(&serve, &sheet, "table").await.remove(0);
    assert_eq!(
        (engine_of(&table).as_str(), others(&table)),
        ("a@1", Vec::new()),
        "the confidence suffices for this route"
    );
    assert_eq!(fallback.requests().len(), requests_before);
}
