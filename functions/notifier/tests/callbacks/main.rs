//! Callbacks to a real receiver on loopback, from an embedded home.

mod receiver;
mod room;

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use quire_callback::{Schedule, Secret, Secrets};
use quire_notifier::{Notifier, secrets};
use quire_platform::{Consumer, Depth, Outgoing, QueueName, SecretName, owe_callback};
use quire_tasks::{CallbackMessage, CallbackState, CallbackUpdate, TaskId, Tenant, WebhookId};
use receiver::{Answer, Receiver};
use room::{Room, SECRET, schedule};
use serde_json::json;
use uuid::Uuid;

const OK: Answer = Answer::Status(StatusCode::OK);
const BROKEN: Answer = Answer::Status(StatusCode::INTERNAL_SERVER_ERROR);

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_twice_is_told_until_it_accepts() {
    let receiver = Receiver::start([BROKEN, Answer::Status(StatusCode::TOO_MANY_REQUESTS), OK]).await;
    let room = Room::open();
    let task = room.ended_task(&receiver.url()).await;
    let running = room.start();
    let told = room.until(task.id, CallbackState::Delivered).await;
    running.stop().await;
    let callback = told.callback.expect("a callback");
    assert_eq!((callback.attempts, callback.last_error), (3, None));
    let heard = receiver.heard();
    assert_eq!(heard.len(), 3);
    assert!(heard.iter().all(|heard| heard.header("webhook-id") == WebhookId::end_of(task.id, 1).to_string()));
    assert!(heard.iter().all(|again| again.body == heard[0].body));
    assert_eq!(room.depth(QueueName::Callbacks).await, Depth::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_is_signed_at_the_moment_of_sending_and_tells_what_was_read() {
    let receiver = Receiver::start([OK]).await;
    let room = Room::open();
    let task = room.ended_task(&receiver.url()).await;
    room.deliver_next(&room.notifier()).await;
    let heard = receiver.heard().remove(0);
    let id = WebhookId::end_of(task.id, 1).to_string();
    let timestamp: i64 = heard.header("webhook-timestamp").parse().expect("seconds");
    assert!((0..=5).contains(&(room::now_secs() - timestamp)));
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
    let receiver = Receiver::start([OK, OK]).await;
    let room = Room::open();
    let task = room.ended_task(&receiver.url()).await;
    let notifier = room.notifier();
    room.deliver_next(&notifier).await;
    let corrected = room.correct(&task, "Hello, 世界").await;
    room.deliver_next(&notifier).await;
    let heard = receiver.heard();
    assert_eq!(heard[1].header("webhook-id"), WebhookId::end_of(corrected.id, 2).to_string());
    let told: serde_json::Value = serde_json::from_slice(&heard[1].body).expect("JSON");
    assert_eq!((&told["type"], &told["status"]), (&"task.updated".into(), &"succeeded".into()));
    assert_eq!(told["pages"][0]["text"], "Hello, 世界");
    assert_eq!(room.task(task.id).await.callback_state(), CallbackState::Delivered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_without_text_still_says_who_read_each_page() {
    let receiver = Receiver::start([OK]).await;
    let room = Room::open();
    let long = "x".repeat(quire_callback::MAX_TEXT_BYTES / 2 + 1);
    let task = room.ended_task_of(&receiver.url(), &[&long, &long, "short"]).await;
    room.deliver_next(&room.notifier()).await;
    let told: serde_json::Value = serde_json::from_slice(&receiver.heard()[0].body).expect("JSON");
    assert_eq!((&told["task_id"], &told["text_omitted"]), (&task.id.to_string().into(), &true.into()));
    let pages = told["pages"].as_array().expect("pages");
    assert_eq!(pages.len(), 3);
    assert!(pages.iter().all(|page| page.get("text").is_none() && page["engine"]["name"] == "test"), "{pages:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_accepts_is_given_up_and_told_again_when_an_operator_wants() {
    let receiver = Receiver::start([BROKEN, BROKEN, BROKEN, BROKEN, OK]).await;
    let room = Room::open();
    let task = room.ended_task(&receiver.url()).await;
    let running = room.start();
    let given_up = room.until(task.id, CallbackState::Exhausted).await;
    let callback = given_up.callback.expect("a callback");
    assert_eq!(callback.attempts, 4);
    assert_eq!(callback.last_error.as_deref(), Some("the receiver answered with status 500"));
    let dead = room.receive(QueueName::DeadCallbacks).await;
    assert_eq!(dead.reason.as_deref(), Some("the receiver answered with status 500"));

    let tasks = &room.home.tasks;
    let owed = tasks.update_callback(task.id, 1, CallbackUpdate::Owed).await.expect("owed").task().clone();
    owe_callback(&room.home, &owed).await.expect("sent");
    room.until(task.id, CallbackState::Delivered).await;
    running.stop().await;
    let heard = receiver.heard();
    assert_eq!(heard.len(), 5);
    assert!(heard.iter().all(|heard| heard.header("webhook-id") == WebhookId::end_of(task.id, 1).to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_says_no_is_not_asked_again() {
    for status in [StatusCode::GONE, StatusCode::BAD_REQUEST] {
        let receiver = Receiver::start([Answer::Status(status)]).await;
        let room = Room::open();
        let task = room.ended_task(&receiver.url()).await;
        room.deliver_next(&room.notifier()).await;
        assert_eq!(room.task(task.id).await.callback_state(), CallbackState::Exhausted);
        assert_eq!(room.depth(QueueName::Callbacks).await, Depth::default());
        let reason = format!("the receiver answered with status {}", status.as_u16());
        assert_eq!(room.receive(QueueName::DeadCallbacks).await.reason, Some(reason));
        assert_eq!(receiver.heard().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_a_no() {
    let elsewhere = Receiver::start([OK]).await;
    let receiver = Receiver::start([Answer::Redirect(elsewhere.url())]).await;
    let room = Room::open();
    let task = room.ended_task(&receiver.url()).await;
    room.deliver_next(&room.notifier()).await;
    assert_eq!(room.task(task.id).await.callback_state(), CallbackState::Exhausted);
    assert_eq!((receiver.heard().len(), elsewhere.heard().len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_receiver_hits_the_time_limit_and_is_told_again() {
    let receiver = Receiver::start([Answer::Late(Duration::from_mins(1))]).await;
    let room = Room::open();
    let task = room.ended_task(&receiver.url()).await;
    room.deliver_next(&room.notifier().time_limit(Duration::from_millis(200))).await;
    let callback = room.task(task.id).await.callback.expect("a callback");
    assert_eq!((callback.state, callback.attempts), (CallbackState::Retrying, 1));
    let host = receiver.url().trim_start_matches("http://").trim_end_matches(receiver::PATH).to_owned();
    assert_eq!(callback.last_error, Some(format!("{host} took too long")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_asks_for_patience_gets_it() {
    let receiver = Receiver::start([Answer::NotBefore(60)]).await;
    let room = Room::open();
    let task = room.ended_task(&receiver.url()).await;
    room.deliver_next(&room.notifier()).await;
    assert_eq!(room.task(task.id).await.callback_state(), CallbackState::Retrying);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(room.depth(QueueName::Callbacks).await, Depth { ready: 0, in_flight: 0, delayed: 1 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_took_it_is_not_told_again() {
    let receiver = Receiver::start([OK]).await;
    let room = Room::open();
    let task = room.ended_task(&receiver.url()).await;
    owe_callback(&room.home, &task).await.expect("owed twice");
    let notifier = room.notifier();
    room.deliver_next(&notifier).await;
    room.deliver_next(&notifier).await;
    assert_eq!(receiver.heard().len(), 1);
    assert_eq!(room.depth(QueueName::Callbacks).await, Depth::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_given_up_by_somebody_who_was_then_interrupted_still_becomes_a_dead_letter() {
    let receiver = Receiver::start([OK]).await;
    let room = Room::open();
    let task = room.ended_task(&receiver.url()).await;
    let given_up = CallbackUpdate::Exhausted { error: "it said no".to_owned() };
    room.home.tasks.update_callback(task.id, 1, given_up).await.expect("noted");
    room.deliver_next(&room.notifier()).await;
    assert_eq!(room.receive(QueueName::DeadCallbacks).await.reason.as_deref(), Some("it said no"));
    assert_eq!(receiver.heard().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_about_no_task_or_an_earlier_round_is_dropped() {
    let receiver = Receiver::start([OK]).await;
    let room = Room::open();
    let task = room.ended_task(&receiver.url()).await;
    let notifier = room.notifier();
    room.deliver_next(&notifier).await;
    let gone = TaskId::new(Uuid::now_v7());
    for message in [CallbackMessage::end_of(gone, 1), CallbackMessage::end_of(task.id, 2)] {
        let outgoing = Outgoing::new(&message, &Tenant::default());
        room.home.queue(QueueName::Callbacks).send(vec![outgoing]).await.expect("sent");
        room.deliver_next(&notifier).await;
    }
    assert_eq!(receiver.heard().len(), 1);
    assert_eq!(room.depth(QueueName::Callbacks).await, Depth::default());
    assert_eq!(room.depth(QueueName::DeadCallbacks).await, Depth::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_never_called_and_its_path_is_not_repeated() {
    let room = Room::open();
    let task = room.ended_task("https://10.0.0.1/secret?token=secret").await;
    room.deliver_next(&room.notifier()).await;
    let callback = room.task(task.id).await.callback.expect("a callback");
    assert_eq!(callback.state, CallbackState::Exhausted);
    assert_eq!(callback.last_error.as_deref(), Some("10.0.0.1 is refused: a private address"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_nobody_can_read_becomes_a_dead_letter() {
    let room = Room::open();
    let nonsense =
        Outgoing { body: "nonsense".to_owned(), group: "default".to_owned(), delay: Duration::ZERO, trace: None };
    room.home.queue(QueueName::Callbacks).send(vec![nonsense]).await.expect("sent");
    let running = room.start();
    let dead = room.receive(QueueName::DeadCallbacks).await;
    running.stop().await;
    assert_eq!(dead.body, "nonsense");
    assert!(dead.reason.is_some_and(|reason| reason.starts_with("malformed message")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_does_not_delay_the_others() {
    let silent = Receiver::start([Answer::Late(Duration::from_mins(1))]).await;
    let good = Receiver::start([OK]).await;
    let room = Room::open();
    let stuck = room.ended_task(&silent.url()).await;
    let running = room.start();
    silent.until_heard(1).await;
    for _ in 0..5 {
        let task = room.ended_task(&good.url()).await;
        room.until(task.id, CallbackState::Delivered).await;
    }
    assert_eq!(room.task(stuck.id).await.callback_state(), CallbackState::Pending);
    drop(running);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_hand_when_a_stop_is_asked_for_is_finished() {
    let receiver = Receiver::start([Answer::Late(Duration::from_millis(500))]).await;
    let room = Room::open();
    let task = room.ended_task(&receiver.url()).await;
    let running = room.start();
    receiver.until_heard(1).await;
    running.stop().await;
    assert_eq!(room.task(task.id).await.callback_state(), CallbackState::Delivered);
    assert_eq!(room.depth(QueueName::Callbacks).await, Depth::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_the_queue_cannot_hold_refuses_to_start() {
    let room = Room::open();
    let secrets = Secrets::one(Secret::generate([7; 32]));
    let too_long: Schedule = "1s,1s,1s,1s".parse().expect("a schedule");
    let notifier = Notifier::new(room.home.clone(), room::egress(), secrets, too_long);
    let refused = notifier.run(tokio_util::sync::CancellationToken::new()).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("5 times")));
    assert_eq!(schedule().attempts(), room.home.queue(QueueName::Callbacks).settings().max_receives);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_deliveries_one_that_takes_too_long_is_broken_off_and_the_others_are_made() {
    let stuck = Receiver::start([Answer::Late(Duration::from_mins(1))]).await;
    let good = Receiver::start([OK]).await;
    let room = Room::open();
    let (first, second) = (room.ended_task(&stuck.url()).await, room.ended_task(&good.url()).await);
    let queue = room.home.queue(QueueName::Callbacks);
    let nonsense = Outgoing { body: "nonsense".to_owned(), group: String::new(), delay: Duration::ZERO, trace: None };
    queue.send(vec![nonsense]).await.expect("sent");
    let consumer = Consumer::new(queue, Duration::from_mins(1));
    let mut received = Vec::new();
    while received.len() < 3 {
        received.extend(consumer.receive(10, Duration::from_secs(10)).await.expect("received"));
    }
    Arc::new(room.notifier()).deliver_all(received, Duration::from_secs(2)).await;
    assert_eq!(room.task(second.id).await.callback_state(), CallbackState::Delivered);
    assert_eq!(room.task(first.id).await.callback_state(), CallbackState::Pending, "it is told again");
    assert_eq!(room.depth(QueueName::Callbacks).await.in_flight, 1);
    assert_eq!(room.depth(QueueName::DeadCallbacks).await.ready, 1, "what nobody can read");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_that_signs_nothing_starts_and_with_one_it_does() {
    let room = Room::open();
    let refused = secrets(&room.home).await.expect_err("there is none");
    assert!(refused.to_string().contains("quire webhook-secret"), "{refused}");
    let kept = room.home.secrets.put_new(SecretName::Webhook, SECRET).await.expect("kept");
    assert_eq!(kept.trim(), SECRET);
    let secrets = secrets(&room.home).await.expect("a secret");
    let expected: Secrets = SECRET.parse().expect("a secret");
    assert_eq!(quire_callback::sign(&secrets, "id", 1, b"{}"), quire_callback::sign(&expected, "id", 1, b"{}"));
}
