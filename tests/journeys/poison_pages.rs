//! Pages that crash or hang the worker that reads them.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{
    CallbackReceiver, ServeOptions, ServeProcess, TestPage, UploadFile, await_dead_letter, eventually, faulty_quire,
    pdf, png, quire, text_of, without_whitespace,
};

/// Returns the text or the error code of each page of all documents.
pub(crate) fn outcomes(task: &Value) -> Vec<String> {
    let documents = task["documents"].as_array().expect("documents").iter();
    let pages = documents.flat_map(|document| document["pages"].as_array().expect("pages"));
    let outcome = |page: &Value| match page["status"].as_str() {
        Some("succeeded") => without_whitespace(text_of(page)),
        _ => page["error"]["code"].as_str().unwrap_or("no code").to_owned(),
    };
    pages.map(outcome).collect()
}

/// Returns two documents; this page is the second of three in the first document.
pub(crate) fn documents(poison: TestPage) -> [UploadFile; 2] {
    let sheets = [TestPage::new("Before"), poison, TestPage::new("Behind")];
    [UploadFile::new("three.pdf", pdf(&sheets)), UploadFile::new("aside.png", png(&TestPage::new("Aside")))]
}

/// Polls the task until it ends, and asserts that the API responds within 5 s all the time.
async fn watch_task(serve: &ServeProcess, task: &str) -> Value {
    let api = serve.api();
    loop {
        let started = Instant::now();
        let health = api.get("/healthz").await;
        assert!([200, 503].contains(&health.status), "{health:#?}");
        let task = api.task(task).await;
        assert!(started.elapsed() < Duration::from_secs(5), "the API was blocked for {:?}", started.elapsed());
        if !["queued", "processing"].contains(&task["status"].as_str().expect("a status")) {
            return task;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_kills_its_worker_fails_alone_and_can_be_redriven() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let receiver = CallbackReceiver::start().await;
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).workers(2).dev().program(faulty_quire())).await;
    let poison = TestPage::new("Poison").magenta();
    let id = serve.api().submit(documents(poison), &receiver.url()).await.accepted_task_id();
    let task = watch_task(&serve, &id).await;
    assert_eq!(task["status"], "partially_succeeded", "{task:#}");
    assert_eq!(outcomes(&task), ["Before", "attempts_exhausted", "Behind", "Aside"]);
    eventually("a worker is restarted for each attempt", || async {
        (serve.api().get("/healthz").await.body["workers"]["restarts"] == 5).then_some(())
    })
    .await;
    assert_eq!(receiver.await_callbacks(1).await[0].json()["status"], "partially_succeeded");

    let serve = serve.relaunch(|launch| launch.program(env!("CARGO_BIN_EXE_quire").into())).await;
    let data = serve.data();
    let data = data.to_str().expect("the path is UTF-8");
    let name = await_dead_letter("pages", &id, data).await;
    let shown = quire(["dead-letters", "show", "pages", &name, "--data", data]).await.expect_stdout();
    assert!(shown.contains(&id) && shown.contains("page"), "{shown}");
    quire(["dead-letters", "redrive", "pages", "--data", data]).await.expect_stdout();

    let deliveries = receiver.await_callbacks(2).await;
    let task = serve.api().await_callback(&id, "delivered").await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    assert_eq!(outcomes(&task), ["Before", "Poison", "Behind", "Aside"]);
    assert_eq!(deliveries[1].json()["status"], "succeeded");
    assert_ne!(deliveries[0].webhook_id(), deliveries[1].webhook_id(), "the redriven task has its own callback");
    let listed = quire(["dead-letters", "list", "pages", "--data", data]).await.expect_stdout();
    assert!(!listed.contains(&id), "the dead letter is removed: {listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_hangs_times_out_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let launch =
        ServeOptions::new(folder.path()).workers(1).program(faulty_quire()).variable("QUIRE_PAGE_LIMIT_SECS", "3");
    let serve = ServeProcess::start(launch).await;
    let endless = TestPage::new("Endless").cyan();
    let id = serve.api().submit_without_callback(documents(endless)).await.accepted_task_id();
    let task = watch_task(&serve, &id).await;
    assert_eq!(task["status"], "partially_succeeded", "{task:#}");
    assert_eq!(outcomes(&task), ["Before", "timed_out", "Behind", "Aside"]);
}
