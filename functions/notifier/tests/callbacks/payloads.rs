//! What is told, and how it is signed.

use axum::http::StatusCode;
use quire_callback::Secrets;
use quire_platform::enqueue_callback;
use quire_tasks::{CallbackPayload, CallbackState, CallbackUpdate, Task, Tenant, UnixMillis, WebhookId};
use quire_tenants::Signing;
use serde_json::{Value, json};

use crate::{
    OK,
    harness::{self, Harness, SECRET},
    receiver::{ScriptedResponse, WebhookReceiver},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_is_signed_at_the_moment_of_sending_and_tells_what_was_read() {
    let receiver = WebhookReceiver::start([OK]).await;
    let test = Harness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    test.deliver_next(&test.notifier()).await;
    let heard = receiver.heard().remove(0);
    let id = WebhookId::for_round_end(task.id, 1).to_string();
    let timestamp: i64 = heard.header("webhook-timestamp").parse().expect("seconds");
    assert!((0..=5).contains(&(harness::now_secs() - timestamp)));
    let secrets: Secrets = SECRET.parse().expect("a secret");
    assert_eq!(heard.header("webhook-signature"), quire_callback::sign(&secrets, &id, timestamp, &heard.body));
    assert_eq!(heard.header("content-type"), "application/json");
    let told: serde_json::Value = serde_json::from_slice(&heard.body).expect("JSON");
    assert_eq!(told["type"], "task.succeeded");
    assert_eq!(told["task_id"], task.id.to_string());
    let page = json!({
        "document": 1, "page": 1, "status": "succeeded", "text": "Hello\n世界", "confidence": 0.75,
        "engine": { "name": "test", "version": "1" },
    });
    assert_eq!(told["pages"], json!([page]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_page_is_told_as_an_update_of_its_own() {
    let receiver = WebhookReceiver::start([OK, OK]).await;
    let test = Harness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    let notifier = test.notifier();
    test.deliver_next(&notifier).await;
    let corrected = test.correct(&task, "Hello, 世界").await;
    test.deliver_next(&notifier).await;
    let heard = receiver.heard();
    assert_eq!(heard[1].header("webhook-id"), WebhookId::for_round_end(corrected.id, 2).to_string());
    let told: serde_json::Value = serde_json::from_slice(&heard[1].body).expect("JSON");
    assert_eq!((&told["type"], &told["status"]), (&"task.updated".into(), &"succeeded".into()));
    assert_eq!(told["pages"][0]["text"], "Hello, 世界");
    assert_eq!(test.task(task.id).await.callback_state(), CallbackState::Delivered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_without_text_still_says_who_read_each_page() {
    let receiver = WebhookReceiver::start([OK]).await;
    let test = Harness::open().await;
    let long = "x".repeat(quire_callback::MAX_TEXT_BYTES / 2 + 1);
    let task = test.ended_task_of(&receiver.url(), &[&long, &long, "short"]).await;
    test.deliver_next(&test.notifier()).await;
    let told: serde_json::Value = serde_json::from_slice(&receiver.heard()[0].body).expect("JSON");
    assert_eq!((&told["task_id"], &told["text_omitted"]), (&task.id.to_string().into(), &true.into()));
    let pages = told["pages"].as_array().expect("pages");
    assert_eq!(pages.len(), 3);
    assert!(pages.iter().all(|page| page.get("text").is_none() && page["engine"]["name"] == "test"), "{pages:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thin_callback_has_no_pages_and_says_where_the_result_is() {
    let receiver = WebhookReceiver::start([OK]).await;
    let test = Harness::open().await;
    let thin = |mut task: Task| {
        let callback = task.callback.as_mut().expect("a callback");
        (callback.payload, callback.base_url) = (CallbackPayload::Thin, "https://ocr.example.com".to_owned());
        task
    };
    let task = test.ended_as(&receiver.url(), &["Hello"], thin).await;
    test.deliver_next(&test.notifier()).await;
    let told: Value = serde_json::from_slice(&receiver.heard()[0].body).expect("JSON");
    assert_eq!((&told["type"], &told["avg_confidence"]), (&"task.succeeded".into(), &0.75.into()));
    assert_eq!(told["progress"]["succeeded"], 1);
    assert_eq!(told["result_url"], format!("https://ocr.example.com/task/{}/result", task.id));
    assert_eq!((told.get("pages"), told.get("documents")), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_was_canceled_is_told_as_that_with_what_was_read_before() {
    let receiver = WebhookReceiver::start([OK]).await;
    let test = Harness::open().await;
    let task = test.open_task(&receiver.url(), 2, |task| task).await;
    test.read(&task, 1, "Hello").await;
    let canceled = test.backend.tasks.cancel(task.id).await.expect("canceled").task().clone();
    enqueue_callback(&test.backend, &canceled).await.expect("owed");
    test.deliver_next(&test.notifier()).await;
    let told: Value = serde_json::from_slice(&receiver.heard()[0].body).expect("JSON");
    assert_eq!((&told["type"], &told["status"]), (&"task.canceled".into(), &"canceled".into()));
    assert_eq!((&told["pages"][0]["text"], &told["pages"][1]["status"]), (&"Hello".into(), &"canceled".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_task_that_has_expired_or_was_deleted_nobody_is_told() {
    let receiver = WebhookReceiver::start([OK]).await;
    let test = Harness::open().await;
    let notifier = test.notifier();
    let expired = test.ended_task(&receiver.url()).await;
    test.backend.tasks.expire(expired.id, UnixMillis(1)).await.expect("expired");
    test.deliver_next(&notifier).await;
    let deleted = test.ended_task(&receiver.url()).await;
    test.backend.tasks.remove(deleted.id).await.expect("removed");
    test.deliver_next(&notifier).await;
    assert_eq!(receiver.heard().len(), 0);
    test.is_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tenant_has_secrets_of_its_own_and_both_sign_while_one_is_replaced() {
    let receiver = WebhookReceiver::start([OK]).await;
    let test = Harness::open().await;
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
    let heard = receiver.heard().remove(0);
    let signed = |secrets: &Secrets| {
        let timestamp = heard.header("webhook-timestamp").parse().expect("seconds");
        quire_callback::sign(secrets, &WebhookId::for_round_end(task.id, 1).to_string(), timestamp, &heard.body)
    };
    let signatures = heard.header("webhook-signature");
    let expected = format!("{} {}", signed(&Secrets::one(rotated.secret)), signed(&before));
    assert_eq!(signatures, expected);
    assert!(!signatures.contains(&signed(&SECRET.parse().expect("a secret"))), "that is another tenant's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_is_asked_for_again_has_the_whole_schedule_before_it() {
    let broken = ScriptedResponse::Status(StatusCode::INTERNAL_SERVER_ERROR);
    let receiver = WebhookReceiver::start([OK, broken, OK]).await;
    let test = Harness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    let notifier = test.notifier();
    test.deliver_next(&notifier).await;
    let resent = test.backend.tasks.update_callback(task.id, 1, CallbackUpdate::Resend).await.expect("noted");
    enqueue_callback(&test.backend, resent.task()).await.expect("owed");
    test.deliver_next(&notifier).await;
    assert_eq!(test.task(task.id).await.callback_state(), CallbackState::Retrying);
    test.deliver_next(&notifier).await;
    let attempts: Vec<u32> = test.log(task.id).await.iter().map(|attempt| attempt.attempt).collect();
    assert_eq!(attempts, [1, 1, 2]);
    let heard = receiver.heard();
    assert!(heard.iter().all(|again| again.header("webhook-id") == heard[0].header("webhook-id")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_made_when_there_is_none_and_stays_the_same() {
    let test = Harness::open().await;
    let (tenant, now) = (Tenant::default(), UnixMillis(0));
    let first = Signing::new(&test.backend, None).await.expect("made").secrets(&test.backend, &tenant, now).await;
    let again = Signing::new(&test.backend, None).await.expect("kept").secrets(&test.backend, &tenant, now).await;
    assert_eq!(first.expect("secrets"), again.expect("secrets"));
}
