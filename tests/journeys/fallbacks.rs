//! Two engines for one page.

use serde_json::{Value, json};

use crate::harness::{Launch, Manner, ModelServer, Serve, Sheet, Upload, engine_of, pdf, routed, squeezed, text_of};

fn upload(sheets: &[Sheet]) -> [Upload; 1] {
    [Upload::new("sheets.pdf", pdf(sheets))]
}

async fn pages(serve: &Serve, sheets: &[Sheet], mode: &str) -> Vec<Value> {
    let id = serve.api().ask("/ocr/async", upload(sheets), &[("mode", mode)]).await.accepted();
    let mut task = serve.api().ended(&id).await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    match task["documents"][0]["pages"].take() {
        Value::Array(pages) => pages,
        other => panic!("no pages: {other:#}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_the_first_engine_fails_on_is_read_by_the_other_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ModelServer::start();
    server.behaves_with_yellow(Manner::Status(400));
    let engines = json!({ "a@1": server.engine(&json!({})), "pp-ocr@v6-small": { "kind": "pp-ocr" } });
    let routes = json!([{ "modes": ["text"], "primary": "a@1", "fallback": "pp-ocr@v6-small" }]);
    let serve = Serve::start(Launch::new(folder.path()).engines(&routed(&engines, &routes))).await;
    let sheets = [Sheet::new("Before"), Sheet::new("Refused").yellow(), Sheet::new("Behind")];
    let pages = pages(&serve, &sheets, "text").await;
    let engines: Vec<String> = pages.iter().map(engine_of).collect();
    assert_eq!(engines, ["a@1", "pp-ocr@v6-small", "a@1"]);
    assert_eq!(squeezed(text_of(&pages[1])), "Refused");
    let tried = json!([{ "engine": { "name": "a", "version": "1" }, "why": "failed", "code": "model_failed" }]);
    assert_eq!(pages[1]["tried"], tried, "{:#}", pages[1]);
    assert!(pages[0].get("tried").is_none() && pages[2].get("tried").is_none(), "{pages:#?}");
    let log = serve.log();
    assert!(!log.contains("Refused") && !log.contains("Second line"), "texts stay out of the log:\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_is_given_up_when_its_time_is_over_and_then_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ModelServer::start();
    server.behaves(Manner::Silent);
    let engines =
        json!({ "a@1": server.engine(&json!({ "timeout_secs": 1 })), "pp-ocr@v6-small": { "kind": "pp-ocr" } });
    let routes = json!([{ "modes": ["text"], "primary": "a@1", "fallback": "pp-ocr@v6-small" }]);
    let mut config = routed(&engines, &routes);
    config["breaker"]["open_secs"] = json!(600);
    let serve = Serve::start(Launch::new(folder.path()).engines(&config)).await;
    let sheets: Vec<Sheet> = (1..=12).map(|page| Sheet::new(format!("Chapter {page}"))).collect();
    let pages = pages(&serve, &sheets, "text").await;
    assert!(pages.iter().all(|page| engine_of(page) == "pp-ocr@v6-small"), "{pages:#?}");
    let unavailable = pages.iter().filter(|page| page["tried"][0]["why"] == "unavailable").count();
    assert!(unavailable > 0, "once its breaker is open it is not asked: {pages:#?}");
    assert!(server.asked().len() < 12, "{} pages were tried", server.asked().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_surer_of_two_answers_is_kept_and_names_the_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let (unsure, less_sure) = (ModelServer::start(), ModelServer::start());
    unsure.is_sure(0.6);
    less_sure.is_sure(0.4);
    let vllm = json!({ "dialect": "vllm" });
    let engines = json!({
        "a@1": unsure.engine(&vllm), "b@1": less_sure.engine(&vllm), "pp-ocr@v6-small": { "kind": "pp-ocr" },
    });
    let routes = json!([
        { "modes": ["text"], "primary": "a@1", "fallback": "pp-ocr@v6-small", "fallback_below": 0.7 },
        { "modes": ["markdown"], "primary": "a@1", "fallback": "b@1", "fallback_below": 0.7 },
        { "modes": ["table"], "primary": "a@1", "fallback": "b@1", "fallback_below": 0.5 },
    ]);
    let serve = Serve::start(Launch::new(folder.path()).engines(&routed(&engines, &routes))).await;
    let sheet = [Sheet::new("Plain to see")];
    let others = |page: &Value| {
        let tried = page["tried"].as_array().cloned().unwrap_or_default();
        let percent = |tried: &Value| (tried["confidence"].as_f64().expect("a confidence") * 100.0).round() as u32;
        tried.iter().map(|tried| (engine_of(tried), tried["why"].clone(), percent(tried))).collect::<Vec<_>>()
    };
    let text = pages(&serve, &sheet, "text").await.remove(0);
    assert_eq!((engine_of(&text).as_str(), squeezed(text_of(&text)).as_str()), ("pp-ocr@v6-small", "Plaintosee"));
    assert_eq!(others(&text), [("a@1".to_owned(), json!("less_sure"), 60)]);
    let markdown = pages(&serve, &sheet, "markdown").await.remove(0);
    assert_eq!(engine_of(&markdown), "a@1", "the fallback is less sure still");
    assert_eq!(others(&markdown), [("b@1".to_owned(), json!("less_sure"), 40)]);
    let asked = less_sure.asked().len();
    let table = pages(&serve, &sheet, "table").await.remove(0);
    assert_eq!((engine_of(&table).as_str(), others(&table)), ("a@1", Vec::new()), "sure enough for this route");
    assert_eq!(less_sure.asked().len(), asked);
}
