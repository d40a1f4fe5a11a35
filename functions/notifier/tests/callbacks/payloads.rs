//! Payloads and signatures.

use axum::http::StatusCode;
use quire_callback::Secrets;
use quire_platform::enqueue_callback;
use quire_tasks::{CallbackPayload, CallbackState, CallbackUpdate, Task, Tenant, UnixMillis, WebhookId};
use quire_tenants::Signing;
use serde_json::{Value, json};

use crate::{
    OK,
    harness::{self, NotifierHarness, SECRET},
    receiver::{ScriptedReceiver, ScriptedResponse},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_is_signed_when_sent_and_contains_the_text() {
    let receiver = ScriptedReceiver::start([OK]).await;
    let test = NotifierHarness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    test.deliver_next(&test.notifier()).await;
    let request = receiver.requests().remove(0);
    let id = WebhookId::for_round_end(task.id, 1).to_string();
    let timestamp: i64 = request.header("webhook-timestamp").parse().expect("seconds");
    assert!((0..=5).contains(&(harness::now_secs() - timestamp)));
    let secrets: Secrets = SECRET.parse().expect("a secret");
    assert_eq!(request.header("webhook-signature"), quire_callback::sign(&secrets, &id, timestamp, &request.body));
    assert_eq!(request.header("content-type"), "application/json");
    let payload: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
    assert_eq!(payload["type"], "task.succeeded");
    assert_eq!(payload["task_id"], task.id.to_string());
    let page = json!({
        "document": 1, "page": 1, "status": "succeeded", "text": "Hello\n世界", "confidence": 0.75,
        "engine": { "name": "test", "version": "1" },
    });
    assert_eq!(payload["pages"], json!([page]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_sends_an_update_event() {
    let receiver = ScriptedReceiver::start([OK, OK]).await;
    let test = NotifierHarness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    let notifier = test.notifier();
    test.deliver_next(&notifier).await;
    let corrected = test.correct(&task, "Hello, 世界").await;
    test.deliver_next(&notifier).await;
    let requests = receiver.requests();
    assert_eq!(requests[1].header("webhook-id"), WebhookId::for_round_end(corrected.id, 2).to_string());
    let payload: serde_json::Value = serde_json::from_slice(&requests[1].body).expect("JSON");
    assert_eq!((&payload["type"], &payload["status"]), (&"task.updated".into(), &"succeeded".into()));
    assert_eq!(payload["pages"][0]["text"], "Hello, 世界");
    assert_eq!(test.task(task.id).await.callback_state(), CallbackState::Delivered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_without_text_still_names_the_engines() {
    let receiver = ScriptedReceiver::start([OK]).await;
    let test = NotifierHarness::open().await;
    let long = "x".repeat(quire_callback::MAX_TEXT_BYTES / 2 + 1);
    let task = test.ended_task_of(&receiver.url(), &[&long, &long, "short"]).await;
    test.deliver_next(&test.notifier()).await;
    let payload: serde_json::Value = serde_json::from_slice(&receiver.requests()[0].body).expect("JSON");
    assert_eq!((&payload["task_id"], &payload["text_omitted"]), (&task.id.to_string().into(), &true.into()));
    let pages = payload["pages"].as_array().expect("pages");
    assert_eq!(pages.len(), 3);
    assert!(pages.iter().all(|page| page.get("text").is_none() && page["engine"]["name"] == "test"), "{pages:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thin_callback_has_the_result_url_and_no_pages() {
    let receiver = ScriptedReceiver::start([OK]).await;
    let test = NotifierHarness::open().await;
    let thin = |mut task: Task| {
        let callback = task.callback.as_mut().expect("a callback");
        callback.payload = CallbackPayload::Thin;
        callback.base_url = "https://ocr.example.com".to_owned();
        task
    };
    let task = test.ended_as(&receiver.url(), &["Hello"], thin).await;
    test.deliver_next(&test.notifier()).await;
    let payload: Value = serde_json::from_slice(&receiver.requests()[0].body).expect("JSON");
    assert_eq!((&payload["type"], &payload["avg_confidence"]), (&"task.succeeded".into(), &0.75.into()));
    assert_eq!(payload["progress"]["succeeded"], 1);
    assert_eq!(payload["result_url"], format!("https://ocr.example.com/task/{}/result", task.id));
    assert_eq!((payload.get("pages"), payload.get("documents")), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canceled_task_s_callback_contains_the_pages_read_before() {
    let receiver = ScriptedReceiver::start([OK]).await;
    let test = NotifierHarness::open().await;
    let task = test.open_task(&receiver.url(), 2, |task| task).await;
    test.read(&task, 1, "Hello").await;
    let canceled = test.backend.tasks.cancel(task.id).await.expect("canceled").task().clone();
    enqueue_callback(&test.backend, &canceled).await.expect("enqueued");
    test.deliver_next(&test.notifier()).await;
    let payload: Value = serde_json::from_slice(&receiver.requests()[0].body).expect("JSON");
    assert_eq!((&payload["type"], &payload["status"]), (&"task.canceled".into(), &"canceled".into()));
    assert_eq!((&payload["pages"][0]["text"], &payload["pages"][1]["status"]), (&"Hello".into(), &"canceled".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_or_deleted_task_sends_no_callback() {
    let receiver = ScriptedReceiver::start([OK]).await;
    let test = NotifierHarness::open().await;
    let notifier = test.notifier();
    let expired = test.ended_task(&receiver.url()).await;
    test.backend.tasks.expire(expired.id, UnixMillis(1)).await.expect("expired");
    test.deliver_next(&notifier).await;
    let deleted = test.ended_task(&receiver.url()).await;
    test.backend.tasks.remove(deleted.id).await.expect("removed");
    test.deliver_next(&notifier).await;
    assert_eq!(receiver.requests().len(), 0);
    test.assert_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_have_separate_secrets_and_both_sign_during_a_rotation() {
    let receiver = ScriptedReceiver::start([OK]).await;
    let test = NotifierHarness::open().await;
    let acme: Tenant = "acme".parse().expect("a tenant");
    let of_acme = |mut task: Task| {
        task.tenant = "acme".parse().expect("a tenant");
        task
    };
    let now = UnixMillis(harness::now_secs() * 1000);
    let before = test.signing.secrets(&test.backend, &acme, now).await.expect("secrets");
    let rotated = test.signing.rotate(&test.backend, &acme, now).await.expect("rotated");
    let task = test.ended_as(&receiver.url(), &["Hello"], of_acme).await;
    test.deliver_next(&test.notifier()).await;
    let request = receiver.requests().remove(0);
    let signed = |secrets: &Secrets| {
        let timestamp = request.header("webhook-timestamp").parse().expect("seconds");
        quire_callback::sign(secrets, &WebhookId::for_round_end(task.id, 1).to_string(), timestamp, &request.body)
    };
    let signatures = request.header("webhook-signature");
    let expected = format!("{} {}", signed(&Secrets::one(rotated.secret)), signed(&before));
    assert_eq!(signatures, expected);
    assert!(!signatures.contains(&signed(&SECRET.parse().expect("a secret"))), "another tenant's secret does not sign");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resent_callback_restarts_the_schedule() {
    let broken = ScriptedResponse::Status(StatusCode::INTERNAL_SERVER_ERROR);
    let receiver = ScriptedReceiver::start([OK, broken, OK]).await;
    let test = NotifierHarness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    let notifier = test.notifier();
    test.deliver_next(&notifier).await;
    let resent = test.backend.tasks.update_callback(task.id, 1, CallbackUpdate::Resend).await.expect("updated");
    enqueue_callback(&test.backend, resent.task()).await.expect("enqueued");
    test.deliver_next(&notifier).await;
    assert_eq!(test.task(task.id).await.callback_state(), CallbackState::Retrying);
    test.deliver_next(&notifier).await;
    let attempts: Vec<u32> = test.log(task.id).await.iter().map(|attempt| attempt.attempt).collect();
    assert_eq!(attempts, [1, 1, 2]);
    let requests = receiver.requests();
    assert!(requests.iter().all(|again| again.header("webhook-id") == requests[0].header("webhook-id")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_created_once() {
    let test = NotifierHarness::open().await;
    let (tenant, now) = (Tenant::default(), UnixMillis(0));
    let first = Signing::new(&test.backend, None).await.expect("created").secrets(&test.backend, &tenant, now).await;
    let again = Signing::new(&test.backend, None).await.expect("loaded").secrets(&test.backend, &tenant, now).await;
    assert_eq!(first.expect("secrets"), again.expect("secrets"));
}
