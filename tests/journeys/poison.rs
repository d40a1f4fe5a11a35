//! Pages that harm whoever reads them.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{
    Launch, Receiver, Serve, Sheet, Upload, dead_letter, eventually, faulty, pdf, png, quire, squeezed, text_of,
};

/// Each page of each document: its text, or the code of its failure.
pub(crate) fn outcomes(task: &Value) -> Vec<String> {
    let documents = task["documents"].as_array().expect("documents").iter();
    let pages = documents.flat_map(|document| document["pages"].as_array().expect("pages"));
    let outcome = |page: &Value| match page["status"].as_str() {
        Some("succeeded") => squeezed(text_of(page)),
        _ => page["error"]["code"].as_str().unwrap_or("no code").to_owned(),
    };
    pages.map(outcome).collect()
}

pub(crate) fn documents(poison: Sheet) -> [Upload; 2] {
    let sheets = [Sheet::new("Before"), poison, Sheet::new("Behind")];
    [Upload::new("three.pdf", pdf(&sheets)), Upload::new("aside.png", png(&Sheet::new("Aside")))]
}

/// Follows the task to its end; meanwhile every question is answered at once.
async fn watched(serve: &Serve, task: &str) -> Value {
    let api = serve.api();
    loop {
        let asked = Instant::now();
        let health = api.get("/healthz").await;
        assert!([200, 503].contains(&health.status), "{health:#?}");
        let task = api.task(task).await;
        assert!(asked.elapsed() < Duration::from_secs(5), "the API was held up for {:?}", asked.elapsed());
        if !["queued", "processing"].contains(&task["status"].as_str().expect("a status")) {
            return task;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_kills_its_worker_fails_alone_and_can_be_redriven() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::start().await;
    let serve = Serve::start(Launch::new(folder.path()).workers(2).dev().program(faulty())).await;
    let poison = Sheet::new("Poison").magenta();
    let id = serve.api().submit(documents(poison), &receiver.url()).await.accepted();
    let task = watched(&serve, &id).await;
    assert_eq!(task["status"], "partially_succeeded", "{task:#}");
    assert_eq!(outcomes(&task), ["Before", "attempts_exhausted", "Behind", "Aside"]);
    eventually("a worker died and was started again once for each attempt", || async {
        (serve.api().get("/healthz").await.body["workers"]["restarts"] == 5).then_some(())
    })
    .await;
    assert_eq!(receiver.received(1).await[0].json()["status"], "partially_succeeded");

    let serve = serve.replaced(|launch| launch.program(env!("CARGO_BIN_EXE_quire").into())).await;
    let data = serve.data();
    let data = data.to_str().expect("a plain path");
    let name = dead_letter("pages", &id, data).await;
    let shown = quire(["dead-letters", "show", "pages", &name, "--data", data]).await.printed();
    assert!(shown.contains(&id) && shown.contains("page"), "{shown}");
    quire(["dead-letters", "redrive", "pages", "--data", data]).await.printed();

    let deliveries = receiver.received(2).await;
    let task = serve.api().told(&id, "delivered").await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    assert_eq!(outcomes(&task), ["Before", "Poison", "Behind", "Aside"]);
    assert_eq!(deliveries[1].json()["status"], "succeeded");
    assert_ne!(deliveries[0].webhook_id(), deliveries[1].webhook_id(), "another end, another callback");
    let listed = quire(["dead-letters", "list", "pages", "--data", data]).await.printed();
    assert!(!listed.contains(&id), "it lies there still: {listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_never_comes_back_is_given_up_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let launch = Launch::new(folder.path()).workers(1).program(faulty()).variable("QUIRE_PAGE_LIMIT_SECS", "3");
    let serve = Serve::start(launch).await;
    let endless = Sheet::new("Endless").cyan();
    let id = serve.api().submit_without_callback(documents(endless)).await.accepted();
    let task = watched(&serve, &id).await;
    assert_eq!(task["status"], "partially_succeeded", "{task:#}");
    assert_eq!(outcomes(&task), ["Before", "timed_out", "Behind", "Aside"]);
}
