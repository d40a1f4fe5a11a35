//! Validates the API against its `OpenAPI` description: the responses to a client that uses every call, its webhooks,
//! and the responses to requests that Schemathesis generates.

use std::{fs, process::Command};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::harness::{
    CallbackReceiver, ReceivedCallback, ServeOptions, ServeProcess, TestPage, UploadFile, png, python_with, quire,
    scripts,
};

const REQUIREMENTS: &str = "requirements-schemathesis.txt";
/// How long Schemathesis generates random requests after its systematic ones.
const FUZZING_SECS: u32 = 60;
/// The fewest generated requests on a slow and busy machine; otherwise there are some thousands.
const MIN_CASES: u64 = 500;
/// The checks that hold for every response. Without `positive_data_acceptance`: whether a request that fits the
/// description is accepted also depends on the engines and on whether bytes are an image.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance,\
                      use_after_free,ignored_auth";

/// Starts a server that requires an API key. Returns it with a callback receiver and the key.
async fn serve_with_key(launch: ServeOptions) -> (ServeProcess, CallbackReceiver, String) {
    let launch = launch.dev();
    let data = launch.data();
    let data = data.to_str().expect("the path is UTF-8");
    let printed = quire(["keys", "create", "--tenant", "acme", "--data", data]).await.expect_stdout();
    (ServeProcess::start(launch).await, CallbackReceiver::start().await, printed.trim().to_owned())
}

/// Runs a command and returns its stdout. Panics unless it succeeds.
async fn stdout_of(mut command: Command) -> String {
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.expect("the task does not panic").expect("the command can be started");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the command ended with {}:\n{stdout}\n{stderr}", output.status);
    stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_and_webhook_matches_the_description() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (serve, receiver, key) = serve_with_key(ServeOptions::new(folder.path())).await;
    let image = folder.path().join("card.png");
    fs::write(&image, png(&TestPage::new("A single card"))).expect("the file can be written");
    let image_url = receiver.serve_file("/card.png", fs::read(&image).expect("the file can be read"));
    let mut command = python_with(REQUIREMENTS);
    command.arg(scripts().join("openapi/check_responses.py"));
    command.args([&serve.api().base, &key, &receiver.url(), &image_url]).arg(&image);
    let checked: Value = serde_json::from_str(&stdout_of(command).await).expect("the script prints JSON");
    assert!(checked.as_object().is_some_and(|calls| calls.len() >= 28), "{checked:#}");
    let events: Vec<Value> = receiver.callbacks().iter().map(ReceivedCallback::json).collect();
    let file = folder.path().join("events.json");
    fs::write(&file, json!(events).to_string()).expect("the file can be written");
    let mut command = python_with(REQUIREMENTS);
    command.arg(scripts().join("openapi/check_events.py")).arg(&serve.api().base).arg(&file);
    let kinds: Value = serde_json::from_str(&stdout_of(command).await).expect("the script prints JSON");
    for kind in ["FullEvent", "ThinEvent", "TestEvent"] {
        assert!(kinds[kind].as_u64() >= Some(1), "{kind}: {kinds:#}");
    }
    let log = serve.log();
    assert!(!log.contains(&key) && !log.contains("ofthecustomer"), "keys and queries are not logged:\n{log}");
}

/// Creates tasks and returns their ids and other values that Schemathesis cannot guess, for `hooks.py`.
async fn known_values(serve: &ServeProcess, receiver: &CallbackReceiver, key: &str) -> Value {
    let api = serve.api().with_key(key);
    let image = png(&TestPage::new("A single card"));
    let mut tasks = Vec::new();
    let mut deliveries = Vec::new();
    for _ in 0..4 {
        let id = api.submit([UploadFile::new("card.png", image.clone())], &receiver.url()).await.accepted_task_id();
        api.await_callback(&id, "delivered").await;
        let log = api.get(&format!("/task/{id}/deliveries")).await.expect_status(200);
        deliveries.push(log["deliveries"][0]["id"].clone());
        tasks.push(id);
    }
    // The first task is for `deleteTask`, so that the others are not deleted.
    json!({
        "ids": {"task_id": tasks[1..], "delivery_id": deliveries[1..], "deleteTask": {"task_id": tasks[..1]}},
        "url": receiver.url(),
        "callback_url": receiver.url(),
        "image_url": receiver.serve_file("/card.png", image.clone()),
        "picture": STANDARD.encode(&image),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_to_generated_requests_matches_the_description() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Short waits leave more time for other requests.
    let launch = ServeOptions::new(folder.path()).variable("QUIRE_SYNC_LIMIT_SECS", "1");
    let (serve, receiver, key) = serve_with_key(launch.variable("QUIRE_LONGEST_WAIT_SECS", "1")).await;
    let known = known_values(&serve, &receiver, &key).await;
    let report = folder.path().join("report.json");
    // Schemathesis writes files to its working directory.
    fs::copy(scripts().join("openapi/hooks.py"), folder.path().join("hooks.py")).expect("the hooks can be copied");
    let mut command = python_with(REQUIREMENTS);
    command
        .args(["-c", "from schemathesis.cli import schemathesis; schemathesis()"])
        .args(["run", &format!("{}/openapi.json", serve.api().base)])
        .args(["--header", &format!("Authorization: Bearer {key}")])
        // One worker: Python 3.11 has one recursion counter for the parsers of all threads, which two threads may
        // exceed.
        .args(["--checks", CHECKS, "--max-time", &FUZZING_SECS.to_string(), "--workers", "1", "--no-color"])
        .args(["--suppress-health-check", "all", "--request-timeout", "60", "--generation-database", "none"])
        .args(["--report", "json", "--report-json-path"])
        .arg(&report)
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("QUIRE_KNOWN", known.to_string())
        .current_dir(folder.path());
    let stdout = stdout_of(command).await;
    let report = fs::read(&report).expect("the report can be read");
    let report: Value = serde_json::from_slice(&report).expect("the report is JSON");
    let cases = report["test_cases"]["generated"].as_u64().expect("the report has a count");
    eprintln!("Schemathesis tried {cases} requests");
    assert!(cases >= MIN_CASES, "only {cases} requests:\n{stdout}");
    assert_eq!(report["operations"]["tested"], report["operations"]["total"], "{stdout}");
    let log = serve.log();
    assert!(!log.contains("panicked") && !log.contains("request failed"), "{log}");
}
