//! What is told while a task goes on.

use quire_platform::{OutgoingMessage, QueueName, enqueue_progress};
use quire_tasks::{AttemptResult, CallbackMessage, CallbackProgress, CallbackState, Task};
use serde_json::Value;

use crate::{BROKEN, OK, harness::Harness, receiver::WebhookReceiver};

/// One whose customer wants to know.
fn watched(mut task: Task) -> Task {
    task.callback.as_mut().expect("a callback").progress = Some(CallbackProgress::default());
    task
}

#[tokio::test(flavor = "multi_thread")]
async fn how_far_a_task_is_is_told_once_and_is_no_attempt_at_its_callback() {
    let receiver = WebhookReceiver::start([OK]).await;
    let test = Harness::open().await;
    let task = test.open_task(&receiver.url(), 3, watched).await;
    let first = test.read(&task, 1, "Hello").await;
    enqueue_progress(&test.backend, &first).await.expect("owed");
    test.deliver_next(&test.notifier()).await;
    let heard = receiver.heard().remove(0);
    let told: Value = serde_json::from_slice(&heard.body).expect("JSON");
    assert_eq!((&told["type"], &told["status"]), (&"task.progress".into(), &"processing".into()));
    assert_eq!((&told["progress"]["open"], &told["percent"]), (&2.into(), &33.into()));
    assert!(heard.header("webhook-id").ends_with("_1_1"), "an id of its own");
    let callback = test.task(task.id).await.callback.expect("a callback");
    assert_eq!((callback.state, callback.attempts), (CallbackState::Pending, 0));
    let log = test.log(task.id).await;
    assert_eq!((log.len(), log[0].event.as_str(), log[0].result), (1, "task.progress", AttemptResult::Delivered));
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_that_is_not_taken_is_neither_told_again_nor_a_dead_letter() {
    let receiver = WebhookReceiver::start([BROKEN]).await;
    let test = Harness::open().await;
    let task = test.open_task(&receiver.url(), 3, watched).await;
    let first = test.read(&task, 1, "Hello").await;
    enqueue_progress(&test.backend, &first).await.expect("owed");
    test.deliver_next(&test.notifier()).await;
    assert_eq!(receiver.heard().len(), 1);
    test.is_idle().await;
    let log = test.log(task.id).await;
    assert_eq!((log[0].result, log[0].status), (AttemptResult::GivenUp, Some(500)));
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_not_told_of_a_task_that_has_ended_or_began_another_round_or_got_further() {
    let receiver = WebhookReceiver::start([OK]).await;
    let test = Harness::open().await;
    let notifier = test.notifier();
    let ended = test.open_task(&receiver.url(), 2, watched).await;
    let first = test.read(&ended, 1, "Hello").await;
    enqueue_progress(&test.backend, &first).await.expect("owed");
    test.read(&ended, 2, "Hello").await;
    test.deliver_next(&notifier).await;
    let open = test.open_task(&receiver.url(), 3, watched).await;
    test.read(&open, 1, "Hello").await;
    for (round, number) in [(2, 1), (1, 7), (1, 0)] {
        let message = CallbackMessage { progress: Some(number), ..CallbackMessage::for_round_end(open.id, round) };
        let outgoing = OutgoingMessage::new(&message, &open.tenant);
        test.backend.queue(QueueName::Callbacks).send(vec![outgoing]).await.expect("sent");
        test.deliver_next(&notifier).await;
    }
    assert_eq!(receiver.heard().len(), 0);
    test.is_idle().await;
}
