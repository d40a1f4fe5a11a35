//! `kill -9` at any moment: nothing is lost, nothing is doubled.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use crate::harness::{
    Api, Delivery, Launch, Receiver, Serve, Sheet, Upload, eventually, files_below, pdf, png, quire, squeezed, text_of,
};

const DOCUMENTS: usize = 30;
const KILLS: usize = 10;

/// Every third document is an image, the others are PDFs of one or two pages.
fn document(number: usize) -> (Upload, Vec<String>) {
    let text = |page: usize| format!("Letter {number} page {page}");
    match number % 3 {
        0 => (Upload::new("letter.png", png(&Sheet::new(text(1)))), vec![text(1)]),
        pages => {
            let texts: Vec<String> = (1..=pages).map(text).collect();
            let sheets: Vec<Sheet> = texts.iter().map(Sheet::new).collect();
            (Upload::new("letter.pdf", pdf(&sheets)), texts)
        }
    }
}

/// Sends all documents, each again and again until its acceptance is heard of; the tasks, with their pages' texts.
async fn submit_all(api: Api, callback_url: String) -> BTreeMap<String, Vec<String>> {
    let mut accepted = BTreeMap::new();
    for number in 1..=DOCUMENTS {
        let (upload, texts) = document(number);
        let answer = eventually("a document is accepted", || async {
            // A server that is dead or just dying: an ordinary client tries again.
            api.try_submit([upload.clone()], &callback_url).await.ok()
        });
        accepted.insert(answer.await.accepted(), texts);
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..300))).await;
    }
    accepted
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_ten_times_loses_nothing_and_doubles_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::start().await;
    let mut serve = Serve::start(Launch::new(folder.path()).workers(2).dev()).await;
    let client = tokio::spawn(submit_all(serve.api(), receiver.url()));
    for kill in 0..KILLS {
        // Every other life goes on until pages are read; the others end anywhere, in the middle of the start, say.
        if kill % 2 == 0 {
            serve.healthy().await;
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..1500))).await;
        serve.kill();
        serve.revive();
    }
    let accepted = client.await.expect("the client does its work");
    serve.healthy().await;
    for (id, texts) in &accepted {
        ended_once(&serve, id, texts).await;
    }
    told_of_one_end_each(&receiver.deliveries(), &accepted);
    nothing_is_left(serve).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_killed_lose_no_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::start().await;
    let serve = Serve::start(Launch::new(folder.path()).workers(2).dev()).await;
    let texts: Vec<String> = (1..=DOCUMENTS).map(|page| format!("Letter 1 page {page}")).collect();
    let sheets: Vec<Sheet> = texts.iter().map(Sheet::new).collect();
    let id = serve.api().submit([Upload::new("letter.pdf", pdf(&sheets))], &receiver.url()).await.accepted();
    // Fewer deaths than a page has attempts: none is given up, even if it is in hand each time.
    for deaths in 1..=3 {
        serve.kill_a_worker().await;
        eventually("a worker is started again", || async {
            let health = serve.api().get("/healthz").await.body;
            (health["workers"]["restarts"] == deaths && health["workers"]["ready"] == 2).then_some(())
        })
        .await;
    }
    ended_once(&serve, &id, &texts).await;
    assert_eq!(receiver.deliveries().len(), 1);
}

/// The task has succeeded, each page once and with its text, and its callback was taken.
async fn ended_once(serve: &Serve, id: &str, texts: &[String]) {
    let task = serve.api().told(id, "delivered").await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    assert_eq!(task["progress"]["pages"], texts.len(), "{task:#}");
    let pages = task["documents"][0]["pages"].as_array().expect("pages");
    let read: Vec<String> = pages.iter().map(|page| squeezed(text_of(page))).collect();
    assert_eq!(read, texts.iter().map(|text| squeezed(text)).collect::<Vec<_>>());
    let results = files_below(&serve.objects().join("pages").join(id));
    assert_eq!(results.len(), texts.len(), "one outcome a page: {results:?}");
}

/// Each task was told of, always as the same callback: also one whose acceptance its client never heard of.
fn told_of_one_end_each(deliveries: &[Delivery], accepted: &BTreeMap<String, Vec<String>>) {
    let mut told: BTreeMap<String, BTreeSet<(&str, &str)>> = BTreeMap::new();
    for delivery in deliveries {
        told.entry(delivery.task_id()).or_default().insert((delivery.webhook_id(), &delivery.body));
    }
    for (id, callbacks) in &told {
        assert_eq!(callbacks.len(), 1, "{id}: {callbacks:#?}");
    }
    let untold: Vec<_> = accepted.keys().filter(|id| !told.contains_key(*id)).collect();
    assert!(untold.is_empty(), "{untold:?}");
}

async fn nothing_is_left(mut serve: Serve) {
    eventually("the queues are empty", || async {
        let queues = serve.api().get("/healthz").await.body(200)["queues"].take();
        let is_empty = |queue: &Value| queue.as_object().is_some_and(|counts| counts.values().all(|count| count == 0));
        queues.as_object().expect("queues").values().all(is_empty).then_some(())
    })
    .await;
    assert_eq!(files_below(&serve.data().join("spool")), [""; 0], "what a killed server had half received is gone");
    assert!(serve.stop().await.success());
    assert_eq!(serve.workers(), [""; 0], "no worker outlives its server");
    let data = serve.data();
    let letters = quire(["dead-letters", "list", "--data", data.to_str().expect("a plain path")]).await.printed();
    assert!(!letters.contains("task_"), "{letters}");
}
