//! Dead letters in an embedded backend: what becomes of them, of their tasks, and of a second chance.

mod gone;
mod review;
mod room;

use std::time::Duration;

use quire_dead_letter::{Kind, RedriveOutcome, Redriven, Selection, bury_all, redrive, show};
use quire_platform::{Consumer, Delivery, Error, OutgoingMessage, QueueName, Reopen};
use quire_tasks::{
    CallbackMessage, CallbackState, CallbackUpdate, DocumentMessage, DocumentState, FailureCode, Format, Job, Message,
    PageMessage, PageRef, PageStatus, ReadAs, Source, Split, Task, TaskId, TaskStatus,
};
use room::{PATIENCE, Room, URL, page};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_kills_whoever_reads_it_fails_and_its_task_still_ends() {
    let room = Room::open();
    let task = room.task(2).await;
    room.complete(page(&task, 1), 1).await;
    let running = room.start();
    room.die_of(QueueName::Pages).await;
    let callback = room.receive(QueueName::Callbacks).await;
    room.until_empty(QueueName::DeadPages).await;
    running.stop().await;

    assert_eq!(CallbackMessage::decode(&callback.body).ok(), Some(CallbackMessage::end_of(task.id, 1)));
    assert_eq!(room.current(&task).await.status(), TaskStatus::PartiallySucceeded);
    let failed = room.backend.tasks.page(page(&task, 2)).await.expect("a page");
    let failure = failed.failure.expect("a failure");
    assert_eq!((failed.status, failure.code), (PageStatus::Failed, FailureCode::AttemptsExhausted));
    assert_eq!(failure.message, "The page was taken up 2 times, and whoever read it died each time.");

    // The page that was read had a message too, which nobody acknowledged: it is no dead letter.
    let letters = room.list(Kind::Pages).await;
    assert_eq!(letters.len(), 1);
    let name = format!("{}-1-2-1", task.id);
    assert_eq!((&letters[0].name, letters[0].receives, letters[0].task_id), (&name, Some(2), Some(task.id)));
    assert_eq!(letters[0].reason, failure.message);
    assert_eq!(show(&room.backend, Kind::Pages, &name).await.expect("a letter"), letters[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn burying_twice_is_burying_once() {
    let room = Room::open();
    let task = room.buried_page().await;
    room.receive(QueueName::Callbacks).await;
    // Whoever buried it died before the acknowledgment.
    room.send(QueueName::DeadPages, [PageMessage::new(&task, page(&task, 1))]).await;
    let running = room.start();
    room.until_empty(QueueName::DeadPages).await;
    running.stop().await;
    assert_eq!(room.list(Kind::Pages).await.len(), 1);
    assert_eq!(room.current(&task).await.counts, task.counts);
    // The callback is owed again: perhaps that had not been done.
    room.receive(QueueName::Callbacks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_task_that_is_gone_is_dropped() {
    let room = Room::open();
    let gone = PageRef { task_id: TaskId::new(Uuid::now_v7()), document: 1, page: 1 };
    room.send(QueueName::DeadPages, [PageMessage { page: gone, round: 1, read_as: ReadAs::default(), redact: None }])
        .await;
    let running = room.start();
    room.until_empty(QueueName::DeadPages).await;
    running.stop().await;
    assert_eq!(room.list(Kind::Pages).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redriven_page_is_read_in_a_new_round_and_tells_again() {
    let room = Room::open();
    let task = room.buried_page().await;
    assert_eq!((task.status(), task.round), (TaskStatus::Failed, 1));
    assert_eq!(room.redrive(Kind::Pages).await, [RedriveOutcome::Sent]);
    assert_eq!(room.list(Kind::Pages).await, []);
    let opened = room.current(&task).await;
    assert_eq!((opened.status(), opened.round), (TaskStatus::Queued, 2));
    let sent = PageMessage::decode(&room.receive(QueueName::Pages).await.body).expect("a message");
    assert_eq!(sent, PageMessage { page: page(&task, 1), round: 2, read_as: ReadAs::default(), redact: None });
    let ended = room.complete(sent.page, sent.round).await;
    assert_eq!(ended.status(), TaskStatus::Succeeded);
    assert!(ended.owes_callback());
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_one_task_are_opened_in_one_round() {
    let room = Room::open();
    let task = room.task(3).await;
    room.die_of(QueueName::Pages).await;
    let running = room.start();
    room.until_empty(QueueName::DeadPages).await;
    running.stop().await;
    assert_eq!(room.redrive(Kind::Pages).await, [RedriveOutcome::Sent; 3]);
    assert_eq!(room.current(&task).await.round, 2);
    let sent = room.backend.queue(QueueName::Pages).receive(10, PATIENCE).await.expect("received");
    let rounds: Vec<u32> = sent.iter().filter_map(|m| PageMessage::decode(&m.body).ok()).map(|m| m.round).collect();
    assert_eq!(rounds, [2, 2, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_that_was_interrupted_before_it_sent_anything_can_be_repeated() {
    let room = Room::open();
    let task = room.buried_page().await;
    room.backend.tasks.reopen(task.id, Reopen::Pages(vec![page(&task, 1)])).await.expect("reopened");
    assert!(room.is_empty(QueueName::Pages).await);
    assert_eq!(room.redrive(Kind::Pages).await, [RedriveOutcome::Sent]);
    assert_eq!(room.current(&task).await.round, 2);
    let sent = PageMessage::decode(&room.receive(QueueName::Pages).await.body).expect("a message");
    assert_eq!(sent.round, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_was_canceled_since_is_not_sent_again() {
    let room = Room::open();
    let task = room.buried_page().await;
    room.backend.tasks.reopen(task.id, Reopen::Unread).await.expect("reopened");
    assert!(room.backend.tasks.cancel(task.id).await.expect("canceled").changed());
    assert_eq!(room.redrive(Kind::Pages).await, [RedriveOutcome::NotNeeded]);
    assert_eq!((room.current(&task).await.status(), room.list(Kind::Pages).await), (TaskStatus::Canceled, vec![]));
    assert!(room.is_empty(QueueName::Pages).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_document_of_an_earlier_round_does_not_fail_the_one_that_is_fetched_once_more() {
    let room = Room::open();
    let task = room.create([DocumentState::Pending { source: Source::Url { url: URL.to_owned() } }]).await;
    assert!(room.backend.tasks.cancel(task.id).await.expect("canceled").changed());
    room.backend.tasks.reopen(task.id, Reopen::Unread).await.expect("reopened");
    let message = DocumentMessage { task_id: task.id, document: 1, round: 1, job: Job::Split };
    room.send(QueueName::DeadDocuments, [message]).await;
    let running = room.start();
    room.until_empty(QueueName::DeadDocuments).await;
    running.stop().await;
    assert_eq!((room.current(&task).await.status(), room.list(Kind::Documents).await), (TaskStatus::Queued, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_an_open_task_has_to_wait_for_its_redrive() {
    let room = Room::open();
    let task = room.task(2).await;
    room.send(QueueName::DeadPages, [PageMessage::new(&task, page(&task, 1))]).await;
    let running = room.start();
    room.until_empty(QueueName::DeadPages).await;
    running.stop().await;
    assert!(matches!(room.redrive(Kind::Pages).await[..], [RedriveOutcome::Kept { .. }]));
    assert_eq!(room.list(Kind::Pages).await.len(), 1);
    room.complete(page(&task, 2), 1).await;
    assert_eq!(room.redrive(Kind::Pages).await, [RedriveOutcome::Sent]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_document_fails_with_its_reason_and_cannot_be_redriven() {
    let room = Room::open();
    let task = room.create([DocumentState::Pending { source: Source::Url { url: URL.to_owned() } }]).await;
    room.send(QueueName::Documents, [DocumentMessage { task_id: task.id, document: 1, round: 1, job: Job::Split }])
        .await;
    room.die_of(QueueName::Documents).await;
    let running = room.start();
    room.until_empty(QueueName::DeadDocuments).await;
    running.stop().await;
    let ended = room.current(&task).await;
    assert_eq!(ended.status(), TaskStatus::Failed);
    let state = &ended.documents[0].state;
    assert!(matches!(state, DocumentState::Failed(why) if why.code == FailureCode::AttemptsExhausted), "{state:?}");
    room.receive(QueueName::Callbacks).await;
    assert!(matches!(room.redrive(Kind::Documents).await[..], [RedriveOutcome::Kept { .. }]));
    let letters = room.list(Kind::Documents).await;
    assert_eq!(letters.len(), 1);
    assert!(letters[0].reason.contains("2 times"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_split_by_somebody_who_then_died_has_its_pages_sent() {
    let room = Room::open();
    let task = room.create([DocumentState::Pending { source: Source::Url { url: URL.to_owned() } }]).await;
    let split = DocumentState::Split(Split { format: Format::Pdf, pages: 2 });
    room.backend.tasks.finish_document(task.id, 1, split).await.expect("split");
    room.send(QueueName::DeadDocuments, [DocumentMessage { task_id: task.id, document: 1, round: 1, job: Job::Split }])
        .await;
    let running = room.start();
    room.until_empty(QueueName::DeadDocuments).await;
    running.stop().await;
    assert_eq!(room.list(Kind::Documents).await, []);
    let sent = room.backend.queue(QueueName::Pages).receive(10, PATIENCE).await.expect("received");
    let mut pages: Vec<_> = sent.iter().filter_map(|m| PageMessage::decode(&m.body).ok()).map(|m| m.page).collect();
    pages.sort_unstable();
    assert_eq!(pages, [page(&task, 1), page(&task, 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_given_up_is_filed_and_can_be_sent_again_under_its_old_name() {
    let room = Room::open();
    let task = room.buried_callback().await;
    assert_eq!(task.callback_state(), CallbackState::Exhausted);
    let letters = room.list(Kind::Callbacks).await;
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].reason.as_str(), letters[0].receives), ("it said no", Some(1)));

    assert_eq!(room.redrive(Kind::Callbacks).await, [RedriveOutcome::Sent]);
    assert_eq!(room.current(&task).await.callback_state(), CallbackState::Pending);
    assert_eq!(room.list(Kind::Callbacks).await, []);
    let sent = CallbackMessage::decode(&room.receive(QueueName::Callbacks).await.body).expect("a message");
    // The webhook-id is made of these two.
    assert_eq!((sent.task_id, sent.round), (task.id, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_delivered_after_all_is_no_dead_letter() {
    let room = Room::open();
    let task = room.buried_callback().await;
    room.backend.tasks.update_callback(task.id, 1, CallbackUpdate::Delivered).await.expect("noted");
    assert_eq!(room.redrive(Kind::Callbacks).await, [RedriveOutcome::NotNeeded]);
    assert!(room.is_empty(QueueName::Callbacks).await);

    room.send(QueueName::DeadCallbacks, [CallbackMessage::end_of(task.id, 1)]).await;
    let running = room.start();
    room.until_empty(QueueName::DeadCallbacks).await;
    running.stop().await;
    assert_eq!(room.list(Kind::Callbacks).await, []);
    assert_eq!(room.current(&task).await.callback_state(), CallbackState::Delivered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_nobody_can_read_is_filed_and_kept() {
    let room = Room::open();
    let nonsense = OutgoingMessage {
        body: "nonsense".to_owned(),
        group: "default".to_owned(),
        delay: Duration::ZERO,
        trace: None,
    };
    let queue = room.backend.queue(QueueName::DeadPages);
    queue.send(vec![nonsense.clone(), nonsense]).await.expect("sent");
    let running = room.start();
    room.until_empty(QueueName::DeadPages).await;
    running.stop().await;
    let letters = room.list(Kind::Pages).await;
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].body.as_str(), letters[0].task_id), ("nonsense", None));
    assert!(matches!(room.redrive(Kind::Pages).await[..], [RedriveOutcome::Kept { .. }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_named_letters_are_redriven_and_a_wrong_name_redrives_nothing() {
    let room = Room::open();
    let first = room.buried_page().await;
    let second = room.buried_page().await;
    let name = |task: &Task| format!("{}-1-1-1", task.id);
    for wrong in ["no-such-letter", "../../quire", ""] {
        let names = vec![name(&first), wrong.to_owned()];
        let ended = redrive(&room.backend, Kind::Pages, Selection::Named(names)).await;
        assert!(matches!(ended, Err(Error::NotFound { .. })), "{wrong}: {ended:?}");
    }
    let named = Selection::Named(vec![name(&first)]);
    let redriven = redrive(&room.backend, Kind::Pages, named).await.expect("redriven");
    assert_eq!(redriven, [Redriven { name: name(&first), outcome: RedriveOutcome::Sent }]);
    let left: Vec<String> = room.list(Kind::Pages).await.into_iter().map(|letter| letter.name).collect();
    assert_eq!(left, [name(&second)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_delivery_can_be_buried_on_its_own() {
    let room = Room::open();
    let task = room.task(1).await;
    room.send(QueueName::DeadPages, [PageMessage::new(&task, page(&task, 1))]).await;
    let consumer: Consumer<PageMessage> = Consumer::new(room.backend.queue(QueueName::DeadPages), PATIENCE);
    let delivery: Delivery<_> =
        consumer.receive(1, PATIENCE).await.expect("received").pop().expect("a message").expect("a page message");
    quire_dead_letter::bury_page(room.backend.clone(), delivery).await.expect("buried");
    assert_eq!(room.current(&task).await.status(), TaskStatus::Failed);
    assert!(room.is_empty(QueueName::DeadPages).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_a_function_is_called_with_is_buried_side_by_side_and_what_nobody_can_read_too() {
    let room = Room::open();
    let tasks = [room.task(1).await, room.task(1).await];
    room.send(QueueName::DeadPages, tasks.iter().map(|task| PageMessage::new(task, page(task, 1)))).await;
    let queue = room.backend.queue(QueueName::DeadPages);
    let nonsense =
        OutgoingMessage { body: "nonsense".to_owned(), group: String::new(), delay: Duration::ZERO, trace: None };
    queue.send(vec![nonsense]).await.expect("sent");
    let consumer = Consumer::<PageMessage>::new(queue, PATIENCE);
    let mut received = Vec::new();
    while received.len() < 3 {
        received.extend(consumer.receive(10, PATIENCE).await.expect("received"));
    }
    bury_all(&room.backend, received, PATIENCE).await;
    assert!(room.is_empty(QueueName::DeadPages).await);
    assert_eq!(room.list(Kind::Pages).await.len(), 3);
    for task in &tasks {
        assert_eq!(room.current(task).await.status(), TaskStatus::Failed);
    }
}
