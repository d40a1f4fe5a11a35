//! Failing, disabled and slow endpoints.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use quire_callback::{Endpoint, EndpointState};
use quire_notifier::Notifier;
use quire_platform::{Consumer, QueueDepth, QueueName};
use quire_tasks::{AttemptResult, CallbackState, Task, UnixMillis};

use crate::{
    BROKEN, OK,
    harness::{self, NotifierHarness, now_secs},
    receiver::{ScriptedReceiver, ScriptedResponse, unreachable_url},
};

const GONE: ScriptedResponse = ScriptedResponse::Status(StatusCode::GONE);

/// Returns an endpoint that has failed five times in a row and backs off for a number of seconds from now.
fn backing_off(url: &str, seconds: i64) -> Endpoint {
    let url = url.split('?').next().expect("split returns at least one part").to_owned();
    let until = UnixMillis((now_secs() + seconds) * 1000);
    Endpoint {
        id: "0123456789abcdef".to_owned(),
        url,
        state: EndpointState::Open { until },
        since: UnixMillis(0),
        failures: 5,
        last_error: Some("it was down".to_owned()),
    }
}

async fn callback_of(test: &NotifierHarness, task: &Task) -> (CallbackState, u32) {
    let callback = test.task(task.id).await.callback.expect("a callback");
    (callback.state, callback.attempts)
}

/// Fails five deliveries, which opens the endpoint's circuit breaker.
async fn fail_five_times(test: &NotifierHarness, notifier: &Notifier, url: &str) {
    for _ in 0..5 {
        test.ended_task(url).await;
        test.deliver_next(notifier).await;
    }
}

/// Returns a notifier that retries after hours only.
fn slow_notifier(test: &NotifierHarness) -> Notifier {
    test.notifier_by("1h,2h,3h".parse().expect("a schedule"))
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_to_a_failing_endpoint_wait_without_spending_attempts() {
    let test = NotifierHarness::open().await;
    let url = unreachable_url().await;
    let notifier = slow_notifier(&test);
    fail_five_times(&test, &notifier, &url).await;
    let endpoint = test.endpoint(&url).await.expect("the endpoint has a record");
    assert_eq!(endpoint.failures, 5);
    assert!(matches!(endpoint.state, EndpointState::Open { until } if until > UnixMillis(now_secs() * 1000)));
    assert!(endpoint.last_error.is_some_and(|error| error.contains("could not be reached")));
    assert!(!endpoint.url.contains("secret"), "{}", endpoint.url);
    let task = test.ended_task(&url).await;
    // Another notifier reads the same record.
    test.deliver_next(&slow_notifier(&test)).await;
    assert_eq!(callback_of(&test, &task).await, (CallbackState::Pending, 0));
    assert_eq!(test.log(task.id).await.len(), 0, "the receiver was not called");
    assert_eq!(test.depth(QueueName::Callbacks).await, QueueDepth { ready: 0, in_flight: 0, delayed: 6 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_in_between_resets_the_failure_count() {
    let mut answers = vec![BROKEN; 4];
    answers.push(OK);
    answers.extend(vec![BROKEN; 4]);
    answers.push(ScriptedResponse::Status(StatusCode::TOO_MANY_REQUESTS));
    let receiver = ScriptedReceiver::start(answers).await;
    let test = NotifierHarness::open().await;
    let url = receiver.url();
    let notifier = slow_notifier(&test);
    fail_five_times(&test, &notifier, &url).await;
    fail_five_times(&test, &notifier, &url).await;
    assert_eq!((receiver.requests().len(), test.endpoint(&url).await), (10, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_grace_period_waiting_spends_attempts() {
    let receiver = ScriptedReceiver::start([OK]).await;
    let test = NotifierHarness::open().await;
    test.put_endpoint(&receiver.url(), &backing_off(&receiver.url(), 600)).await;
    let task = test.ended_task(&receiver.url()).await;
    let running = harness::run(test.notifier().with_backoff_grace(Duration::ZERO));
    let exhausted = test.until(task.id, CallbackState::Exhausted).await;
    running.stop().await;
    let callback = exhausted.callback.expect("a callback");
    let expected = "the receiver keeps failing and its circuit breaker is open: it was down";
    assert_eq!((callback.attempts, callback.last_error.as_deref()), (4, Some(expected)));
    let log = test.log(task.id).await;
    assert_eq!(log.iter().map(|attempt| attempt.attempt).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(log.iter().all(|attempt| attempt.status.is_none()));
    assert_eq!(receiver.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_probe_finds_a_working_endpoint_and_deletes_its_record() {
    let receiver = ScriptedReceiver::start([ScriptedResponse::Delayed(Duration::from_millis(300))]).await;
    let test = NotifierHarness::open().await;
    let url = receiver.url();
    test.put_endpoint(&url, &backing_off(&url, -1)).await;
    let notifier = test.notifier();
    for _ in 0..4 {
        test.ended_task(&url).await;
    }
    let consumer = Consumer::new(test.backend.queue(QueueName::Callbacks), Duration::from_mins(1));
    let all = consumer.receive(4, Duration::from_secs(5)).await.expect("received");
    assert_eq!(all.len(), 4);
    Arc::new(notifier).deliver_all(all, Duration::from_secs(10)).await;
    assert_eq!(receiver.requests().len(), 1, "one probe for all");
    assert_eq!(test.depth(QueueName::Callbacks).await.delayed, 3);
    assert_eq!(test.endpoint(&url).await, None);
    test.deliver_next(&test.notifier()).await;
    assert_eq!(receiver.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_probe_doubles_the_backoff() {
    let test = NotifierHarness::open().await;
    let url = unreachable_url().await;
    test.put_endpoint(&url, &backing_off(&url, -1)).await;
    let task = test.ended_task(&url).await;
    test.deliver_next(&slow_notifier(&test)).await;
    assert_eq!(callback_of(&test, &task).await, (CallbackState::Retrying, 1));
    let endpoint = test.endpoint(&url).await.expect("the endpoint has a record");
    assert_eq!((endpoint.failures, endpoint.since), (6, UnixMillis(0)));
    let EndpointState::Open { until } = endpoint.state else { panic!("the state must be open") };
    assert!(until > UnixMillis((now_secs() + 15) * 1000), "twice the first backoff");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gone_endpoint_is_not_called_until_it_is_enabled() {
    let receiver = ScriptedReceiver::start([GONE, OK]).await;
    let test = NotifierHarness::open().await;
    let url = receiver.url();
    let notifier = test.notifier();
    let first = test.ended_task(&url).await;
    test.deliver_next(&notifier).await;
    assert_eq!(callback_of(&test, &first).await, (CallbackState::Exhausted, 1));
    assert_eq!(test.endpoint(&url).await.expect("a record").state, EndpointState::Disabled);
    let second = test.ended_task(&url).await;
    test.deliver_next(&notifier).await;
    let reason = "the receiver is disabled since it returned 410 Gone: the endpoint responded with status 410";
    assert_eq!(callback_of(&test, &second).await, (CallbackState::Exhausted, 1));
    assert_eq!(test.log(second.id).await[0].result, AttemptResult::GivenUp);
    assert_eq!(
        test.receive(QueueName::DeadCallbacks).await.reason.as_deref(),
        Some("the endpoint responded with status 410")
    );
    assert_eq!(test.receive(QueueName::DeadCallbacks).await.reason.as_deref(), Some(reason));
    assert_eq!(receiver.requests().len(), 1);

    test.enable(&url).await;
    let third = test.ended_task(&url).await;
    test.deliver_next(&test.notifier()).await;
    assert_eq!(callback_of(&test, &third).await, (CallbackState::Delivered, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_have_separate_endpoint_records() {
    let receiver = ScriptedReceiver::start([OK]).await;
    let test = NotifierHarness::open().await;
    let url = receiver.url();
    test.put_endpoint(&url, &Endpoint { state: EndpointState::Disabled, ..backing_off(&url, 0) }).await;
    let of_acme = |mut task: Task| {
        task.tenant = "acme".parse().expect("a tenant");
        task
    };
    let task = test.ended_as(&url, &["Hello"], of_acme).await;
    test.deliver_next(&test.notifier()).await;
    assert_eq!(callback_of(&test, &task).await, (CallbackState::Delivered, 1));
    let elsewhere = test.ended_task(&url.replace("/hook", "/another")).await;
    test.deliver_next(&test.notifier()).await;
    assert_eq!(test.log(elsewhere.id).await[0].status, Some(404), "another path is another endpoint");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_an_endpoint_does_not_restart_the_schedule() {
    let receiver = ScriptedReceiver::start([BROKEN]).await;
    let test = NotifierHarness::open().await;
    let url = receiver.url();
    let notifier = test.notifier();
    let task = test.ended_task(&url).await;
    test.deliver_next(&notifier).await;
    test.deliver_next(&notifier).await;
    // Opened by another notifier. A new one has no cached record.
    test.put_endpoint(&url, &backing_off(&url, 1)).await;
    test.deliver_next(&test.notifier()).await;
    assert_eq!(callback_of(&test, &task).await, (CallbackState::Retrying, 2));
    test.deliver_next(&test.notifier()).await;
    let log = test.log(task.id).await;
    assert_eq!(log.iter().map(|attempt| attempt.attempt).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_endpoint_gets_at_most_eight_concurrent_calls() {
    let receiver = ScriptedReceiver::start([ScriptedResponse::Delayed(Duration::from_millis(300))]).await;
    let test = NotifierHarness::open().await;
    let mut tasks = Vec::new();
    for _ in 0..24 {
        tasks.push(test.ended_task(&receiver.url()).await);
    }
    let running = test.start();
    let began = Instant::now();
    for task in &tasks {
        let delivered = test.until(task.id, CallbackState::Delivered).await;
        assert_eq!(delivered.callback.map(|callback| callback.attempts), Some(1));
    }
    running.stop().await;
    assert_eq!((receiver.requests().len(), receiver.max_concurrent()), (24, 8));
    assert!(began.elapsed() >= Duration::from_millis(900), "three rounds of 300 ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_address_does_not_count_as_a_failure() {
    let test = NotifierHarness::open().await;
    let url = "https://10.0.0.1/hook";
    fail_five_times(&test, &test.notifier(), url).await;
    assert_eq!(test.endpoint(url).await, None);
}
