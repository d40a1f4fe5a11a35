//! Engines that are down, busy, or paused by their operator.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    harness::{
        ApiClient, ModelBehavior, ModelServer, ServeOptions, ServeProcess, TestPage, UploadFile, engine_config,
        engine_of, eventually, pdf,
    },
    poison_pages::outcomes,
};

const PAGES: usize = 30;

fn book(pages: usize) -> [UploadFile; 1] {
    let sheets: Vec<TestPage> = (1..=pages).map(|page| TestPage::new(format!("Chapter {page}"))).collect();
    [UploadFile::new("book.pdf", pdf(&sheets))]
}

/// Starts `serve` with the model server as its only engine, with a timeout of 1 s per page to keep tests short.
async fn serve_with(folder: &tempfile::TempDir, server: &ModelServer) -> ServeProcess {
    serve_with_breaker(folder, server, &json!({})).await
}

/// Starts `serve` like [`serve_with`], with these settings of the circuit breaker.
async fn serve_with_breaker(folder: &tempfile::TempDir, server: &ModelServer, breaker: &Value) -> ServeProcess {
    let engines = json!({ "a@1": server.engine(&json!({ "timeout_secs": 1 })) });
    let mut config = engine_config(&engines, &json!([{ "modes": ["text"], "primary": "a@1" }]));
    for (name, value) in breaker.as_object().expect("an object") {
        config["breaker"][name] = value.clone();
    }
    ServeProcess::start(ServeOptions::new(folder.path()).engines(&config)).await
}

/// Returns `degraded` and the state of the engine from `GET /healthz`.
async fn engine_health(api: &ApiClient) -> (Value, Value) {
    let health = api.get("/healthz").await.expect_status(200);
    (health["degraded"].clone(), health["engines"][0]["state"].clone())
}

/// Returns the line of the engine in `quire engines list`.
async fn engine_line(serve: &ServeProcess) -> String {
    let listed = serve.quire(&["engines", "list"]).await.expect_stdout();
    listed.lines().find(|line| line.starts_with("a@1")).unwrap_or_else(|| panic!("no a@1 in {listed}")).to_owned()
}

/// Returns the highest attempt of a page in the worker's log; 1 if no page was retried.
fn max_attempts(log: &str) -> u32 {
    let attempts = log.split("delivery.attempt=").skip(1);
    let number = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    attempts.filter_map(number).max().unwrap_or(1)
}

/// Asserts that all pages succeeded, each with its own text.
fn assert_all_read(task: &Value, server: &ModelServer, pages: usize) {
    assert_eq!(task["status"], "succeeded", "{task:#}");
    let mut texts = outcomes(task);
    assert_eq!(texts.len(), pages);
    let mut seen: Vec<String> = server.requests().into_iter().map(|request| request.page).collect();
    seen.sort();
    seen.dedup();
    texts.sort();
    let expected: Vec<String> = seen.iter().map(|page| format!("Page{page}bya/modelSecondline")).collect();
    assert_eq!(texts, expected);
}

/// Asserts until this time that the API reports the outage, and the task its waiting reason.
async fn assert_outage_is_reported(serve: &ServeProcess, id: &str, until: Instant) {
    let api = serve.api();
    while Instant::now() < until {
        assert_eq!(engine_health(&api).await.0, true, "the engine is still unavailable");
        let task = api.task(id).await;
        assert_eq!(task["waiting_reason"]["code"], "engine_unavailable", "{task:#}");
        assert!(task["waiting_reason"]["detail"].to_string().contains("a@1"), "{task:#}");
        assert_eq!(task["progress"]["failed"], 0, "{task:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let line = engine_line(serve).await;
    assert!(line.contains("open") && line.contains("127.0.0.1"), "the reason is listed: {line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_a_server_fails_no_page() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut server = ModelServer::start();
    server.set_delay(Duration::from_millis(50));
    let serve = serve_with(&folder, &server).await;
    let api = serve.api();
    let id = api.submit_without_callback(book(PAGES)).await.accepted_task_id();
    eventually("pages are read", || async { (server.requests().len() > 4).then_some(()) }).await;
    server.shut_down();
    let outage_start = Instant::now();
    eventually("its circuit breaker is open", || async {
        (engine_health(&api).await == (json!(true), json!("open"))).then_some(())
    })
    .await;
    let opened = outage_start.elapsed();
    // The API caches the engine status for one second.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_outage_is_reported(&serve, &id, outage_start + Duration::from_secs(5)).await;
    let read_before = server.requests().len();
    server.restart();
    let outage_end = Instant::now();
    eventually("the server gets requests again", || async { (server.requests().len() > read_before).then_some(()) })
        .await;
    let resumed = outage_end.elapsed();
    let task = api.await_end(&id).await;
    assert_all_read(&task, &server, PAGES);
    assert_eq!(task["waiting_reason"], Value::Null);
    let attempts = max_attempts(&serve.log());
    eprintln!(
        "outage: breaker open after {opened:.1?}; requests again {resumed:.1?} after its end, all read after {:.1?}; \
               at most {attempts} attempts",
        outage_end.elapsed()
    );
    assert!(attempts <= 2, "an unavailable engine spends no attempts:\n{}", serve.log());
    eventually("the engine is healthy again", || async {
        (engine_health(&api).await == (json!(false), json!("closed"))).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_page_survives_more_probes_than_it_has_attempts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut server = ModelServer::start();
    server.shut_down();
    let serve = serve_with_breaker(&folder, &server, &json!({ "min_calls": 1, "open_secs": 0.1 })).await;
    let id = serve.api().submit_without_callback(book(1)).await.accepted_task_id();
    eventually("six probes of the engine have failed", || async {
        (serve.log().matches("is_probe=true").count() >= 6).then_some(())
    })
    .await;
    let task = serve.api().task(&id).await;
    assert_eq!(task["progress"]["open"], 1, "{task:#}");
    server.restart();
    assert_all_read(&serve.api().await_end(&id).await, &server, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_retried_and_its_breaker_stays_closed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = ModelServer::start();
    server.set_behavior(ModelBehavior::Busy(1));
    let serve = serve_with(&folder, &server).await;
    let api = serve.api();
    let id = api.submit_without_callback(book(6)).await.accepted_task_id();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert_eq!(engine_health(&api).await, (json!(false), json!("closed")));
        let task = api.task(&id).await;
        assert_eq!((&task["progress"]["open"], &task["waiting_reason"]), (&json!(6), &Value::Null), "{task:#}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(server.requests().len() >= 2, "requests are retried");
    server.set_behavior(ModelBehavior::Reads);
    assert_all_read(&api.await_end(&id).await, &server, 6);
    assert_eq!(max_attempts(&serve.log()), 1, "waiting spends no attempt:\n{}", serve.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_pauses_and_resumes_an_engine() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = ModelServer::start();
    let serve = serve_with(&folder, &server).await;
    let api = serve.api();
    let unknown = serve.quire(&["engines", "pause", "b@1", "--reason", "none"]).await;
    assert!(unknown.expect_error_line().contains("a@1"), "the error lists the engines: {unknown:#?}");
    serve.quire(&["engines", "pause", "a@1", "--reason", "new weights", "--by", "Ada"]).await.expect_stdout();
    eventually("the worker applies the pause", || async {
        let engine = api.get("/healthz").await.expect_status(200)["engines"][0].take();
        (engine["state"] == "paused" && engine["workers"]["not_closed"] == 1).then_some(())
    })
    .await;
    // The worker stops receiving; a page received just before would be visible again only after its lease.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let id = api.submit_without_callback(book(3)).await.accepted_task_id();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let task = api.task(&id).await;
    assert_eq!(task["progress"]["open"], 3, "{task:#}");
    assert_eq!(task["waiting_reason"]["code"], "engine_paused", "{task:#}");
    assert!(task["waiting_reason"]["detail"].to_string().contains("new weights"), "{task:#}");
    let line = engine_line(&serve).await;
    assert!(line.contains("paused") && line.contains("new weights"), "{line}");
    assert!(server.requests().is_empty(), "a paused engine gets no requests");
    serve.quire(&["engines", "resume", "a@1"]).await.expect_stdout();
    let task = api.await_end(&id).await;
    assert_all_read(&task, &server, 3);
    assert_eq!(engine_of(&task["documents"][0]["pages"][0]), "a@1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_probes_an_engine_early() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut server = ModelServer::start();
    server.shut_down();
    let serve = serve_with_breaker(&folder, &server, &json!({ "open_secs": 600 })).await;
    let api = serve.api();
    let id = api.submit_without_callback(book(PAGES)).await.accepted_task_id();
    eventually("its circuit breaker is open", || async { (engine_health(&api).await.1 == "open").then_some(()) }).await;
    server.restart();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(api.task(&id).await["progress"]["open"], PAGES, "the open breaker sends no probe");
    let probed = Instant::now();
    serve.quire(&["engines", "probe", "a@1", "--reason", "it is back"]).await.expect_stdout();
    eventually("pages are read", || async { (api.task(&id).await["progress"]["succeeded"] != 0).then_some(()) }).await;
    // Pages that were in flight become visible after their lease of 30 s; all others are read at once.
    assert!(probed.elapsed() < Duration::from_secs(20), "it took {:?}", probed.elapsed());
    assert_eq!(engine_health(&api).await, (json!(false), json!("closed")));
}
