//! Callbacks on AWS: retries by visibility timeout, the dead-letter queue, and redrive.

use std::time::Duration;

use crate::{
    callbacks::{assert_scheduled, is_verified},
    harness::{CallbackReceiver, TestPage, UploadFile, png},
};

use super::stack::EmulatedStack;

fn upload() -> [UploadFile; 1] {
    [UploadFile::new("note.png", png(&TestPage::new("Noted")))]
}

#[tokio::test(flavor = "multi_thread")]
async fn third_party_libraries_verify_the_signature_with_the_printed_secret() {
    let stack = EmulatedStack::shared().await;
    let receiver = CallbackReceiver::start().await;
    let id = stack.api().submit(upload(), &receiver.url()).await.accepted_task_id();
    let delivery = receiver.await_callbacks(1).await.remove(0);
    assert_eq!(delivery.task_id(), id);
    let secret = stack.quire(&["webhook-secret"]).await.expect_stdout();
    assert!(is_verified(secret.trim(), &delivery.headers, &delivery.body).await);
    let changed = delivery.body.replace("succeeded", "failed");
    assert!(!is_verified(secret.trim(), &delivery.headers, &changed).await, "a changed body");
    stack.api().await_callback(&id, "delivered").await;
    assert_eq!(receiver.callbacks().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_callback_becomes_a_dead_letter_that_can_be_redriven() {
    let stack = EmulatedStack::shared().await;
    let receiver = CallbackReceiver::responding([], 503).await;
    let id = stack.api().submit(upload(), &receiver.url()).await.accepted_task_id();
    let task = stack.api().await_callback(&id, "exhausted").await;
    assert_eq!(task["callback"]["attempts"], 4, "{task:#}");
    assert_eq!(task["status"], "succeeded", "the callback does not change the task");
    let deliveries = receiver.callbacks();
    assert_eq!(deliveries.len(), 4);
    assert_scheduled(&deliveries);

    let name = stack.await_dead_letter("callbacks", &id).await;
    let shown = stack.quire(&["dead-letters", "show", "callbacks", &name]).await.expect_stdout();
    assert!(shown.contains("503"), "the last error is shown: {shown}");
    receiver.respond_with(204);
    stack.quire(&["dead-letters", "redrive", "callbacks", &name]).await.expect_stdout();
    stack.api().await_callback(&id, "delivered").await;
    let deliveries = receiver.callbacks();
    assert_eq!(deliveries.len(), 5);
    assert_eq!(deliveries[4].webhook_id(), deliveries[0].webhook_id());
    let listed = stack.quire(&["dead-letters", "list", "callbacks"]).await.expect_stdout();
    assert!(!listed.contains(&id), "the dead letter is removed: {listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permanent_rejection_is_not_retried() {
    let stack = EmulatedStack::shared().await;
    let receiver = CallbackReceiver::responding([], 410).await;
    let id = stack.api().submit(upload(), &receiver.url()).await.accepted_task_id();
    let task = stack.api().await_callback(&id, "exhausted").await;
    assert_eq!(task["callback"]["attempts"], 1, "{task:#}");
    stack.await_dead_letter("callbacks", &id).await;
    // Longer than the first backoff, so that a retry would be seen.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(receiver.callbacks().len(), 1);
}
