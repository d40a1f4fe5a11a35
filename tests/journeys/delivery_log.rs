//! The delivery log, resending, and recovery of a disabled endpoint.

use serde_json::{Value, json};

use crate::{
    callbacks::is_verified,
    harness::{ApiClient, CallbackReceiver, ServeOptions, ServeProcess, TestPage, UploadFile, eventually, png},
};

fn upload() -> [UploadFile; 1] {
    [UploadFile::new("note.png", png(&TestPage::new("Noted")))]
}

/// Waits until the log of the task's only delivery has `count` attempts. Returns the delivery id and the attempts.
async fn await_attempts(api: &ApiClient, id: &str, count: usize) -> (String, Vec<Value>) {
    eventually(&format!("{count} attempts are logged"), || async {
        let log = api.get(&format!("/task/{id}/deliveries")).await.expect_status(200);
        let [delivery] = &log["deliveries"].as_array().expect("deliveries")[..] else { return None };
        let attempts = delivery["attempts"].as_array().expect("attempts").clone();
        let id = delivery["id"].as_str().expect("an id").to_owned();
        (attempts.len() >= count).then_some((id, attempts))
    })
    .await
}

fn endings(attempts: &[Value]) -> Vec<&str> {
    attempts.iter().map(|attempt| attempt["ending"].as_str().expect("an ending")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_logged_and_a_resend_keeps_the_webhook_id() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let receiver = CallbackReceiver::responding([503], 200).await;
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).dev()).await;
    let api = serve.api();
    let id = api.submit(upload(), &receiver.url()).await.accepted_task_id();
    api.await_callback(&id, "delivered").await;
    let (delivery, log) = await_attempts(&api, &id, 2).await;
    assert_eq!(endings(&log), ["retrying", "delivered"], "{log:#?}");
    assert_eq!((&log[0]["status"], &log[1]["status"]), (&json!(503), &json!(200)));
    assert!(log[0]["next_at"].is_string() && log[0]["error"].is_string() && log[1]["next_at"].is_null(), "{log:#?}");

    let resent = api.post_json(&format!("/deliveries/{delivery}/resend"), &Value::Null).await.expect_status(202);
    assert_eq!(resent, json!({"task_id": id, "delivery_id": delivery}));
    let callbacks = receiver.await_callbacks(3).await;
    assert!(callbacks.iter().all(|callback| callback.webhook_id() == delivery), "{callbacks:#?}");
    assert_eq!(callbacks[1].body, callbacks[2].body);
    let (_, log) = await_attempts(&api, &id, 3).await;
    assert_eq!(endings(&log), ["retrying", "delivered", "delivered"], "{log:#?}");
    assert!(!serve.log().contains("ofthecustomer"), "queries are not logged:\n{}", serve.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_endpoint_is_tested_and_gets_all_missed_callbacks() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let receiver = CallbackReceiver::responding([], 410).await;
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).dev()).await;
    let api = serve.api();
    let mut missed = Vec::new();
    for _ in 0..2 {
        let id = api.submit(upload(), &receiver.url()).await.accepted_task_id();
        api.await_callback(&id, "exhausted").await;
        missed.push(id);
    }
    let listed = api.get("/webhooks/endpoints").await.expect_status(200);
    assert_eq!(listed["endpoints"][0]["state"], "disabled", "{listed:#}");
    assert!(!listed.to_string().contains("ofthecustomer"), "{listed:#}");

    let test = json!({ "url": receiver.url() });
    assert_eq!(api.post_json("/webhooks/test", &test).await.expect_status(200)["status"], 410);
    receiver.respond_with(200);
    let tested = api.post_json("/webhooks/test", &test).await.expect_status(200);
    assert_eq!(tested["delivered"], true, "{tested:#}");
    let event = receiver.callbacks().pop().expect("the test event is received");
    let secret = api.get("/webhooks/secret").await.expect_status(200)["secret"].as_str().expect("a secret").to_owned();
    assert!(is_verified(&secret, &event.headers, &event.body).await);
    assert_eq!(api.get("/webhooks/endpoints").await.expect_status(200)["endpoints"], json!([]));

    // The notifier caches the state of an endpoint for a few seconds.
    eventually("all missed callbacks are delivered", || async {
        api.post_json("/webhooks/recover", &json!({"since": "2020-01-01T00:00:00Z"})).await.expect_status(200);
        for id in &missed {
            let task = api.get(&format!("/task/{id}?wait=0")).await.expect_status(200);
            if task["callback"]["state"] != "delivered" {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                return None;
            }
        }
        Some(())
    })
    .await;
}
