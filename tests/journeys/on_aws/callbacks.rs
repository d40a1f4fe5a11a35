//! Callbacks on AWS: retried by the queue, given up into its dead-letter queue, filed and sent again.

use std::time::Duration;

use crate::{
    callbacks::{assert_scheduled, is_verified},
    harness::{Receiver, Sheet, Upload, png},
};

use super::stack::Stack;

fn upload() -> [Upload; 1] {
    [Upload::new("note.png", png(&Sheet::new("Noted")))]
}

#[tokio::test(flavor = "multi_thread")]
async fn another_implementation_verifies_the_signature_by_the_printed_secret() {
    let stack = Stack::shared().await;
    let receiver = Receiver::start().await;
    let id = stack.api().submit(upload(), &receiver.url()).await.accepted();
    let delivery = receiver.received(1).await.remove(0);
    assert_eq!(delivery.task_id(), id);
    let secret = stack.quire(&["webhook-secret"]).await.printed();
    assert!(is_verified(secret.trim(), &delivery.headers, &delivery.body).await);
    let changed = delivery.body.replace("succeeded", "failed");
    assert!(!is_verified(secret.trim(), &delivery.headers, &changed).await, "a changed body");
    stack.api().told(&id, "delivered").await;
    assert_eq!(receiver.deliveries().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_accepts_makes_a_dead_letter_that_can_be_redriven() {
    let stack = Stack::shared().await;
    let receiver = Receiver::answering([], 503).await;
    let id = stack.api().submit(upload(), &receiver.url()).await.accepted();
    let task = stack.api().told(&id, "exhausted").await;
    assert_eq!(task["callback"]["attempts"], 4, "{task:#}");
    assert_eq!(task["status"], "succeeded", "the callback does not change the task");
    let deliveries = receiver.deliveries();
    assert_eq!(deliveries.len(), 4);
    assert_scheduled(&deliveries);

    let name = stack.dead_letter("callbacks", &id).await;
    let shown = stack.quire(&["dead-letters", "show", "callbacks", &name]).await.printed();
    assert!(shown.contains("503"), "it says why: {shown}");
    receiver.answers(204);
    stack.quire(&["dead-letters", "redrive", "callbacks", &name]).await.printed();
    stack.api().told(&id, "delivered").await;
    let deliveries = receiver.deliveries();
    assert_eq!(deliveries.len(), 5);
    assert_eq!(deliveries[4].webhook_id(), deliveries[0].webhook_id());
    let listed = stack.quire(&["dead-letters", "list", "callbacks"]).await.printed();
    assert!(!listed.contains(&id), "it lies there still: {listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_refuses_is_not_asked_again() {
    let stack = Stack::shared().await;
    let receiver = Receiver::answering([], 410).await;
    let id = stack.api().submit(upload(), &receiver.url()).await.accepted();
    let task = stack.api().told(&id, "exhausted").await;
    assert_eq!(task["callback"]["attempts"], 1, "{task:#}");
    stack.dead_letter("callbacks", &id).await;
    // Longer than the first wait of the schedule: it stays at that.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(receiver.deliveries().len(), 1);
}
