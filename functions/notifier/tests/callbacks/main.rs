//! Callbacks from an embedded backend to a real receiver on loopback.

mod attempt_log;
mod endpoint_backoff;
mod harness;
mod isolation;
mod payloads;
mod progress;
mod receiver;

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use harness::NotifierHarness;
use quire_platform::{Consumer, OutgoingMessage, QueueDepth, QueueName, enqueue_callback};
use quire_tasks::{CallbackMessage, CallbackState, CallbackUpdate, TaskId, Tenant, WebhookId};
use receiver::{ScriptedReceiver, ScriptedResponse};
use uuid::Uuid;

const OK: ScriptedResponse = ScriptedResponse::Status(StatusCode::OK);
const BROKEN: ScriptedResponse = ScriptedResponse::Status(StatusCode::INTERNAL_SERVER_ERROR);

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_callback_is_retried_until_it_is_delivered() {
    let receiver = ScriptedReceiver::start([BROKEN, ScriptedResponse::Status(StatusCode::TOO_MANY_REQUESTS), OK]).await;
    let test = NotifierHarness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    let running = test.start();
    let delivered = test.until(task.id, CallbackState::Delivered).await;
    running.stop().await;
    let callback = delivered.callback.expect("a callback");
    assert_eq!((callback.attempts, callback.last_error), (3, None));
    let requests = receiver.requests();
    assert_eq!(requests.len(), 3);
    assert!(
        requests.iter().all(|request| request.header("webhook-id") == WebhookId::for_round_end(task.id, 1).to_string())
    );
    assert!(requests.iter().all(|again| again.body == requests[0].body));
    assert_eq!(test.depth(QueueName::Callbacks).await, QueueDepth::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_callback_is_dead_lettered_and_can_be_redriven() {
    let receiver = ScriptedReceiver::start([BROKEN, BROKEN, BROKEN, BROKEN, OK]).await;
    let test = NotifierHarness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    let running = test.start();
    let exhausted = test.until(task.id, CallbackState::Exhausted).await;
    let callback = exhausted.callback.expect("a callback");
    assert_eq!(callback.attempts, 4);
    assert_eq!(callback.last_error.as_deref(), Some("the endpoint responded with status 500"));
    let dead = test.receive(QueueName::DeadCallbacks).await;
    assert_eq!(dead.reason.as_deref(), Some("the endpoint responded with status 500"));

    let tasks = &test.backend.tasks;
    let pending = tasks.update_callback(task.id, 1, CallbackUpdate::Redrive).await.expect("updated").task().clone();
    enqueue_callback(&test.backend, &pending).await.expect("sent");
    test.until(task.id, CallbackState::Delivered).await;
    running.stop().await;
    let requests = receiver.requests();
    assert_eq!(requests.len(), 5);
    assert!(
        requests.iter().all(|request| request.header("webhook-id") == WebhookId::for_round_end(task.id, 1).to_string())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_callback_is_not_retried() {
    for status in [StatusCode::GONE, StatusCode::BAD_REQUEST] {
        let receiver = ScriptedReceiver::start([ScriptedResponse::Status(status)]).await;
        let test = NotifierHarness::open().await;
        let task = test.ended_task(&receiver.url()).await;
        test.deliver_next(&test.notifier()).await;
        assert_eq!(test.task(task.id).await.callback_state(), CallbackState::Exhausted);
        assert_eq!(test.depth(QueueName::Callbacks).await, QueueDepth::default());
        let reason = format!("the endpoint responded with status {}", status.as_u16());
        assert_eq!(test.receive(QueueName::DeadCallbacks).await.reason, Some(reason));
        assert_eq!(receiver.requests().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let elsewhere = ScriptedReceiver::start([OK]).await;
    let receiver = ScriptedReceiver::start([ScriptedResponse::Redirect(elsewhere.url())]).await;
    let test = NotifierHarness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    test.deliver_next(&test.notifier()).await;
    assert_eq!(test.task(task.id).await.callback_state(), CallbackState::Exhausted);
    assert_eq!((receiver.requests().len(), elsewhere.requests().len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_timeout_is_retried() {
    let receiver = ScriptedReceiver::start([ScriptedResponse::Delayed(Duration::from_mins(1))]).await;
    let test = NotifierHarness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    test.deliver_next(&test.notifier().with_response_timeout(Duration::from_millis(200))).await;
    let callback = test.task(task.id).await.callback.expect("a callback");
    assert_eq!((callback.state, callback.attempts), (CallbackState::Retrying, 1));
    let host = receiver.url().trim_start_matches("http://").trim_end_matches(receiver::PATH).to_owned();
    assert_eq!(callback.last_error, Some(format!("{host} took too long")));
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_delays_the_next_attempt() {
    let receiver = ScriptedReceiver::start([ScriptedResponse::RetryAfter(60)]).await;
    let test = NotifierHarness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    test.deliver_next(&test.notifier()).await;
    assert_eq!(test.task(task.id).await.callback_state(), CallbackState::Retrying);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(test.depth(QueueName::Callbacks).await, QueueDepth { ready: 0, in_flight: 0, delayed: 1 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivered_callback_is_not_sent_again() {
    let receiver = ScriptedReceiver::start([OK]).await;
    let test = NotifierHarness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    enqueue_callback(&test.backend, &task).await.expect("enqueued twice");
    let notifier = test.notifier();
    test.deliver_next(&notifier).await;
    test.deliver_next(&notifier).await;
    assert_eq!(receiver.requests().len(), 1);
    assert_eq!(test.depth(QueueName::Callbacks).await, QueueDepth::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_callback_whose_move_was_interrupted_is_dead_lettered() {
    let receiver = ScriptedReceiver::start([OK]).await;
    let test = NotifierHarness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    let exhausted = CallbackUpdate::Exhausted { error: "refused".to_owned() };
    test.backend.tasks.update_callback(task.id, 1, exhausted).await.expect("updated");
    test.deliver_next(&test.notifier()).await;
    assert_eq!(test.receive(QueueName::DeadCallbacks).await.reason.as_deref(), Some("refused"));
    assert_eq!(receiver.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_an_unknown_task_or_round_is_dropped() {
    let receiver = ScriptedReceiver::start([OK]).await;
    let test = NotifierHarness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    let notifier = test.notifier();
    test.deliver_next(&notifier).await;
    let gone = TaskId::new(Uuid::now_v7());
    for message in [CallbackMessage::for_round_end(gone, 1), CallbackMessage::for_round_end(task.id, 2)] {
        let outgoing = OutgoingMessage::new(&message, &Tenant::default());
        test.backend.queue(QueueName::Callbacks).send(vec![outgoing]).await.expect("sent");
        test.deliver_next(&notifier).await;
    }
    assert_eq!(receiver.requests().len(), 1);
    assert_eq!(test.depth(QueueName::Callbacks).await, QueueDepth::default());
    assert_eq!(test.depth(QueueName::DeadCallbacks).await, QueueDepth::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_refused_without_its_path_in_the_error() {
    let test = NotifierHarness::open().await;
    let task = test.ended_task("https://10.0.0.1/secret?token=secret").await;
    test.deliver_next(&test.notifier()).await;
    let callback = test.task(task.id).await.callback.expect("a callback");
    assert_eq!(callback.state, CallbackState::Exhausted);
    assert_eq!(callback.last_error.as_deref(), Some("10.0.0.1 is refused: a private address"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_message_is_dead_lettered() {
    let test = NotifierHarness::open().await;
    let nonsense = OutgoingMessage {
        body: "nonsense".to_owned(),
        group: "default".to_owned(),
        delay: Duration::ZERO,
        trace: None,
    };
    test.backend.queue(QueueName::Callbacks).send(vec![nonsense]).await.expect("sent");
    let running = test.start();
    let dead = test.receive(QueueName::DeadCallbacks).await;
    running.stop().await;
    assert_eq!(dead.body, "nonsense");
    assert!(dead.reason.is_some_and(|reason| reason.starts_with("malformed message")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_shutdown_finishes_deliveries_in_flight() {
    let receiver = ScriptedReceiver::start([ScriptedResponse::Delayed(Duration::from_millis(500))]).await;
    let test = NotifierHarness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    let running = test.start();
    receiver.wait_for_requests(1).await;
    running.stop().await;
    assert_eq!(test.task(task.id).await.callback_state(), CallbackState::Delivered);
    assert_eq!(test.depth(QueueName::Callbacks).await, QueueDepth::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_beyond_the_maximum_receive_count_is_an_error() {
    let test = NotifierHarness::open().await;
    let most = test.backend.queue(QueueName::Callbacks).settings().max_receives;
    let schedule = |attempts: u32| (1..attempts).map(|_| Duration::from_secs(1)).collect();
    assert!(test.notifier_by(schedule(most)).check_schedule().is_ok());
    let refused = test.notifier_by(schedule(most + 1)).run(tokio_util::sync::CancellationToken::new()).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("13 attempts")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_cancels_stuck_deliveries_and_makes_the_others() {
    let stuck = ScriptedReceiver::start([ScriptedResponse::Delayed(Duration::from_mins(1))]).await;
    let good = ScriptedReceiver::start([OK]).await;
    let test = NotifierHarness::open().await;
    let (first, second) = (test.ended_task(&stuck.url()).await, test.ended_task(&good.url()).await);
    let queue = test.backend.queue(QueueName::Callbacks);
    let nonsense =
        OutgoingMessage { body: "nonsense".to_owned(), group: String::new(), delay: Duration::ZERO, trace: None };
    queue.send(vec![nonsense]).await.expect("sent");
    let consumer = Consumer::new(queue, Duration::from_mins(1));
    let mut received = Vec::new();
    while received.len() < 3 {
        received.extend(consumer.receive(10, Duration::from_secs(10)).await.expect("received"));
    }
    Arc::new(test.notifier()).deliver_all(received, Duration::from_secs(2)).await;
    assert_eq!(test.task(second.id).await.callback_state(), CallbackState::Delivered);
    assert_eq!(test.task(first.id).await.callback_state(), CallbackState::Pending, "it is retried");
    assert_eq!(test.depth(QueueName::Callbacks).await.in_flight, 1);
    assert_eq!(test.depth(QueueName::DeadCallbacks).await.ready, 1, "the malformed message");
}
