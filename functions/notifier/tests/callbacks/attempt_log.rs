//! The delivery log.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::http::StatusCode;
use quire_notifier::Notifier;
use quire_platform::{Backend, Collection, Error, Record, RecordStore, Result, enqueue_callback, purge};
use quire_tasks::{AttemptResult, CallbackState, CallbackUpdate, UnixMillis, WebhookId};

use crate::{
    OK,
    harness::{NotifierHarness, egress, schedule},
    receiver::{ScriptedReceiver, ScriptedResponse},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_is_logged_with_its_response() {
    let full = ScriptedResponse::WithBody(StatusCode::SERVICE_UNAVAILABLE, format!("too busy{}", "!".repeat(5000)));
    let receiver = ScriptedReceiver::start([full, OK]).await;
    let test = NotifierHarness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    let notifier = test.notifier();
    test.deliver_next(&notifier).await;
    test.deliver_next(&notifier).await;
    let log = test.log(task.id).await;
    assert_eq!(log.len(), 2);
    assert!(log.iter().all(|attempt| attempt.webhook_id == WebhookId::for_round_end(task.id, 1)));
    let first = &log[0];
    let second = &log[1];
    assert_eq!((first.attempt, first.event.as_str(), first.status), (1, "task.succeeded", Some(503)));
    assert_eq!(
        (first.result, first.error.as_deref()),
        (AttemptResult::Retrying, Some("the endpoint responded with status 503"))
    );
    let response = first.response.as_deref().expect("a response");
    assert!(response.starts_with("too busy!") && response.len() == 1024, "{}", response.len());
    assert!(first.next_at.is_some_and(|next| next > first.at));
    assert_eq!((second.attempt, second.status, second.result), (2, Some(200), AttemptResult::Delivered));
    assert_eq!((second.error.as_ref(), second.response.as_ref(), second.next_at), (None, None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_without_a_response_has_an_error() {
    let test = NotifierHarness::open().await;
    let task = test.ended_task(&crate::receiver::unreachable_url().await).await;
    test.deliver_next(&test.notifier()).await;
    let log = test.log(task.id).await;
    assert_eq!((log[0].status, log[0].response.as_ref(), log[0].result), (None, None, AttemptResult::Retrying));
    let error = log[0].error.as_deref().expect("a reason");
    assert!(error.contains("could not be reached") && !error.contains("secret"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_delivery_log_of_a_task_is_bounded() {
    let receiver = ScriptedReceiver::start([OK]).await;
    let test = NotifierHarness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    let notifier = test.notifier();
    test.deliver_next(&notifier).await;
    for _ in 0..210 {
        let resent = test.backend.tasks.update_callback(task.id, 1, CallbackUpdate::Resend).await.expect("updated");
        enqueue_callback(&test.backend, resent.task()).await.expect("enqueued");
        test.deliver_next(&notifier).await;
    }
    let log = test.log(task.id).await;
    assert!((100..200).contains(&log.len()), "{}", log.len());
    assert!(log.is_sorted_by_key(|attempt| attempt.at));
    assert_eq!(test.task(task.id).await.callback.map(|callback| callback.attempts), Some(211));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_deleted_during_a_delivery_leaves_no_log() {
    let receiver = ScriptedReceiver::start([ScriptedResponse::Delayed(Duration::from_millis(300))]).await;
    let test = NotifierHarness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    let running = test.start();
    receiver.wait_for_requests(1).await;
    let gone = test.backend.tasks.expire(task.id, UnixMillis(1)).await.expect("expired").task().clone();
    purge(&test.backend, &gone).await.expect("purged");
    running.stop().await;
    assert_eq!(test.log(task.id).await.len(), 0);
}

/// A record store whose deliveries and endpoints are unavailable.
#[derive(Debug)]
struct UnavailableRecords(Arc<dyn RecordStore>);

fn check(on: Collection) -> Result<()> {
    let broken = matches!(on, Collection::Deliveries | Collection::Endpoints);
    if broken { Err(Error::Failed { what: "records", why: "simulated by the test".to_owned() }) } else { Ok(()) }
}

#[async_trait]
impl RecordStore for UnavailableRecords {
    async fn read(&self, on: Collection, key: &str) -> Result<Option<Record>> {
        check(on)?;
        self.0.read(on, key).await
    }

    async fn put(
        &self,
        on: Collection,
        key: &str,
        body: String,
        seen: Option<u64>,
        expires_at: Option<UnixMillis>,
    ) -> Result<bool> {
        check(on)?;
        self.0.put(on, key, body, seen, expires_at).await
    }

    async fn set(&self, on: Collection, key: &str, body: String, expires_at: Option<UnixMillis>) -> Result<()> {
        check(on)?;
        self.0.set(on, key, body, expires_at).await
    }

    async fn delete(&self, on: Collection, key: &str, seen: Option<u64>) -> Result<bool> {
        check(on)?;
        self.0.delete(on, key, seen).await
    }

    async fn list(&self, on: Collection, after: Option<&str>, limit: usize) -> Result<Vec<Record>> {
        self.0.list(on, after, limit).await
    }

    async fn list_partition(
        &self,
        on: Collection,
        test: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.0.list_partition(on, test, after, limit).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_log_does_not_cause_a_second_delivery() {
    let receiver = ScriptedReceiver::start([OK]).await;
    let test = NotifierHarness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    let records: Arc<dyn RecordStore> = Arc::new(UnavailableRecords(Arc::clone(&test.backend.records)));
    let mut backend: Backend = test.backend.clone();
    backend.records = records;
    test.deliver_next(&Notifier::new(backend, egress(), test.signing.clone(), schedule())).await;
    assert_eq!(test.task(task.id).await.callback_state(), CallbackState::Delivered);
    assert_eq!((receiver.requests().len(), test.log(task.id).await.len()), (1, 0));
    test.assert_idle().await;
}
