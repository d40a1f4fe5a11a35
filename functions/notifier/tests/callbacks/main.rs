//! Callbacks to a real receiver on loopback, from an embedded backend.

mod attempt_log;
mod endpoint_backoff;
mod harness;
mod isolation;
mod payloads;
mod progress;
mod receiver;

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use harness::Harness;
use quire_platform::{Consumer, OutgoingMessage, QueueDepth, QueueName, enqueue_callback};
use quire_tasks::{CallbackMessage, CallbackState, CallbackUpdate, TaskId, Tenant, WebhookId};
use receiver::{ScriptedResponse, WebhookReceiver};
use uuid::Uuid;

const OK: ScriptedResponse = ScriptedResponse::Status(StatusCode::OK);
const BROKEN: ScriptedResponse = ScriptedResponse::Status(StatusCode::INTERNAL_SERVER_ERROR);

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_twice_is_told_until_it_accepts() {
    let receiver = WebhookReceiver::start([BROKEN, ScriptedResponse::Status(StatusCode::TOO_MANY_REQUESTS), OK]).await;
    let test = Harness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    let running = test.start();
    let told = test.until(task.id, CallbackState::Delivered).await;
    running.stop().await;
    let callback = told.callback.expect("a callback");
    assert_eq!((callback.attempts, callback.last_error), (3, None));
    let heard = receiver.heard();
    assert_eq!(heard.len(), 3);
    assert!(heard.iter().all(|heard| heard.header("webhook-id") == WebhookId::for_round_end(task.id, 1).to_string()));
    assert!(heard.iter().all(|again| again.body == heard[0].body));
    assert_eq!(test.depth(QueueName::Callbacks).await, QueueDepth::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_accepts_is_given_up_and_told_again_when_an_operator_wants() {
    let receiver = WebhookReceiver::start([BROKEN, BROKEN, BROKEN, BROKEN, OK]).await;
    let test = Harness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    let running = test.start();
    let given_up = test.until(task.id, CallbackState::Exhausted).await;
    let callback = given_up.callback.expect("a callback");
    assert_eq!(callback.attempts, 4);
    assert_eq!(callback.last_error.as_deref(), Some("the receiver answered with status 500"));
    let dead = test.receive(QueueName::DeadCallbacks).await;
    assert_eq!(dead.reason.as_deref(), Some("the receiver answered with status 500"));

    let tasks = &test.backend.tasks;
    let owed = tasks.update_callback(task.id, 1, CallbackUpdate::Redrive).await.expect("owed").task().clone();
    enqueue_callback(&test.backend, &owed).await.expect("sent");
    test.until(task.id, CallbackState::Delivered).await;
    running.stop().await;
    let heard = receiver.heard();
    assert_eq!(heard.len(), 5);
    assert!(heard.iter().all(|heard| heard.header("webhook-id") == WebhookId::for_round_end(task.id, 1).to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_says_no_is_not_asked_again() {
    for status in [StatusCode::GONE, StatusCode::BAD_REQUEST] {
        let receiver = WebhookReceiver::start([ScriptedResponse::Status(status)]).await;
        let test = Harness::open().await;
        let task = test.ended_task(&receiver.url()).await;
        test.deliver_next(&test.notifier()).await;
        assert_eq!(test.task(task.id).await.callback_state(), CallbackState::Exhausted);
        assert_eq!(test.depth(QueueName::Callbacks).await, QueueDepth::default());
        let reason = format!("the receiver answered with status {}", status.as_u16());
        assert_eq!(test.receive(QueueName::DeadCallbacks).await.reason, Some(reason));
        assert_eq!(receiver.heard().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_a_no() {
    let elsewhere = WebhookReceiver::start([OK]).await;
    let receiver = WebhookReceiver::start([ScriptedResponse::Redirect(elsewhere.url())]).await;
    let test = Harness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    test.deliver_next(&test.notifier()).await;
    assert_eq!(test.task(task.id).await.callback_state(), CallbackState::Exhausted);
    assert_eq!((receiver.heard().len(), elsewhere.heard().len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_receiver_hits_the_time_limit_and_is_told_again() {
    let receiver = WebhookReceiver::start([ScriptedResponse::Late(Duration::from_mins(1))]).await;
    let test = Harness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    test.deliver_next(&test.notifier().time_limit(Duration::from_millis(200))).await;
    let callback = test.task(task.id).await.callback.expect("a callback");
    assert_eq!((callback.state, callback.attempts), (CallbackState::Retrying, 1));
    let host = receiver.url().trim_start_matches("http://").trim_end_matches(receiver::PATH).to_owned();
    assert_eq!(callback.last_error, Some(format!("{host} took too long")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_asks_for_patience_gets_it() {
    let receiver = WebhookReceiver::start([ScriptedResponse::NotBefore(60)]).await;
    let test = Harness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    test.deliver_next(&test.notifier()).await;
    assert_eq!(test.task(task.id).await.callback_state(), CallbackState::Retrying);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(test.depth(QueueName::Callbacks).await, QueueDepth { ready: 0, in_flight: 0, delayed: 1 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_took_it_is_not_told_again() {
    let receiver = WebhookReceiver::start([OK]).await;
    let test = Harness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    enqueue_callback(&test.backend, &task).await.expect("owed twice");
    let notifier = test.notifier();
    test.deliver_next(&notifier).await;
    test.deliver_next(&notifier).await;
    assert_eq!(receiver.heard().len(), 1);
    assert_eq!(test.depth(QueueName::Callbacks).await, QueueDepth::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_given_up_by_somebody_who_was_then_interrupted_still_becomes_a_dead_letter() {
    let receiver = WebhookReceiver::start([OK]).await;
    let test = Harness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    let given_up = CallbackUpdate::Exhausted { error: "it said no".to_owned() };
    test.backend.tasks.update_callback(task.id, 1, given_up).await.expect("noted");
    test.deliver_next(&test.notifier()).await;
    assert_eq!(test.receive(QueueName::DeadCallbacks).await.reason.as_deref(), Some("it said no"));
    assert_eq!(receiver.heard().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_about_no_task_or_an_earlier_round_is_dropped() {
    let receiver = WebhookReceiver::start([OK]).await;
    let test = Harness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    let notifier = test.notifier();
    test.deliver_next(&notifier).await;
    let gone = TaskId::new(Uuid::now_v7());
    for message in [CallbackMessage::for_round_end(gone, 1), CallbackMessage::for_round_end(task.id, 2)] {
        let outgoing = OutgoingMessage::new(&message, &Tenant::default());
        test.backend.queue(QueueName::Callbacks).send(vec![outgoing]).await.expect("sent");
        test.deliver_next(&notifier).await;
    }
    assert_eq!(receiver.heard().len(), 1);
    assert_eq!(test.depth(QueueName::Callbacks).await, QueueDepth::default());
    assert_eq!(test.depth(QueueName::DeadCallbacks).await, QueueDepth::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_never_called_and_its_path_is_not_repeated() {
    let test = Harness::open().await;
    let task = test.ended_task("https://10.0.0.1/secret?token=secret").await;
    test.deliver_next(&test.notifier()).await;
    let callback = test.task(task.id).await.callback.expect("a callback");
    assert_eq!(callback.state, CallbackState::Exhausted);
    assert_eq!(callback.last_error.as_deref(), Some("10.0.0.1 is refused: a private address"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_nobody_can_read_becomes_a_dead_letter() {
    let test = Harness::open().await;
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
async fn what_is_in_hand_when_a_stop_is_asked_for_is_finished() {
    let receiver = WebhookReceiver::start([ScriptedResponse::Late(Duration::from_millis(500))]).await;
    let test = Harness::open().await;
    let task = test.ended_task(&receiver.url()).await;
    let running = test.start();
    receiver.until_heard(1).await;
    running.stop().await;
    assert_eq!(test.task(task.id).await.callback_state(), CallbackState::Delivered);
    assert_eq!(test.depth(QueueName::Callbacks).await, QueueDepth::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_the_queue_cannot_hold_refuses_to_start() {
    let test = Harness::open().await;
    let most = test.backend.queue(QueueName::Callbacks).settings().max_receives;
    let schedule = |attempts: u32| (1..attempts).map(|_| Duration::from_secs(1)).collect();
    assert!(test.notifier_by(schedule(most)).check_schedule().is_ok());
    let refused = test.notifier_by(schedule(most + 1)).run(tokio_util::sync::CancellationToken::new()).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("13 times")));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_deliveries_one_that_takes_too_long_is_broken_off_and_the_others_are_made() {
    let stuck = WebhookReceiver::start([ScriptedResponse::Late(Duration::from_mins(1))]).await;
    let good = WebhookReceiver::start([OK]).await;
    let test = Harness::open().await;
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
    assert_eq!(test.task(first.id).await.callback_state(), CallbackState::Pending, "it is told again");
    assert_eq!(test.depth(QueueName::Callbacks).await.in_flight, 1);
    assert_eq!(test.depth(QueueName::DeadCallbacks).await.ready, 1, "what nobody can read");
}
