//! Endpoints that do not work, are gone, or are slow.

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
    harness::{self, Harness, now_secs},
    receiver::{ScriptedResponse, WebhookReceiver, dead},
};

const GONE: ScriptedResponse = ScriptedResponse::Status(StatusCode::GONE);

/// One that has failed five times in a row and is left alone until then, from now.
fn left_alone(url: &str, seconds: i64) -> Endpoint {
    let url = url.split('?').next().expect("it has a beginning").to_owned();
    let until = UnixMillis((now_secs() + seconds) * 1000);
    let (state, last_error) = (EndpointState::Open { until }, Some("it was down".to_owned()));
    Endpoint { id: "0123456789abcdef".to_owned(), url, state, since: UnixMillis(0), failures: 5, last_error }
}

async fn callback_of(test: &Harness, task: &Task) -> (CallbackState, u32) {
    let callback = test.task(task.id).await.callback.expect("a callback");
    (callback.state, callback.attempts)
}

/// Delivers five callbacks in vain, whose receivers are then left alone.
async fn wear_out(test: &Harness, notifier: &Notifier, url: &str) {
    for _ in 0..5 {
        test.ended_task(url).await;
        test.deliver_next(notifier).await;
    }
}

/// That wait for hours between two attempts: only what is sent is received.
fn patient(test: &Harness) -> Notifier {
    test.notifier_by("1h,2h,3h".parse().expect("a schedule"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_fails_five_times_in_a_row_is_left_alone_and_callbacks_wait_without_spending_attempts() {
    let test = Harness::open().await;
    let (url, notifier) = (dead().await, patient(&test));
    wear_out(&test, &notifier, &url).await;
    let endpoint = test.endpoint(&url).await.expect("something is wrong with it");
    assert_eq!(endpoint.failures, 5);
    assert!(matches!(endpoint.state, EndpointState::Open { until } if until > UnixMillis(now_secs() * 1000)));
    assert!(endpoint.last_error.is_some_and(|error| error.contains("could not be reached")));
    assert!(!endpoint.url.contains("secret"), "{}", endpoint.url);
    let task = test.ended_task(&url).await;
    // Another notifier reads what this one wrote.
    test.deliver_next(&patient(&test)).await;
    assert_eq!(callback_of(&test, &task).await, (CallbackState::Pending, 0));
    assert_eq!(test.log(task.id).await.len(), 0, "nobody was called");
    assert_eq!(test.depth(QueueName::Callbacks).await, QueueDepth { ready: 0, in_flight: 0, delayed: 6 });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_answers_in_between_is_not_left_alone() {
    let mut answers = vec![BROKEN; 4];
    answers.push(OK);
    answers.extend(vec![BROKEN; 4]);
    answers.push(ScriptedResponse::Status(StatusCode::TOO_MANY_REQUESTS));
    let receiver = WebhookReceiver::start(answers).await;
    let (test, url) = (Harness::open().await, receiver.url());
    let notifier = patient(&test);
    wear_out(&test, &notifier, &url).await;
    wear_out(&test, &notifier, &url).await;
    assert_eq!((receiver.heard().len(), test.endpoint(&url).await), (10, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_waited_too_long_for_an_endpoint_spends_attempts_and_is_given_up() {
    let receiver = WebhookReceiver::start([OK]).await;
    let test = Harness::open().await;
    test.put_endpoint(&receiver.url(), &left_alone(&receiver.url(), 600)).await;
    let task = test.ended_task(&receiver.url()).await;
    let running = harness::run(test.notifier().backoff_grace(Duration::ZERO));
    let exhausted = test.until(task.id, CallbackState::Exhausted).await;
    running.stop().await;
    let callback = exhausted.callback.expect("a callback");
    let expected = "the receiver is left alone for a while, since it does not work: it was down";
    assert_eq!((callback.attempts, callback.last_error.as_deref()), (4, Some(expected)));
    let log = test.log(task.id).await;
    assert_eq!(log.iter().map(|attempt| attempt.attempt).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(log.iter().all(|attempt| attempt.status.is_none()));
    assert_eq!(receiver.heard().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_back_is_found_out_by_one_call_and_forgotten() {
    let receiver = WebhookReceiver::start([ScriptedResponse::Late(Duration::from_millis(300))]).await;
    let test = Harness::open().await;
    let url = receiver.url();
    test.put_endpoint(&url, &left_alone(&url, -1)).await;
    let notifier = test.notifier();
    for _ in 0..4 {
        test.ended_task(&url).await;
    }
    let consumer = Consumer::new(test.backend.queue(QueueName::Callbacks), Duration::from_mins(1));
    let all = consumer.receive(4, Duration::from_secs(5)).await.expect("received");
    assert_eq!(all.len(), 4);
    Arc::new(notifier).deliver_all(all, Duration::from_secs(10)).await;
    assert_eq!(receiver.heard().len(), 1, "one finds out for all");
    assert_eq!(test.depth(QueueName::Callbacks).await.delayed, 3);
    assert_eq!(test.endpoint(&url).await, None);
    test.deliver_next(&test.notifier()).await;
    assert_eq!(receiver.heard().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_not_back_is_left_alone_for_longer() {
    let (test, url) = (Harness::open().await, dead().await);
    test.put_endpoint(&url, &left_alone(&url, -1)).await;
    let task = test.ended_task(&url).await;
    test.deliver_next(&patient(&test)).await;
    assert_eq!(callback_of(&test, &task).await, (CallbackState::Retrying, 1));
    let endpoint = test.endpoint(&url).await.expect("something is wrong with it");
    assert_eq!((endpoint.failures, endpoint.since), (6, UnixMillis(0)));
    let EndpointState::Open { until } = endpoint.state else { panic!("it is not gone") };
    assert!(until > UnixMillis((now_secs() + 15) * 1000), "twice as long as at first");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_gone_is_not_called_until_somebody_enables_it() {
    let receiver = WebhookReceiver::start([GONE, OK]).await;
    let (test, url) = (Harness::open().await, receiver.url());
    let notifier = test.notifier();
    let first = test.ended_task(&url).await;
    test.deliver_next(&notifier).await;
    assert_eq!(callback_of(&test, &first).await, (CallbackState::Exhausted, 1));
    assert_eq!(test.endpoint(&url).await.expect("a record").state, EndpointState::Disabled);
    let second = test.ended_task(&url).await;
    test.deliver_next(&notifier).await;
    let reason = "the receiver has said that it is gone: the receiver answered with status 410";
    assert_eq!(callback_of(&test, &second).await, (CallbackState::Exhausted, 1));
    assert_eq!(test.log(second.id).await[0].result, AttemptResult::GivenUp);
    assert_eq!(
        test.receive(QueueName::DeadCallbacks).await.reason.as_deref(),
        Some("the receiver answered with status 410")
    );
    assert_eq!(test.receive(QueueName::DeadCallbacks).await.reason.as_deref(), Some(reason));
    assert_eq!(receiver.heard().len(), 1);

    test.enable(&url).await;
    let third = test.ended_task(&url).await;
    test.deliver_next(&test.notifier()).await;
    assert_eq!(callback_of(&test, &third).await, (CallbackState::Delivered, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_one_tenants_endpoint_is_nothing_to_another() {
    let receiver = WebhookReceiver::start([OK]).await;
    let (test, url) = (Harness::open().await, receiver.url());
    test.put_endpoint(&url, &Endpoint { state: EndpointState::Disabled, ..left_alone(&url, 0) }).await;
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
async fn waiting_for_an_endpoint_does_not_begin_the_schedule_anew() {
    let receiver = WebhookReceiver::start([BROKEN]).await;
    let (test, url) = (Harness::open().await, receiver.url());
    let notifier = test.notifier();
    let task = test.ended_task(&url).await;
    test.deliver_next(&notifier).await;
    test.deliver_next(&notifier).await;
    // Opened by another notifier: ours sees it when it looks again.
    test.put_endpoint(&url, &left_alone(&url, 1)).await;
    test.deliver_next(&test.notifier()).await;
    assert_eq!(callback_of(&test, &task).await, (CallbackState::Retrying, 2));
    test.deliver_next(&test.notifier()).await;
    let log = test.log(task.id).await;
    assert_eq!(log.iter().map(|attempt| attempt.attempt).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_endpoint_is_called_eight_times_at_once_at_most_and_what_waits_spends_no_attempt() {
    let receiver = WebhookReceiver::start([ScriptedResponse::Late(Duration::from_millis(300))]).await;
    let test = Harness::open().await;
    let mut tasks = Vec::new();
    for _ in 0..24 {
        tasks.push(test.ended_task(&receiver.url()).await);
    }
    let (running, began) = (test.start(), Instant::now());
    for task in &tasks {
        let told = test.until(task.id, CallbackState::Delivered).await;
        assert_eq!(told.callback.map(|callback| callback.attempts), Some(1));
    }
    running.stop().await;
    assert_eq!((receiver.heard().len(), receiver.most_at_once()), (24, 8));
    assert!(began.elapsed() >= Duration::from_millis(900), "three rounds of 300 ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_refused_is_no_fault_of_an_endpoint() {
    let test = Harness::open().await;
    let url = "https://10.0.0.1/hook";
    wear_out(&test, &test.notifier(), url).await;
    assert_eq!(test.endpoint(url).await, None);
}
