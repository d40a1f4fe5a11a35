//! Recorded responses of real servers, and the requests sent to them.

use std::collections::BTreeMap;

use quire_openai_engine::{OpenAiEngine, OpenAiEngineError, OpenAiEngineSettings};
use quire_tasks::{ApiDialect, FailureCode, Mode, PageText, WarningCode};
use serde_json::Value;

use crate::{
    engine_at,
    fake_server::{FakeServer, Reply, recorded_bytes},
    hasty_engine_at, page, settings,
};

async fn read(file: &str) -> Result<PageText, OpenAiEngineError> {
    let server = FakeServer::always(Reply::recorded(200, file)).await;
    engine_at(server.address).read(&page(), &Mode::Text).await
}

async fn text(file: &str) -> String {
    read(file).await.expect("a page").text()
}

async fn refusal(status: u16, file: &str, dialect: ApiDialect) -> OpenAiEngineError {
    let server = FakeServer::always(Reply::recorded(status, file)).await;
    let client =
        OpenAiEngine::new(OpenAiEngineSettings { dialect, ..settings(server.address) }).expect("valid settings");
    let error = client.read(&page(), &Mode::Text).await.expect_err("a refusal");
    assert_eq!(server.requests().len(), 1, "a refusal is not retried");
    error
}

#[tokio::test]
async fn a_streamed_and_a_whole_completion_have_the_same_text() {
    let whole: Value = serde_json::from_slice(&recorded_bytes("transformers/card.json")).expect("JSON");
    let expected = whole["choices"][0]["message"]["content"].as_str().expect("a text");
    assert_eq!(text("transformers/card.sse").await, expected);
    assert_eq!(text("transformers/card.json").await, expected);
}

#[tokio::test]
async fn vllm_and_sglang_return_confidence() {
    let page = read("vllm/invoice.sse").await.expect("a page");
    let sure = |line: usize| page.lines[line].confidence.map(|sure| (sure * 1000.0).round());
    assert_eq!(page.text(), "发票 INVOICE\n合计 ¥128.00\n𝑥");
    // Token probabilities: 0.99, 0.98, 0.97 and the line end; 0.96, 0.8, the mean of 0.7 and 0.6; two halves of a
    // character.
    assert_eq!([sure(0), sure(1), sure(2)], [Some(980.0), Some(803.0), Some(600.0)]);
    assert!(page.warnings.is_empty());
    assert_eq!((page.engine.to_string(), page.width, page.height), ("hunyuan-ocr@1.5".to_owned(), 64, 32));

    let page = read("sglang/invoice.sse").await.expect("a page");
    assert_eq!(page.text(), "发票 INVOICE\n合计 ¥128.00");
    assert!(page.confidence().is_some_and(|sure| (0.7..1.0).contains(&sure)));
    assert_eq!(read("vllm/invoice.json").await.expect("a page").confidence(), None);
}

#[tokio::test]
async fn a_completion_at_the_token_limit_is_cut_off() {
    for file in ["transformers/length.sse", "vllm/length.sse"] {
        let page = read(file).await.expect("a page");
        assert_eq!(page.warning_codes(), [WarningCode::CutOff], "{file}");
        assert!(!page.text().is_empty(), "{file}");
    }
}

#[tokio::test]
async fn an_error_in_the_stream_is_a_server_fault() {
    for file in ["vllm/engine-died.sse", "sglang/abort.sse"] {
        let server = FakeServer::always(Reply::recorded(200, file)).await;
        let error = hasty_engine_at(server.address).read(&page(), &Mode::Text).await.expect_err("no page");
        assert!(matches!(error, OpenAiEngineError::Unavailable { .. }), "{file}: {error}");
    }
}

#[tokio::test]
async fn a_refused_page_is_not_a_server_fault_but_an_invalid_configuration_is() {
    for file in ["vllm/too-long.json", "sglang/too-long.json"] {
        let error = refusal(400, file, ApiDialect::Vllm).await;
        assert!(matches!(error, OpenAiEngineError::Refused { status: 400, .. }), "{file}: {error}");
    }
    let fields = refusal(422, "transformers/unexpected-fields.json", ApiDialect::Vllm).await;
    assert!(fields.is_server_fault() && fields.to_string().contains("`plain`"), "{fields}");
    for (status, file) in [
        (404, "vllm/no-model.json"),
        (400, "transformers/other-model.json"),
        (404, "transformers/not-found.json"),
        (401, "vllm/unauthorized.json"),
    ] {
        // The recorded response is for a model of another name.
        let server = FakeServer::always(Reply::recorded(status, file)).await;
        let mut settings = settings(server.address);
        if file.contains("other-model") {
            settings.model = "other/model".to_owned();
        }
        let error =
            OpenAiEngine::new(settings).expect("valid settings").read(&page(), &Mode::Text).await.expect_err("no page");
        assert!(error.is_server_fault(), "{file}: {error}");
    }
}

#[tokio::test]
async fn a_request_has_the_fields_of_the_dialect() {
    let server = FakeServer::always(Reply::recorded(200, "vllm/invoice.sse")).await;
    for dialect in [ApiDialect::Plain, ApiDialect::Vllm] {
        let settings = OpenAiEngineSettings { dialect, api_key: Some("a-key".to_owned()), ..settings(server.address) };
        let client = OpenAiEngine::new(settings).expect("valid settings");
        client.read(&page(), &Mode::Fields { keys: vec!["合计".to_owned()] }).await.expect("a page");
        assert!(!format!("{client:?}").contains("a-key"));
    }
    let requests = server.requests();
    for request in &requests {
        assert_eq!(request.path, "/v1/chat/completions");
        assert_eq!(request.headers["authorization"], "Bearer a-key");
        assert_eq!(request.headers["content-type"], "application/json");
        let content = &request.body["messages"][1]["content"];
        assert!(content[1]["text"].as_str().is_some_and(|text| text.contains("'合计'")), "{content}");
    }
    assert_eq!((&requests[0].body["top_k"], &requests[1].body["top_k"]), (&Value::Null, &(-1).into()));
}

#[tokio::test]
async fn a_connection_is_reused() {
    let server = FakeServer::always(Reply::recorded(200, "transformers/card.sse")).await;
    let client = engine_at(server.address);
    for _ in 0..3 {
        client.read(&page(), &Mode::Text).await.expect("a page");
    }
    let requests = server.requests();
    assert!(requests.len() == 3 && requests.iter().all(|request| request.from == requests[0].from));
}

#[tokio::test]
async fn a_completion_is_parsed_by_the_mode() {
    let server = FakeServer::always(Reply::stream(&["```json\n{\"合计\": ", "\"128.00\"}\n```"])).await;
    let keys = vec!["合计".to_owned(), "日期".to_owned()];
    let large = page().of_page(640, 320);
    let page = engine_at(server.address).read(&large, &Mode::Fields { keys }).await.expect("a page");
    let fields = page.fields.as_ref().expect("fields");
    assert_eq!((&fields["合计"], &fields["日期"]), (&"128.00".into(), &Value::Null));
    assert_eq!((page.width, page.height), (640, 320), "the size of the page as it was sent");
}

#[tokio::test]
async fn a_mode_without_a_prompt_is_refused_without_a_request() {
    let server = FakeServer::always(Reply::stream(&["a"])).await;
    let prompts = BTreeMap::from([("text".to_owned(), "Read.".to_owned())]);
    let client =
        OpenAiEngine::new(OpenAiEngineSettings { prompts, ..settings(server.address) }).expect("valid settings");
    assert!(client.offers(&Mode::Text).is_ok() && client.offers(&Mode::Table).is_err());
    let error = client.read(&page(), &Mode::Table).await.expect_err("no prompt");
    assert_eq!(error.failure().code, FailureCode::NotOffered);
    client.read(&page(), &Mode::Text).await.expect("a page");
    let requests = server.requests();
    assert_eq!((requests.len(), &requests[0].body["messages"][1]["content"][1]["text"]), (1, &"Read.".into()));
}

#[tokio::test]
async fn a_blank_page_has_no_lines() {
    let server = FakeServer::always(Reply::stream(&[])).await;
    let page = engine_at(server.address).read(&page(), &Mode::Text).await.expect("a page");
    assert_eq!((page.lines.len(), page.confidence()), (0, None));
}
