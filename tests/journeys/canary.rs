//! Canary deployments of engine versions: traffic share, automatic and manual rollback.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{
    ModelBehavior, ModelServer, ServeOptions, ServeProcess, TestPage, UploadFile, engine_config, engine_of, eventually,
    expected_texts, pdf,
};

/// Returns a configuration that routes half of the tasks to the canary, which is evaluated after twelve pages. Its
/// latency is ignored, since the machine may be busy.
fn half_canary_config(stable: &ModelServer, canary: &ModelServer) -> Value {
    let vllm = json!({ "dialect": "vllm" });
    let engines = json!({ "a@1": stable.engine(&vllm), "a@2": canary.engine(&vllm) });
    let canary = json!({ "engine": "a@2", "share": 0.5 });
    let mut config = engine_config(&engines, &json!([{ "modes": ["text"], "primary": "a@1", "canary": canary }]));
    config["canary"] = json!({ "min_pages": 12, "slowdown": 1000.0 });
    config
}

/// Reads a document of three pages and returns the engine of each page.
async fn read_with_engines(serve: &ServeProcess) -> Vec<String> {
    let sheets = ["One", "Two", "Three"].map(TestPage::new);
    let body = serve.api().ocr(UploadFile::new("three.pdf", pdf(&sheets))).await.expect_status(200);
    assert_eq!(body["status"], "succeeded", "{body:#}");
    body["pages"].as_array().expect("pages").iter().map(engine_of).collect()
}

/// Reads a document and returns the engine that read all of its pages.
async fn read_with_engine(serve: &ServeProcess) -> String {
    let mut engines = read_with_engines(serve).await;
    engines.dedup();
    assert_eq!(engines.len(), 1, "one document is read by one version: {engines:?}");
    engines.remove(0)
}

/// Returns the reason why the canary is rolled back, or `None` while it is active.
async fn rollback_reason(serve: &ServeProcess) -> Option<String> {
    let health = serve.api().get("/healthz").await.expect_status(200);
    let engines = health["engines"].as_array().expect("engines");
    let canary = engines.iter().find(|engine| engine["engine"] == "a@2").expect("the canary is listed");
    canary["rolled_back"]["reason"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worse_canary_is_rolled_back_automatically() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stable = ModelServer::start();
    let canary = ModelServer::start();
    canary.set_behavior(ModelBehavior::RespondsWith(""));
    let serve =
        ServeProcess::start(ServeOptions::new(folder.path()).engines(&half_canary_config(&stable, &canary))).await;
    let mut read = Vec::new();
    let reason = loop {
        if let Some(reason) = rollback_reason(&serve).await {
            break reason;
        }
        assert!(read.len() < 1000, "the canary must be rolled back");
        read.push(read_with_engine(&serve).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    for engine in ["a@1", "a@2"] {
        assert!(read.iter().filter(|read| *read == engine).count() > 3, "both versions get tasks: {read:?}");
    }
    assert!(reason.contains(expected_texts::CANARY_EMPTY_PAGES), "{reason}");
    let listed = serve.quire(&["engines", "list"]).await.expect_stdout();
    let line = listed.lines().find(|line| line.starts_with("a@2")).expect("the canary is listed");
    assert!(line.contains(expected_texts::CANARY_EMPTY_PAGES), "{line}");
    // The API caches the engine status for one second.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let requests_before = canary.requests().len();
    for _ in 0..10 {
        assert_eq!(read_with_engine(&serve).await, "a@1");
    }
    assert_eq!(canary.requests().len(), requests_before);
    serve.quire(&["engines", "reinstate", "a@2"]).await.expect_stdout();
    canary.set_behavior(ModelBehavior::Reads);
    eventually("the canary gets tasks again", || async { (read_with_engine(&serve).await == "a@2").then_some(()) })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_equally_good_canary_stays_until_it_is_rolled_back_manually() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stable = ModelServer::start();
    let canary = ModelServer::start();
    for server in [&stable, &canary] {
        server.set_confidence(0.9);
    }
    let serve =
        ServeProcess::start(ServeOptions::new(folder.path()).engines(&half_canary_config(&stable, &canary))).await;
    eventually("both versions have been evaluated", || async {
        read_with_engine(&serve).await;
        let health = serve.api().get("/healthz").await.expect_status(200);
        let engines = health["engines"].as_array().expect("engines");
        let are_evaluated = engines.iter().all(|engine| engine["pages"].as_u64().is_some_and(|pages| pages >= 12));
        are_evaluated.then_some(())
    })
    .await;
    assert_eq!(rollback_reason(&serve).await, None);
    serve.quire(&["engines", "roll-back", "a@2", "--reason", "a customer complains"]).await.expect_stdout();
    assert_eq!(rollback_reason(&serve).await.as_deref(), Some("a customer complains"));
    tokio::time::sleep(Duration::from_millis(1200)).await;
    for _ in 0..8 {
        assert_eq!(read_with_engine(&serve).await, "a@1");
    }
}
