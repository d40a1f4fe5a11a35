//! What real servers answer, and what they are asked.

use std::collections::BTreeMap;

use quire_openai_engine::{Dialect, Remote, RemoteError, RemoteSettings};
use quire_tasks::{FailureCode, Mode, PageText, Warning};
use serde_json::Value;

use crate::{
    hasty, page, remote, settings,
    stand_in::{Reply, StandIn, bytes_of},
};

async fn read(file: &str) -> Result<PageText, RemoteError> {
    let server = StandIn::always(Reply::recorded(200, file)).await;
    remote(server.address).read(&page(), &Mode::Text).await
}

async fn text(file: &str) -> String {
    read(file).await.expect("a page").text()
}

async fn refusal(status: u16, file: &str, dialect: Dialect) -> RemoteError {
    let server = StandIn::always(Reply::recorded(status, file)).await;
    let client = Remote::new(RemoteSettings { dialect, ..settings(server.address) }).expect("a client");
    let error = client.read(&page(), &Mode::Text).await.expect_err("a refusal");
    assert_eq!(server.asked().len(), 1, "it would refuse it again");
    error
}

#[tokio::test]
async fn transformers_says_the_same_streamed_and_whole() {
    let whole: Value = serde_json::from_slice(&bytes_of("transformers/card.json")).expect("JSON");
    let said = whole["choices"][0]["message"]["content"].as_str().expect("a text");
    assert_eq!(text("transformers/card.sse").await, said);
    assert_eq!(text("transformers/card.json").await, said);
}

#[tokio::test]
async fn vllm_and_sglang_say_how_sure_they_are() {
    let page = read("vllm/invoice.sse").await.expect("a page");
    let sure = |line: usize| page.lines[line].confidence.map(|sure| (sure * 1000.0).round());
    assert_eq!(page.text(), "发票 INVOICE\n合计 ¥128.00\n𝑥");
    // 0.99, 0.98, 0.97 and the line's end; 0.96, 0.8, the mean of 0.7 and 0.6; both halves of a character.
    assert_eq!([sure(0), sure(1), sure(2)], [Some(980.0), Some(803.0), Some(600.0)]);
    assert!(page.warnings.is_empty());
    assert_eq!((page.engine.to_string(), page.width, page.height), ("hunyuan-ocr@1.5".to_owned(), 64, 32));

    let page = read("sglang/invoice.sse").await.expect("a page");
    assert_eq!(page.text(), "发票 INVOICE\n合计 ¥128.00");
    assert!(page.confidence().is_some_and(|sure| (0.7..1.0).contains(&sure)));
    assert_eq!(read("vllm/invoice.json").await.expect("a page").confidence(), None);
}

#[tokio::test]
async fn an_answer_of_as_many_tokens_as_it_may_have_is_cut_off() {
    for file in ["transformers/length.sse", "vllm/length.sse"] {
        let page = read(file).await.expect("a page");
        assert_eq!(page.warnings, [Warning::CutOff], "{file}");
        assert!(!page.text().is_empty(), "{file}");
    }
}

#[tokio::test]
async fn an_error_in_the_stream_is_the_servers() {
    for file in ["vllm/engine-died.sse", "sglang/abort.sse"] {
        let server = StandIn::always(Reply::recorded(200, file)).await;
        let error = hasty(server.address).read(&page(), &Mode::Text).await.expect_err("no page");
        assert!(matches!(error, RemoteError::Unavailable { .. }), "{file}: {error}");
    }
}

#[tokio::test]
async fn a_page_that_a_server_does_not_take_is_refused_and_a_wrong_configuration_is_not_the_pages_fault() {
    for file in ["vllm/too-long.json", "sglang/too-long.json"] {
        let error = refusal(400, file, Dialect::Vllm).await;
        assert!(matches!(error, RemoteError::Refused { status: 400, .. }), "{file}: {error}");
    }
    let fields = refusal(422, "transformers/unexpected-fields.json", Dialect::Vllm).await;
    assert!(fields.is_about_the_server() && fields.to_string().contains("`plain`"), "{fields}");
    for (status, file) in [
        (404, "vllm/no-model.json"),
        (400, "transformers/other-model.json"),
        (404, "transformers/not-found.json"),
        (401, "vllm/unauthorized.json"),
    ] {
        // The recorded one was asked for by another name.
        let server = StandIn::always(Reply::recorded(status, file)).await;
        let mut settings = settings(server.address);
        if file.contains("other-model") {
            settings.model = "other/model".to_owned();
        }
        let error = Remote::new(settings).expect("a client").read(&page(), &Mode::Text).await.expect_err("no page");
        assert!(error.is_about_the_server(), "{file}: {error}");
    }
}

#[tokio::test]
async fn a_request_is_what_the_server_knows() {
    let server = StandIn::always(Reply::recorded(200, "vllm/invoice.sse")).await;
    for dialect in [Dialect::Plain, Dialect::Vllm] {
        let settings = RemoteSettings { dialect, api_key: Some("a-key".to_owned()), ..settings(server.address) };
        let client = Remote::new(settings).expect("a client");
        client.read(&page(), &Mode::Fields { keys: vec!["合计".to_owned()] }).await.expect("a page");
        assert!(!format!("{client:?}").contains("a-key"));
    }
    let asked = server.asked();
    for request in &asked {
        assert_eq!(request.path, "/v1/chat/completions");
        assert_eq!(request.headers["authorization"], "Bearer a-key");
        assert_eq!(request.headers["content-type"], "application/json");
        let said = &request.body["messages"][1]["content"];
        assert!(said[1]["text"].as_str().is_some_and(|text| text.contains("'合计'")), "{said}");
    }
    assert_eq!((&asked[0].body["top_k"], &asked[1].body["top_k"]), (&Value::Null, &(-1).into()));
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_page() {
    let server = StandIn::always(Reply::recorded(200, "transformers/card.sse")).await;
    let client = remote(server.address);
    for _ in 0..3 {
        client.read(&page(), &Mode::Text).await.expect("a page");
    }
    let asked = server.asked();
    assert!(asked.len() == 3 && asked.iter().all(|request| request.from == asked[0].from));
}

#[tokio::test]
async fn an_answer_is_taken_for_what_the_mode_asks() {
    let server = StandIn::always(Reply::stream(&["```json\n{\"合计\": ", "\"128.00\"}\n```"])).await;
    let keys = vec!["合计".to_owned(), "日期".to_owned()];
    let large = page().of_page(640, 320);
    let page = remote(server.address).read(&large, &Mode::Fields { keys }).await.expect("a page");
    let fields = page.fields.as_ref().expect("fields");
    assert_eq!((&fields["合计"], &fields["日期"]), (&"128.00".into(), &Value::Null));
    assert_eq!((page.width, page.height), (640, 320), "of the page as it was sent");
}

#[tokio::test]
async fn a_mode_without_a_prompt_is_not_asked_for() {
    let server = StandIn::always(Reply::stream(&["a"])).await;
    let prompts = BTreeMap::from([("text".to_owned(), "Read.".to_owned())]);
    let client = Remote::new(RemoteSettings { prompts, ..settings(server.address) }).expect("a client");
    assert!(client.offers(&Mode::Text).is_ok() && client.offers(&Mode::Table).is_err());
    let error = client.read(&page(), &Mode::Table).await.expect_err("no prompt");
    assert_eq!(error.failure().code, FailureCode::NotOffered);
    client.read(&page(), &Mode::Text).await.expect("a page");
    let asked = server.asked();
    assert_eq!((asked.len(), &asked[0].body["messages"][1]["content"][1]["text"]), (1, &"Read.".into()));
}

#[tokio::test]
async fn a_blank_page_has_no_lines() {
    let server = StandIn::always(Reply::stream(&[])).await;
    let page = remote(server.address).read(&page(), &Mode::Text).await.expect("a page");
    assert_eq!((page.lines.len(), page.confidence()), (0, None));
}
