//! Progress events.

use quire_platform::{OutgoingMessage, QueueName, enqueue_progress};
use quire_tasks::{AttemptResult, CallbackMessage, CallbackProgress, CallbackState, Task};
use serde_json::Value;

use crate::{BROKEN, OK, harness::NotifierHarness, receiver::ScriptedReceiver};

/// Requests progress events.
fn with_progress_events(mut task: Task) -> Task {
    task.callback.as_mut().expect("a callback").progress = Some(CallbackProgress::default());
    task
}

#[tokio::test(flavor = "multi_thread")]
async fn a_progress_event_is_sent_once_and_is_not_an_attempt() {
    let receiver = ScriptedReceiver::start([OK]).await;
    let test = NotifierHarness::open().await;
    let task = test.open_task(&receiver.url(), 3, with_progress_events).await;
    let first = test.read(&task, 1, "Hello").await;
    enqueue_progress(&test.backend, &first).await.expect("enqueued");
    test.deliver_next(&test.notifier()).await;
    let request = receiver.requests().remove(0);
    let payload: Value = serde_json::from_slice(&request.body).expect("JSON");
    assert_eq!((&payload["type"], &payload["status"]), (&"task.progress".into(), &"processing".into()));
    assert_eq!((&payload["progress"]["open"], &payload["percent"]), (&2.into(), &33.into()));
    assert!(request.header("webhook-id").ends_with("_1_1"), "it has its own id");
    let callback = test.task(task.id).await.callback.expect("a callback");
    assert_eq!((callback.state, callback.attempts), (CallbackState::Pending, 0));
    let log = test.log(task.id).await;
    assert_eq!((log.len(), log[0].event.as_str(), log[0].result), (1, "task.progress", AttemptResult::Delivered));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_progress_event_is_neither_retried_nor_dead_lettered() {
    let receiver = ScriptedReceiver::start([BROKEN]).await;
    let test = NotifierHarness::open().await;
    let task = test.open_task(&receiver.url(), 3, with_progress_events).await;
    let first = test.read(&task, 1, "Hello").await;
    enqueue_progress(&test.backend, &first).await.expect("enqueued");
    test.deliver_next(&test.notifier()).await;
    assert_eq!(receiver.requests().len(), 1);
    test.assert_idle().await;
    let log = test.log(task.id).await;
    assert_eq!((log[0].result, log[0].status), (AttemptResult::GivenUp, Some(500)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outdated_progress_event_is_dropped() {
    let receiver = ScriptedReceiver::start([OK]).await;
    let test = NotifierHarness::open().await;
    let notifier = test.notifier();
    let ended = test.open_task(&receiver.url(), 2, with_progress_events).await;
    let first = test.read(&ended, 1, "Hello").await;
    enqueue_progress(&test.backend, &first).await.expect("enqueued");
    test.read(&ended, 2, "Hello").await;
    test.deliver_next(&notifier).await;
    let open = test.open_task(&receiver.url(), 3, with_progress_events).await;
    test.read(&open, 1, "Hello").await;
    for (round, number) in [(2, 1), (1, 7), (1, 0)] {
        let message = CallbackMessage { progress: Some(number), ..CallbackMessage::for_round_end(open.id, round) };
        let outgoing = OutgoingMessage::new(&message, &open.tenant);
        test.backend.queue(QueueName::Callbacks).send(vec![outgoing]).await.expect("sent");
        test.deliver_next(&notifier).await;
    }
    assert_eq!(receiver.requests().len(), 0);
    test.assert_idle().await;
}
