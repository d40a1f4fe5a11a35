//! The API by its own description: answers to a client that uses all of it are held to it, and Schemathesis tries what
//! nobody would think of.

use std::{fs, process::Command};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::harness::{Delivery, Launch, Receiver, Serve, Sheet, Upload, png, python_with, quire, scripts};

const REQUIREMENTS: &str = "requirements-schemathesis.txt";
/// How long Schemathesis makes up requests once it has been through the systematic ones.
const SECONDS: u32 = 60;
/// As many requests as are tried at least, on a slow and busy machine too; on one that is neither it is some thousands.
const MIN_CASES: u64 = 500;
/// All that can be said of any answer. Whether what the description permits is also taken depends on more than it can say:
/// which engines there are, and whether bytes are a picture.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance,\
                      use_after_free,ignored_auth";

/// A server with a key, and a receiver on the same machine.
async fn keyed(launch: Launch) -> (Serve, Receiver, String) {
    let launch = launch.dev();
    let data = launch.data();
    let data = data.to_str().expect("a plain path");
    let printed = quire(["keys", "create", "--tenant", "acme", "--data", data]).await.printed();
    (Serve::start(launch).await, Receiver::start().await, printed.trim().to_owned())
}

/// What a program prints, which must end well.
async fn output(mut command: Command) -> String {
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.expect("no panic").expect("it can be started");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "it ended with {}:\n{shown}\n{error}", output.status);
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_as_it_is_described() {
    let folder = tempfile::tempdir().expect("a folder");
    let (serve, receiver, key) = keyed(Launch::new(folder.path())).await;
    let picture = folder.path().join("card.png");
    fs::write(&picture, png(&Sheet::new("A single card"))).expect("it is written");
    let image_url = receiver.file("/card.png", fs::read(&picture).expect("it is there"));
    let mut command = python_with(REQUIREMENTS);
    command.arg(scripts().join("openapi/answers.py"));
    command.args([&serve.api().base, &key, &receiver.url(), &image_url]).arg(&picture);
    let held: Value = serde_json::from_str(&output(command).await).expect("it prints JSON");
    assert!(held.as_object().is_some_and(|held| held.len() >= 28), "{held:#}");
    let events: Vec<Value> = receiver.deliveries().iter().map(Delivery::json).collect();
    let file = folder.path().join("events.json");
    fs::write(&file, json!(events).to_string()).expect("it is written");
    let mut command = python_with(REQUIREMENTS);
    command.arg(scripts().join("openapi/events.py")).arg(&serve.api().base).arg(&file);
    let kinds: Value = serde_json::from_str(&output(command).await).expect("it prints JSON");
    for kind in ["FullEvent", "ThinEvent", "TestEvent"] {
        assert!(kinds[kind].as_u64() >= Some(1), "{kind}: {kinds:#}");
    }
    let log = serve.log();
    assert!(!log.contains(&key) && !log.contains("ofthecustomer"), "keys and queries stay out of the log:\n{log}");
}

/// Ids of what there is, for calls that take one.
async fn known(serve: &Serve, receiver: &Receiver, key: &str) -> Value {
    let api = serve.api().with_key(key);
    let picture = png(&Sheet::new("A single card"));
    let (mut tasks, mut deliveries) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let id = api.submit([Upload::new("card.png", picture.clone())], &receiver.url()).await.accepted();
        api.told(&id, "delivered").await;
        let log = api.get(&format!("/task/{id}/deliveries")).await.body(200);
        deliveries.push(log["deliveries"][0]["id"].clone());
        tasks.push(id);
    }
    // One is for whoever deletes: the others stay.
    json!({
        "ids": {"task_id": tasks[1..], "delivery_id": deliveries[1..], "deleteTask": {"task_id": tasks[..1]}},
        "url": receiver.url(), "callback_url": receiver.url(), "image_url": receiver.file("/card.png", picture.clone()),
        "picture": STANDARD.encode(&picture),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_that_can_be_made_up_is_answered_otherwise_than_described() {
    let folder = tempfile::tempdir().expect("a folder");
    // Nobody waits long: the time is for other requests.
    let launch = Launch::new(folder.path()).variable("QUIRE_SYNC_LIMIT_SECS", "1");
    let (serve, receiver, key) = keyed(launch.variable("QUIRE_LONGEST_WAIT_SECS", "1")).await;
    let known = known(&serve, &receiver, &key).await;
    let report = folder.path().join("report.json");
    // It leaves files of its own where it runs.
    fs::copy(scripts().join("openapi/hooks.py"), folder.path().join("hooks.py")).expect("it is copied");
    let mut command = python_with(REQUIREMENTS);
    command
        .args(["-c", "from schemathesis.cli import schemathesis; schemathesis()"])
        .args(["run", &format!("{}/openapi.json", serve.api().base)])
        .args(["--header", &format!("Authorization: Bearer {key}")])
        // One: Python 3.11 counts how deep it parses for all threads together, and two that parse at once may end it.
        .args(["--checks", CHECKS, "--max-time", &SECONDS.to_string(), "--workers", "1", "--no-color"])
        .args(["--suppress-health-check", "all", "--request-timeout", "60", "--generation-database", "none"])
        .args(["--report", "json", "--report-json-path"])
        .arg(&report)
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("QUIRE_KNOWN", known.to_string())
        .current_dir(folder.path());
    let shown = output(command).await;
    let report = fs::read(&report).expect("there is a report");
    let report: Value = serde_json::from_slice(&report).expect("it is JSON");
    let cases = report["test_cases"]["generated"].as_u64().expect("it counts");
    eprintln!("Schemathesis tried {cases} requests");
    assert!(cases >= MIN_CASES, "{cases} requests only:\n{shown}");
    assert_eq!(report["operations"]["tested"], report["operations"]["total"], "{shown}");
    let log = serve.log();
    assert!(!log.contains("panicked") && !log.contains("request failed"), "{log}");
}
