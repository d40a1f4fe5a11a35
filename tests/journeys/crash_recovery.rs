//! `kill -9` of the server and of workers at random moments: no page is lost, no result is duplicated.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use crate::harness::{
    ApiClient, CallbackReceiver, ReceivedCallback, ServeOptions, ServeProcess, TestPage, UploadFile, eventually,
    files_below, pdf, png, quire, text_of, without_whitespace,
};

const DOCUMENTS: usize = 30;
const KILLS: usize = 10;

/// Returns a document and the texts of its pages. Every third is an image, the others are PDFs of one or two pages.
fn document(number: usize) -> (UploadFile, Vec<String>) {
    let text = |page: usize| format!("Letter {number} page {page}");
    match number % 3 {
        0 => (UploadFile::new("letter.png", png(&TestPage::new(text(1)))), vec![text(1)]),
        pages => {
            let texts: Vec<String> = (1..=pages).map(text).collect();
            let sheets: Vec<TestPage> = texts.iter().map(TestPage::new).collect();
            (UploadFile::new("letter.pdf", pdf(&sheets)), texts)
        }
    }
}

/// Submits all documents, and retries each until it is accepted. Returns the task ids with the texts of their pages.
async fn submit_all(api: ApiClient, callback_url: String) -> BTreeMap<String, Vec<String>> {
    let mut accepted = BTreeMap::new();
    for number in 1..=DOCUMENTS {
        let (upload, texts) = document(number);
        let answer = eventually("a document is accepted", || async {
            // A transport error: the server is down.
            api.try_submit([upload.clone()], &callback_url).await.ok()
        });
        accepted.insert(answer.await.accepted_task_id(), texts);
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..300))).await;
    }
    accepted
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_ten_times_loses_and_duplicates_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let receiver = CallbackReceiver::start().await;
    let mut serve = ServeProcess::start(ServeOptions::new(folder.path()).workers(2).dev()).await;
    let client = tokio::spawn(submit_all(serve.api(), receiver.url()));
    for kill in 0..KILLS {
        // Every other time the server becomes ready before it is killed; otherwise it may still be starting.
        if kill % 2 == 0 {
            serve.await_healthy().await;
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..1500))).await;
        serve.kill();
        serve.restart();
    }
    let accepted = client.await.expect("the client does not panic");
    serve.await_healthy().await;
    for (id, texts) in &accepted {
        assert_ended_once(&serve, id, texts).await;
    }
    assert_one_callback_per_task(&receiver.callbacks(), &accepted);
    assert_nothing_is_left(serve).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_workers_lose_no_page() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let receiver = CallbackReceiver::start().await;
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).workers(2).dev()).await;
    let texts: Vec<String> = (1..=DOCUMENTS).map(|page| format!("Letter 1 page {page}")).collect();
    let sheets: Vec<TestPage> = texts.iter().map(TestPage::new).collect();
    let id =
        serve.api().submit([UploadFile::new("letter.pdf", pdf(&sheets))], &receiver.url()).await.accepted_task_id();
    // Fewer kills than a page has attempts: no page can exhaust them, even if it is in flight each time.
    for kills in 1..=3 {
        serve.kill_worker().await;
        eventually("a worker is restarted", || async {
            let health = serve.api().get("/healthz").await.body;
            (health["workers"]["restarts"] == kills && health["workers"]["ready"] == 2).then_some(())
        })
        .await;
    }
    assert_ended_once(&serve, &id, &texts).await;
    assert_eq!(receiver.callbacks().len(), 1);
}

/// Asserts that the task succeeded, each page once with its text, and that its callback was delivered.
async fn assert_ended_once(serve: &ServeProcess, id: &str, texts: &[String]) {
    let task = serve.api().await_callback(id, "delivered").await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    assert_eq!(task["progress"]["pages"], texts.len(), "{task:#}");
    let pages = task["documents"][0]["pages"].as_array().expect("pages");
    let read: Vec<String> = pages.iter().map(|page| without_whitespace(text_of(page))).collect();
    assert_eq!(read, texts.iter().map(|text| without_whitespace(text)).collect::<Vec<_>>());
    let results = files_below(&serve.objects().join("pages").join(id));
    assert_eq!(results.len(), texts.len(), "one outcome per page: {results:?}");
}

/// Asserts that each task sent only one callback, perhaps repeatedly: also a task whose response the client never
/// received.
fn assert_one_callback_per_task(received: &[ReceivedCallback], accepted: &BTreeMap<String, Vec<String>>) {
    let mut callbacks_by_task: BTreeMap<String, BTreeSet<(&str, &str)>> = BTreeMap::new();
    for callback in received {
        callbacks_by_task.entry(callback.task_id()).or_default().insert((callback.webhook_id(), &callback.body));
    }
    for (id, callbacks) in &callbacks_by_task {
        assert_eq!(callbacks.len(), 1, "{id}: {callbacks:#?}");
    }
    let missing: Vec<_> = accepted.keys().filter(|id| !callbacks_by_task.contains_key(*id)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Asserts that queues, spool and dead letters are empty, and that no process remains after a stop.
async fn assert_nothing_is_left(mut serve: ServeProcess) {
    eventually("the queues are empty", || async {
        let queues = serve.api().get("/healthz").await.expect_status(200)["queues"].take();
        let is_empty = |queue: &Value| queue.as_object().is_some_and(|counts| counts.values().all(|count| count == 0));
        queues.as_object().expect("queues").values().all(is_empty).then_some(())
    })
    .await;
    assert_eq!(files_below(&serve.data().join("spool")), [""; 0], "partial uploads of killed servers are deleted");
    assert!(serve.stop().await.success());
    assert_eq!(serve.workers(), [""; 0], "no worker survives its server");
    let data = serve.data();
    let letters =
        quire(["dead-letters", "list", "--data", data.to_str().expect("the path is UTF-8")]).await.expect_stdout();
    assert!(!letters.contains("task_"), "{letters}");
}
