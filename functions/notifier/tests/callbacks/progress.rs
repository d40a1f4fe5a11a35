//! What is told while a task goes on.

use quire_platform::{OutgoingMessage, QueueName, enqueue_progress};
use quire_tasks::{AttemptEnding, CallbackMessage, CallbackState, Progress, Task};
use serde_json::Value;

use crate::{BROKEN, OK, receiver::Receiver, room::Room};

/// One whose customer wants to know.
fn watched(mut task: Task) -> Task {
    task.callback.as_mut().expect("a callback").progress = Some(Progress::default());
    task
}

#[tokio::test(flavor = "multi_thread")]
async fn how_far_a_task_is_is_told_once_and_is_no_attempt_at_its_callback() {
    let receiver = Receiver::start([OK]).await;
    let room = Room::open().await;
    let task = room.open_task(&receiver.url(), 3, watched).await;
    let first = room.read(&task, 1, "Hello").await;
    enqueue_progress(&room.backend, &first).await.expect("owed");
    room.deliver_next(&room.notifier()).await;
    let heard = receiver.heard().remove(0);
    let told: Value = serde_json::from_slice(&heard.body).expect("JSON");
    assert_eq!((&told["type"], &told["status"]), (&"task.progress".into(), &"processing".into()));
    assert_eq!((&told["progress"]["open"], &told["percent"]), (&2.into(), &33.into()));
    assert!(heard.header("webhook-id").ends_with("_1_1"), "an id of its own");
    let callback = room.task(task.id).await.callback.expect("a callback");
    assert_eq!((callback.state, callback.attempts), (CallbackState::Pending, 0));
    let log = room.log(task.id).await;
    assert_eq!((log.len(), log[0].event.as_str(), log[0].ending), (1, "task.progress", AttemptEnding::Delivered));
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_that_is_not_taken_is_neither_told_again_nor_a_dead_letter() {
    let receiver = Receiver::start([BROKEN]).await;
    let room = Room::open().await;
    let task = room.open_task(&receiver.url(), 3, watched).await;
    let first = room.read(&task, 1, "Hello").await;
    enqueue_progress(&room.backend, &first).await.expect("owed");
    room.deliver_next(&room.notifier()).await;
    assert_eq!(receiver.heard().len(), 1);
    room.is_idle().await;
    let log = room.log(task.id).await;
    assert_eq!((log[0].ending, log[0].status), (AttemptEnding::GivenUp, Some(500)));
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_not_told_of_a_task_that_has_ended_or_began_another_round_or_got_further() {
    let receiver = Receiver::start([OK]).await;
    let room = Room::open().await;
    let notifier = room.notifier();
    let ended = room.open_task(&receiver.url(), 2, watched).await;
    let first = room.read(&ended, 1, "Hello").await;
    enqueue_progress(&room.backend, &first).await.expect("owed");
    room.read(&ended, 2, "Hello").await;
    room.deliver_next(&notifier).await;
    let open = room.open_task(&receiver.url(), 3, watched).await;
    room.read(&open, 1, "Hello").await;
    for (round, number) in [(2, 1), (1, 7), (1, 0)] {
        let message = CallbackMessage { progress: Some(number), ..CallbackMessage::end_of(open.id, round) };
        let outgoing = OutgoingMessage::new(&message, &open.tenant);
        room.backend.queue(QueueName::Callbacks).send(vec![outgoing]).await.expect("sent");
        room.deliver_next(&notifier).await;
    }
    assert_eq!(receiver.heard().len(), 0);
    room.is_idle().await;
}
