//! Callbacks: retry schedule, dead letters and signatures.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::harness::{
    CallbackReceiver, ReceivedCallback, ServeOptions, ServeProcess, TestPage, UploadFile, await_dead_letter,
    expected_texts, node, png, python, quire, quire_with,
};

/// The default backoff between the attempts.
const SCHEDULE_SECS: [f64; 3] = [1.0, 5.0, 15.0];
/// The share by which a wait varies in both directions.
const JITTER: f64 = 0.2;
/// The additional delay of an attempt on a busy machine.
const SLACK_SECS: f64 = 4.0;

fn upload() -> [UploadFile; 1] {
    [UploadFile::new("note.png", png(&TestPage::new("Noted")))]
}

/// Asserts that the attempts follow the schedule and repeat the same callback.
pub(crate) fn assert_scheduled(callbacks: &[ReceivedCallback]) {
    for (pair, scheduled) in callbacks.windows(2).zip(SCHEDULE_SECS) {
        let waited = (pair[1].at - pair[0].at).as_secs_f64();
        let allowed = scheduled * (1.0 - JITTER)..=scheduled * (1.0 + JITTER) + SLACK_SECS;
        assert!(allowed.contains(&waited), "{waited:.1} s between two attempts, expected {allowed:?}");
        assert_eq!(pair[0].webhook_id(), pair[1].webhook_id());
        assert_eq!(pair[0].body, pair[1].body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_fails_twice_is_delivered_at_the_third_attempt() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let receiver = CallbackReceiver::responding([500, 503], 200).await;
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).dev()).await;
    let id = serve.api().submit(upload(), &receiver.url()).await.accepted_task_id();
    let retrying = serve.api().await_callback(&id, "retrying").await;
    assert_eq!(retrying["status"], "succeeded", "the callback does not change the task");
    let task = serve.api().await_callback(&id, "delivered").await;
    assert_eq!(task["callback"]["attempts"], 3, "{task:#}");
    let deliveries = receiver.callbacks();
    assert_eq!(deliveries.len(), 3);
    assert_scheduled(&deliveries);
    let log = serve.log();
    assert!(!log.contains("ofthecustomer") && !log.contains("Noted"), "queries and texts are not logged:\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_callback_becomes_a_dead_letter_that_can_be_redriven() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let receiver = CallbackReceiver::responding([], 503).await;
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).dev()).await;
    let id = serve.api().submit(upload(), &receiver.url()).await.accepted_task_id();
    let task = serve.api().await_callback(&id, "exhausted").await;
    assert_eq!(task["callback"]["attempts"], 4, "{task:#}");
    assert_eq!(task["status"], "succeeded");
    let deliveries = receiver.callbacks();
    assert_eq!(deliveries.len(), 4);
    assert_scheduled(&deliveries);

    let data = serve.data();
    let data = data.to_str().expect("the path is UTF-8");
    await_dead_letter("callbacks", &id, data).await;
    receiver.respond_with(204);
    quire(["dead-letters", "redrive", "callbacks", "--data", data]).await.expect_stdout();
    serve.api().await_callback(&id, "delivered").await;
    let deliveries = receiver.callbacks();
    assert_eq!(deliveries.len(), 5);
    assert_eq!(deliveries[4].webhook_id(), deliveries[0].webhook_id());
    let listed = quire(["dead-letters", "list", "callbacks", "--data", data]).await.expect_stdout();
    assert!(!listed.contains(&id), "the dead letter is removed: {listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permanent_rejection_is_not_retried() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let receiver = CallbackReceiver::responding([], 410).await;
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).dev()).await;
    let id = serve.api().submit(upload(), &receiver.url()).await.accepted_task_id();
    let task = serve.api().await_callback(&id, "exhausted").await;
    assert_eq!(task["callback"]["attempts"], 1, "{task:#}");
    assert!(task["callback"]["last_error"].as_str().is_some_and(|error| error.contains("410")), "{task:#}");
    // Longer than the first backoff, so that a retry would be seen.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(receiver.callbacks().len(), 1);
}

/// Verifies a callback with the Standard Webhooks libraries for Python and JavaScript, which must agree.
pub(crate) async fn is_verified(secret: &str, headers: &BTreeMap<String, String>, body: &str) -> bool {
    let input = json!({ "secret": secret, "headers": headers, "body": body }).to_string();
    let verified = tokio::task::spawn_blocking(move || {
        (python("receiver.py", &[], &input).as_bool(), node("receiver.js", &input).as_bool())
    });
    let (by_python, by_node) = verified.await.expect("the scripts do not panic");
    assert_eq!(by_python, by_node, "both libraries agree");
    by_python.expect("the script prints a boolean")
}

async fn deliver_one(launch: ServeOptions) -> (ServeProcess, ReceivedCallback) {
    let receiver = CallbackReceiver::start().await;
    let serve = ServeProcess::start(launch).await;
    serve.api().submit(upload(), &receiver.url()).await.accepted_task_id();
    let delivery = receiver.await_callbacks(1).await.remove(0);
    (serve, delivery)
}

#[tokio::test(flavor = "multi_thread")]
async fn third_party_libraries_verify_the_signature_with_the_printed_secret() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (serve, ReceivedCallback { headers, body, .. }) = deliver_one(ServeOptions::new(folder.path()).dev()).await;
    let data = serve.data();
    let printed = quire(["webhook-secret", "--data", data.to_str().expect("the path is UTF-8")]).await.expect_stdout();
    let secret = printed.trim();
    assert!(is_verified(secret, &headers, &body).await);
    assert!(!is_verified(secret, &headers, &body.replace("succeeded", "failed")).await, "a changed body");
    let mut other = headers.clone();
    other.insert("webhook-id".to_owned(), "msg_another".to_owned());
    assert!(!is_verified(secret, &other, &body).await, "a changed id");
}

#[tokio::test(flavor = "multi_thread")]
async fn third_party_libraries_verify_the_signature_with_a_configured_secret() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let secret = format!("whsec_{}", STANDARD.encode([7; 32]));
    let launch = ServeOptions::new(folder.path()).dev().variable("QUIRE_WEBHOOK_SECRET", &secret);
    let (_serve, ReceivedCallback { headers, body, .. }) = deliver_one(launch).await;
    assert!(is_verified(&secret, &headers, &body).await);
    let another = format!("whsec_{}", STANDARD.encode([8; 32]));
    assert!(!is_verified(&another, &headers, &body).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn during_a_rotation_the_old_and_the_new_secret_verify() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let receiver = CallbackReceiver::start().await;
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).dev()).await;
    let data = serve.data();
    let data = data.to_str().expect("the path is UTF-8");
    let old = quire(["webhook-secret", "--data", data]).await.expect_stdout();
    serve.api().submit(upload(), &receiver.url()).await.accepted_task_id();
    receiver.await_callbacks(1).await;
    let new = quire(["webhook-secret", "--rotate", "--data", data]).await.expect_stdout();
    serve.api().submit(upload(), &receiver.url()).await.accepted_task_id();
    let deliveries = receiver.await_callbacks(2).await;
    let before = &deliveries[0];
    let after = &deliveries[1];
    let old = old.trim();
    let new = new.trim();
    assert_ne!(old, new);
    assert!(is_verified(old, &after.headers, &after.body).await, "receivers may still use the old secret");
    assert!(is_verified(new, &after.headers, &after.body).await, "receivers may already use the new secret");
    assert!(is_verified(old, &before.headers, &before.body).await);
    assert!(
        !is_verified(new, &before.headers, &before.body).await,
        "earlier callbacks are not signed with the new secret"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_schedule_is_followed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let receiver = CallbackReceiver::responding([], 503).await;
    let launch = ServeOptions::new(folder.path()).dev().variable("QUIRE_CALLBACK_SCHEDULE", "2s");
    let serve = ServeProcess::start(launch).await;
    let id = serve.api().submit(upload(), &receiver.url()).await.accepted_task_id();
    let task = serve.api().await_callback(&id, "exhausted").await;
    assert_eq!(task["callback"]["attempts"], 2, "{task:#}");
    let deliveries = receiver.callbacks();
    let waited = deliveries[1].at - deliveries[0].at;
    assert!(waited.as_secs_f64() >= 2.0 * (1.0 - JITTER), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_schedule_refuses_to_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().to_str().expect("the path is UTF-8");
    let too_long = ["1s"; 12].join(",");
    let invalid =
        [("1s,soon", expected_texts::INVALID_SCHEDULE_ENTRY), (&*too_long, expected_texts::TOO_MANY_ATTEMPTS)];
    for (schedule, error) in invalid {
        let arguments = ["serve", "--workers", "0", "--listen", "127.0.0.1:0", "--data", data];
        let ended = quire_with(arguments, |command| {
            command.env("QUIRE_CALLBACK_SCHEDULE", schedule);
        });
        let ended = ended.await;
        assert!(ended.code.is_some_and(|code| code != 0) && ended.stderr.contains(error), "{ended:#?}");
    }
}
