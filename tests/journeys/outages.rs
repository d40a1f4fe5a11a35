//! Engines that go away, are busy, or are taken out by their operator.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    harness::{Api, Launch, Manner, ModelServer, Serve, Sheet, Upload, engine_of, eventually, pdf, routed},
    poison::outcomes,
};

const PAGES: usize = 30;

fn book(pages: usize) -> [Upload; 1] {
    let sheets: Vec<Sheet> = (1..=pages).map(|page| Sheet::new(format!("Chapter {page}"))).collect();
    [Upload::new("book.pdf", pdf(&sheets))]
}

/// The server alone. It is given up after a second on each page, so that a test need not wait for its patience.
async fn served(folder: &tempfile::TempDir, server: &ModelServer) -> Serve {
    served_behind(folder, server, &json!({})).await
}

/// Likewise, behind a breaker with these other settings.
async fn served_behind(folder: &tempfile::TempDir, server: &ModelServer, breaker: &Value) -> Serve {
    let engines = json!({ "a@1": server.engine(&json!({ "timeout_secs": 1 })) });
    let mut config = routed(&engines, &json!([{ "modes": ["text"], "primary": "a@1" }]));
    for (name, value) in breaker.as_object().expect("an object") {
        config["breaker"][name] = value.clone();
    }
    Serve::start(Launch::new(folder.path()).engines(&config)).await
}

/// How the engine stands, by `GET /healthz`.
async fn health(api: &Api) -> (Value, Value) {
    let health = api.get("/healthz").await.body(200);
    (health["degraded"].clone(), health["engines"][0]["state"].clone())
}

/// How the engine stands, by the operator's command: its whole line.
async fn listed(serve: &Serve) -> String {
    let listed = serve.quire(&["engines", "list"]).await.printed();
    listed.lines().find(|line| line.starts_with("a@1")).unwrap_or_else(|| panic!("no a@1 in {listed}")).to_owned()
}

/// The highest attempt that the worker says a page was on; 1 if it says of none that it was taken up again.
fn most_attempts(log: &str) -> u32 {
    let attempts = log.split("delivery.attempt=").skip(1);
    let number = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    attempts.filter_map(number).max().unwrap_or(1)
}

/// All pages are there, each once and with the text that belongs to it.
fn all_is_read(task: &Value, server: &ModelServer, pages: usize) {
    assert_eq!(task["status"], "succeeded", "{task:#}");
    let mut texts = outcomes(task);
    assert_eq!(texts.len(), pages);
    let mut seen: Vec<String> = server.asked().into_iter().map(|seen| seen.page).collect();
    seen.sort();
    seen.dedup();
    texts.sort();
    let expected: Vec<String> = seen.iter().map(|page| format!("Page{page}bya/modelSecondline")).collect();
    assert_eq!(texts, expected);
}

/// Whoever asks is told that the engine is away, and that the task waits for it, at any moment.
async fn is_said_all_the_time(serve: &Serve, id: &str, until: Instant) {
    let api = serve.api();
    while Instant::now() < until {
        assert_eq!(health(&api).await.0, true, "the engine is still away");
        let task = api.task(id).await;
        assert_eq!(task["waiting_reason"]["code"], "engine_unavailable", "{task:#}");
        assert!(task["waiting_reason"]["detail"].to_string().contains("a@1"), "{task:#}");
        assert_eq!(task["progress"]["failed"], 0, "{task:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let line = listed(serve).await;
    assert!(line.contains("open") && line.contains("127.0.0.1"), "it says why: {line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_and_comes_back_costs_no_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = ModelServer::start();
    server.takes(Duration::from_millis(50));
    let serve = served(&folder, &server).await;
    let api = serve.api();
    let id = api.submit_without_callback(book(PAGES)).await.accepted();
    eventually("pages are read", || async { (server.asked().len() > 4).then_some(()) }).await;
    server.goes_away();
    let gone = Instant::now();
    eventually("its breaker is open", || async { (health(&api).await == (json!(true), json!("open"))).then_some(()) })
        .await;
    let opened = gone.elapsed();
    // What the door knows of engines is up to a second old.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    is_said_all_the_time(&serve, &id, gone + Duration::from_secs(5)).await;
    let read_before = server.asked().len();
    server.comes_back();
    let back = Instant::now();
    eventually("it is asked again", || async { (server.asked().len() > read_before).then_some(()) }).await;
    let resumed = back.elapsed();
    let task = api.ended(&id).await;
    all_is_read(&task, &server, PAGES);
    assert_eq!(task["waiting_reason"], Value::Null);
    let most = most_attempts(&serve.log());
    eprintln!(
        "outage: open after {opened:.1?}; asked again {resumed:.1?} after its end, all read after {:.1?}; \
               at most {most} attempts",
        back.elapsed()
    );
    assert!(most <= 2, "attempts are spent on an engine that is known to be away:\n{}", serve.log());
    eventually("all is well again", || async { (health(&api).await == (json!(false), json!("closed"))).then_some(()) })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lonely_page_outlives_an_outage_of_more_tries_than_it_has_attempts() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = ModelServer::start();
    server.goes_away();
    let serve = served_behind(&folder, &server, &json!({ "min_calls": 1, "open_secs": 0.1 })).await;
    let id = serve.api().submit_without_callback(book(1)).await.accepted();
    eventually("the engine has been tried in vain six times", || async {
        (serve.log().matches("is_probe=true").count() >= 6).then_some(())
    })
    .await;
    let task = serve.api().task(&id).await;
    assert_eq!(task["progress"]["open"], 1, "{task:#}");
    server.comes_back();
    all_is_read(&serve.api().ended(&id).await, &server, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_too_much_to_do_is_waited_for_and_not_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ModelServer::start();
    server.behaves(Manner::Busy(1));
    let serve = served(&folder, &server).await;
    let api = serve.api();
    let id = api.submit_without_callback(book(6)).await.accepted();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert_eq!(health(&api).await, (json!(false), json!("closed")));
        let task = api.task(&id).await;
        assert_eq!((&task["progress"]["open"], &task["waiting_reason"]), (&json!(6), &Value::Null), "{task:#}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(server.asked().len() >= 2, "it is asked again from time to time");
    server.behaves(Manner::Reads);
    all_is_read(&api.ended(&id).await, &server, 6);
    assert_eq!(most_attempts(&serve.log()), 1, "waiting costs no attempt:\n{}", serve.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_takes_an_engine_out_and_puts_it_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ModelServer::start();
    let serve = served(&folder, &server).await;
    let api = serve.api();
    let unknown = serve.quire(&["engines", "pause", "b@1", "--reason", "none"]).await;
    assert!(unknown.complaint().contains("a@1"), "it says what there is: {unknown:#?}");
    serve.quire(&["engines", "pause", "a@1", "--reason", "new weights", "--by", "Ada"]).await.printed();
    eventually("the worker knows of its pause", || async {
        let engine = api.get("/healthz").await.body(200)["engines"][0].take();
        (engine["state"] == "paused" && engine["workers"]["not_closed"] == 1).then_some(())
    })
    .await;
    // It stops asking the queue, where what it received just then would come again only after a while.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let id = api.submit_without_callback(book(3)).await.accepted();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let task = api.task(&id).await;
    assert_eq!(task["progress"]["open"], 3, "{task:#}");
    assert_eq!(task["waiting_reason"]["code"], "engine_paused", "{task:#}");
    assert!(task["waiting_reason"]["detail"].to_string().contains("new weights"), "{task:#}");
    let line = listed(&serve).await;
    assert!(line.contains("paused") && line.contains("new weights"), "{line}");
    assert!(server.asked().is_empty(), "nobody asks it");
    serve.quire(&["engines", "resume", "a@1"]).await.printed();
    let task = api.ended(&id).await;
    all_is_read(&task, &server, 3);
    assert_eq!(engine_of(&task["documents"][0]["pages"][0]), "a@1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_has_an_engine_tried_before_its_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = ModelServer::start();
    server.goes_away();
    let serve = served_behind(&folder, &server, &json!({ "open_secs": 600 })).await;
    let api = serve.api();
    let id = api.submit_without_callback(book(PAGES)).await.accepted();
    eventually("its breaker is open", || async { (health(&api).await.1 == "open").then_some(()) }).await;
    server.comes_back();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(api.task(&id).await["progress"]["open"], PAGES, "it is left alone");
    let asked = Instant::now();
    serve.quire(&["engines", "probe", "a@1", "--reason", "it is back"]).await.printed();
    eventually("pages are read", || async { (api.task(&id).await["progress"]["succeeded"] != 0).then_some(()) }).await;
    // Pages that were in hand before come half a minute later; those that were not are not kept waiting.
    assert!(asked.elapsed() < Duration::from_secs(20), "it took {:?}", asked.elapsed());
    assert_eq!(health(&api).await, (json!(false), json!("closed")));
}
