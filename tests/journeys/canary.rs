//! New versions on trial.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Launch, Manner, ModelServer, Serve, Sheet, Upload, engine_of, eventually, pdf, routed};

/// Half of the tasks are the canary's, which is judged after twelve pages, and not by its speed on a busy machine.
fn half(stable: &ModelServer, canary: &ModelServer) -> Value {
    let vllm = json!({ "dialect": "vllm" });
    let engines = json!({ "a@1": stable.engine(&vllm), "a@2": canary.engine(&vllm) });
    let canary = json!({ "engine": "a@2", "share": 0.5 });
    let mut config = routed(&engines, &json!([{ "modes": ["text"], "primary": "a@1", "canary": canary }]));
    config["canary"] = json!({ "min_pages": 12, "slowdown": 1000.0 });
    config
}

/// Reads one more document of three pages; the engines of its pages.
async fn engines(serve: &Serve) -> Vec<String> {
    let sheets = ["One", "Two", "Three"].map(Sheet::new);
    let body = serve.api().ocr(Upload::new("three.pdf", pdf(&sheets))).await.body(200);
    assert_eq!(body["status"], "succeeded", "{body:#}");
    body["pages"].as_array().expect("pages").iter().map(engine_of).collect()
}

/// The engine that read all pages of one more document.
async fn engine(serve: &Serve) -> String {
    let mut engines = engines(serve).await;
    engines.dedup();
    assert_eq!(engines.len(), 1, "one document is read by one version: {engines:?}");
    engines.remove(0)
}

async fn rolled_back(serve: &Serve) -> Option<String> {
    let health = serve.api().get("/healthz").await.body(200);
    let engines = health["engines"].as_array().expect("engines");
    let canary = engines.iter().find(|engine| engine["engine"] == "a@2").expect("the canary");
    canary["rolled_back"]["reason"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_that_is_worse_is_rolled_back_by_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let (stable, canary) = (ModelServer::start(), ModelServer::start());
    canary.behaves(Manner::Says(""));
    let serve = Serve::start(Launch::new(folder.path()).engines(&half(&stable, &canary))).await;
    let mut read = Vec::new();
    let reason = loop {
        if let Some(reason) = rolled_back(&serve).await {
            break reason;
        }
        assert!(read.len() < 1000, "it is never rolled back");
        read.push(engine(&serve).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    for engine in ["a@1", "a@2"] {
        assert!(read.iter().filter(|read| *read == engine).count() > 3, "each has its share: {read:?}");
    }
    assert!(reason.contains("empty"), "{reason}");
    let listed = serve.quire(&["engines", "list"]).await.printed();
    let line = listed.lines().find(|line| line.starts_with("a@2")).expect("the canary");
    assert!(line.contains("empty"), "{line}");
    // What the door knows of the board is up to a second old.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let asked = canary.asked().len();
    for _ in 0..10 {
        assert_eq!(engine(&serve).await, "a@1");
    }
    assert_eq!(canary.asked().len(), asked);
    serve.quire(&["engines", "reinstate", "a@2"]).await.printed();
    canary.behaves(Manner::Reads);
    eventually("it has its share again", || async { (engine(&serve).await == "a@2").then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_that_is_as_good_stays_until_its_operator_says_otherwise() {
    let folder = tempfile::tempdir().expect("a folder");
    let (stable, canary) = (ModelServer::start(), ModelServer::start());
    for server in [&stable, &canary] {
        server.is_sure(0.9);
    }
    let serve = Serve::start(Launch::new(folder.path()).engines(&half(&stable, &canary))).await;
    eventually("both have been judged", || async {
        engine(&serve).await;
        let health = serve.api().get("/healthz").await.body(200);
        let engines = health["engines"].as_array().expect("engines");
        let counted = engines.iter().all(|engine| engine["pages"].as_u64().is_some_and(|pages| pages >= 12));
        counted.then_some(())
    })
    .await;
    assert_eq!(rolled_back(&serve).await, None);
    serve.quire(&["engines", "roll-back", "a@2", "--reason", "a customer complains"]).await.printed();
    assert_eq!(rolled_back(&serve).await.as_deref(), Some("a customer complains"));
    tokio::time::sleep(Duration::from_millis(1200)).await;
    for _ in 0..8 {
        assert_eq!(engine(&serve).await, "a@1");
    }
}
