//! Callbacks: when they come, how often, and whether they are ours.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::harness::{
    Delivery, Launch, Receiver, Serve, Sheet, Upload, dead_letter, node, png, python, quire, quire_with,
};

/// The waits between the attempts, and by which share they vary.
const SCHEDULE_SECS: [f64; 3] = [1.0, 5.0, 15.0];
const JITTER: f64 = 0.2;
/// How much later than that an attempt may come on a busy machine.
const SLACK_SECS: f64 = 4.0;

fn upload() -> [Upload; 1] {
    [Upload::new("note.png", png(&Sheet::new("Noted")))]
}

/// The attempts came as the schedule says, each as the same callback.
pub(crate) fn assert_scheduled(deliveries: &[Delivery]) {
    for (pair, scheduled) in deliveries.windows(2).zip(SCHEDULE_SECS) {
        let waited = (pair[1].at - pair[0].at).as_secs_f64();
        let allowed = scheduled * (1.0 - JITTER)..=scheduled * (1.0 + JITTER) + SLACK_SECS;
        assert!(allowed.contains(&waited), "{waited:.1} s between two attempts, expected {allowed:?}");
        assert_eq!(pair[0].webhook_id(), pair[1].webhook_id());
        assert_eq!(pair[0].body, pair[1].body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_twice_is_told_a_third_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::answering([500, 503], 200).await;
    let serve = Serve::start(Launch::new(folder.path()).dev()).await;
    let id = serve.api().submit(upload(), &receiver.url()).await.accepted();
    let retrying = serve.api().told(&id, "retrying").await;
    assert_eq!(retrying["status"], "succeeded", "the callback does not change the task");
    let task = serve.api().told(&id, "delivered").await;
    assert_eq!(task["callback"]["attempts"], 3, "{task:#}");
    let deliveries = receiver.deliveries();
    assert_eq!(deliveries.len(), 3);
    assert_scheduled(&deliveries);
    let log = serve.log();
    assert!(!log.contains("ofthecustomer") && !log.contains("Noted"), "queries and texts stay out of the log:\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_accepts_makes_a_dead_letter_that_can_be_redriven() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::answering([], 503).await;
    let serve = Serve::start(Launch::new(folder.path()).dev()).await;
    let id = serve.api().submit(upload(), &receiver.url()).await.accepted();
    let task = serve.api().told(&id, "exhausted").await;
    assert_eq!(task["callback"]["attempts"], 4, "{task:#}");
    assert_eq!(task["status"], "succeeded");
    let deliveries = receiver.deliveries();
    assert_eq!(deliveries.len(), 4);
    assert_scheduled(&deliveries);

    let data = serve.data();
    let data = data.to_str().expect("a plain path");
    dead_letter("callbacks", &id, data).await;
    receiver.answers(204);
    quire(["dead-letters", "redrive", "callbacks", "--data", data]).await.printed();
    serve.api().told(&id, "delivered").await;
    let deliveries = receiver.deliveries();
    assert_eq!(deliveries.len(), 5);
    assert_eq!(deliveries[4].webhook_id(), deliveries[0].webhook_id());
    let listed = quire(["dead-letters", "list", "callbacks", "--data", data]).await.printed();
    assert!(!listed.contains(&id), "it lies there still: {listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_refuses_is_not_asked_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::answering([], 410).await;
    let serve = Serve::start(Launch::new(folder.path()).dev()).await;
    let id = serve.api().submit(upload(), &receiver.url()).await.accepted();
    let task = serve.api().told(&id, "exhausted").await;
    assert_eq!(task["callback"]["attempts"], 1, "{task:#}");
    assert!(task["callback"]["last_error"].as_str().is_some_and(|error| error.contains("410")), "{task:#}");
    // Longer than the first wait of the schedule: it stays at that.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(receiver.deliveries().len(), 1);
}

/// Whether the libraries of Standard Webhooks take it: the one for Python and the one for JavaScript.
pub(crate) async fn is_verified(secret: &str, headers: &BTreeMap<String, String>, body: &str) -> bool {
    let input = json!({ "secret": secret, "headers": headers, "body": body }).to_string();
    let verified = tokio::task::spawn_blocking(move || {
        (python("receiver.py", &[], &input).as_bool(), node("receiver.js", &input).as_bool())
    });
    let (by_python, by_node) = verified.await.expect("the scripts do their work");
    assert_eq!(by_python, by_node, "two libraries, one opinion");
    by_python.expect("it prints a bool")
}

async fn delivered(launch: Launch) -> (Serve, Delivery) {
    let receiver = Receiver::start().await;
    let serve = Serve::start(launch).await;
    serve.api().submit(upload(), &receiver.url()).await.accepted();
    let delivery = receiver.received(1).await.remove(0);
    (serve, delivery)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_implementation_verifies_the_signature_by_the_printed_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let (serve, Delivery { headers, body, .. }) = delivered(Launch::new(folder.path()).dev()).await;
    let data = serve.data();
    let printed = quire(["webhook-secret", "--data", data.to_str().expect("a plain path")]).await.printed();
    let secret = printed.trim();
    assert!(is_verified(secret, &headers, &body).await);
    assert!(!is_verified(secret, &headers, &body.replace("succeeded", "failed")).await, "a changed body");
    let mut other = headers.clone();
    other.insert("webhook-id".to_owned(), "msg_another".to_owned());
    assert!(!is_verified(secret, &other, &body).await, "a changed id");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_implementation_verifies_the_signature_by_the_given_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = format!("whsec_{}", STANDARD.encode([7; 32]));
    let launch = Launch::new(folder.path()).dev().variable("QUIRE_WEBHOOK_SECRET", &secret);
    let (_serve, Delivery { headers, body, .. }) = delivered(launch).await;
    assert!(is_verified(&secret, &headers, &body).await);
    let another = format!("whsec_{}", STANDARD.encode([8; 32]));
    assert!(!is_verified(&another, &headers, &body).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_secret_is_replaced_receivers_verify_with_the_old_one_and_with_the_new_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::start().await;
    let serve = Serve::start(Launch::new(folder.path()).dev()).await;
    let data = serve.data();
    let data = data.to_str().expect("a plain path");
    let old = quire(["webhook-secret", "--data", data]).await.printed();
    serve.api().submit(upload(), &receiver.url()).await.accepted();
    receiver.received(1).await;
    let new = quire(["webhook-secret", "--rotate", "--data", data]).await.printed();
    serve.api().submit(upload(), &receiver.url()).await.accepted();
    let deliveries = receiver.received(2).await;
    let (before, after) = (&deliveries[0], &deliveries[1]);
    let (old, new) = (old.trim(), new.trim());
    assert_ne!(old, new);
    assert!(is_verified(old, &after.headers, &after.body).await, "who has not changed it yet");
    assert!(is_verified(new, &after.headers, &after.body).await, "who has changed it already");
    assert!(is_verified(old, &before.headers, &before.body).await);
    assert!(!is_verified(new, &before.headers, &before.body).await, "it was sent before there was a new one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_of_ones_own_is_kept_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::answering([], 503).await;
    let launch = Launch::new(folder.path()).dev().variable("QUIRE_CALLBACK_SCHEDULE", "2s");
    let serve = Serve::start(launch).await;
    let id = serve.api().submit(upload(), &receiver.url()).await.accepted();
    let task = serve.api().told(&id, "exhausted").await;
    assert_eq!(task["callback"]["attempts"], 2, "{task:#}");
    let deliveries = receiver.deliveries();
    let waited = deliveries[1].at - deliveries[0].at;
    assert!(waited.as_secs_f64() >= 2.0 * (1.0 - JITTER), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_cannot_be_kept_refuses_to_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("a plain path");
    let too_long = ["1s"; 12].join(",");
    for (schedule, complaint) in [("1s,soon", "is not a retry wait"), (&too_long, "13 attempts")] {
        let arguments = ["serve", "--workers", "0", "--listen", "127.0.0.1:0", "--data", data];
        let ended = quire_with(arguments, |command| {
            command.env("QUIRE_CALLBACK_SCHEDULE", schedule);
        });
        let ended = ended.await;
        assert!(ended.code.is_some_and(|code| code != 0) && ended.stderr.contains(complaint), "{ended:#?}");
    }
}
