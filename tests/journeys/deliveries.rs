//! What a receiver was told: the log of it, and how it is told once more.

use serde_json::{Value, json};

use crate::{
    callbacks::is_verified,
    harness::{Api, Launch, Receiver, Serve, Sheet, Upload, eventually, png},
};

fn upload() -> [Upload; 1] {
    [Upload::new("note.png", png(&Sheet::new("Noted")))]
}

/// The attempts at a task's end, once there are so many.
async fn attempts(api: &Api, id: &str, count: usize) -> (String, Vec<Value>) {
    eventually(&format!("{count} attempts are in the log"), || async {
        let log = api.get(&format!("/task/{id}/deliveries")).await.body(200);
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
async fn each_attempt_is_in_the_log_and_a_resend_has_the_same_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::answering([503], 200).await;
    let serve = Serve::start(Launch::new(folder.path()).dev()).await;
    let api = serve.api();
    let id = api.submit(upload(), &receiver.url()).await.accepted();
    api.told(&id, "delivered").await;
    let (delivery, log) = attempts(&api, &id, 2).await;
    assert_eq!(endings(&log), ["retrying", "delivered"], "{log:#?}");
    assert_eq!((&log[0]["status"], &log[1]["status"]), (&json!(503), &json!(200)));
    assert!(log[0]["next_at"].is_string() && log[0]["error"].is_string() && log[1]["next_at"].is_null(), "{log:#?}");

    let resent = api.post_json(&format!("/deliveries/{delivery}/resend"), &Value::Null).await.body(202);
    assert_eq!(resent, json!({"task_id": id, "delivery_id": delivery}));
    let told = receiver.received(3).await;
    assert!(told.iter().all(|told| told.webhook_id() == delivery), "{told:#?}");
    assert_eq!(told[1].body, told[2].body);
    let (_, log) = attempts(&api, &id, 3).await;
    assert_eq!(endings(&log), ["retrying", "delivered", "delivered"], "{log:#?}");
    assert!(!serve.log().contains("ofthecustomer"), "queries stay out of the log:\n{}", serve.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_was_gone_is_tested_and_then_told_all_that_it_missed() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::answering([], 410).await;
    let serve = Serve::start(Launch::new(folder.path()).dev()).await;
    let api = serve.api();
    let mut missed = Vec::new();
    for _ in 0..2 {
        let id = api.submit(upload(), &receiver.url()).await.accepted();
        api.told(&id, "exhausted").await;
        missed.push(id);
    }
    let listed = api.get("/webhooks/endpoints").await.body(200);
    assert_eq!(listed["endpoints"][0]["state"], "disabled", "{listed:#}");
    assert!(!listed.to_string().contains("ofthecustomer"), "{listed:#}");

    let test = json!({ "url": receiver.url() });
    assert_eq!(api.post_json("/webhooks/test", &test).await.body(200)["status"], 410);
    receiver.answers(200);
    let tested = api.post_json("/webhooks/test", &test).await.body(200);
    assert_eq!(tested["delivered"], true, "{tested:#}");
    let event = receiver.deliveries().pop().expect("it has come");
    let secret = api.get("/webhooks/secret").await.body(200)["secret"].as_str().expect("a secret").to_owned();
    assert!(is_verified(&secret, &event.headers, &event.body).await);
    assert_eq!(api.get("/webhooks/endpoints").await.body(200)["endpoints"], json!([]));

    // Whoever tells has looked at the receiver a moment ago, and knows for a few seconds what it was like.
    eventually("all is sent again and taken", || async {
        api.post_json("/webhooks/recover", &json!({"since": "2020-01-01T00:00:00Z"})).await.body(200);
        for id in &missed {
            let task = api.get(&format!("/task/{id}?wait=0")).await.body(200);
            if task["callback"]["state"] != "delivered" {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                return None;
            }
        }
        Some(())
    })
    .await;
}
