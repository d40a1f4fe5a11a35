//! Handling and redrive of dead letters in an embedded backend.

mod canceled_tasks;
mod harness;
mod review;

use std::time::Duration;

use harness::{DeadLetterHarness, TIMEOUT, URL, page};
use quire_dead_letter::{
    DeadLetterKind, DeadLetterSelection, RedriveOutcome, RedriveResult, handle_all, redrive, show_dead_letter,
};
use quire_platform::{Consumer, Delivery, Error, OutgoingMessage, QueueName, Reopen};
use quire_tasks::{
    CallbackMessage, CallbackState, CallbackUpdate, DocumentFormat, DocumentJob, DocumentMessage, DocumentSource,
    DocumentState, FailureCode, Message, PageMessage, PageRef, PageStatus, ReadAs, SplitDocument, Task, TaskId,
    TaskStatus,
};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_crashes_its_worker_fails_and_its_task_ends() {
    let test = DeadLetterHarness::open();
    let task = test.task(2).await;
    test.complete(page(&task, 1), 1).await;
    let running = test.start();
    test.use_up_attempts(QueueName::Pages).await;
    let callback = test.receive(QueueName::Callbacks).await;
    test.wait_until_empty(QueueName::DeadPages).await;
    running.stop().await;

    assert_eq!(CallbackMessage::decode(&callback.body).ok(), Some(CallbackMessage::for_round_end(task.id, 1)));
    assert_eq!(test.current(&task).await.status(), TaskStatus::PartiallySucceeded);
    let failed = test.backend.tasks.page(page(&task, 2)).await.expect("a page");
    let failure = failed.failure.expect("a failure");
    assert_eq!((failed.status, failure.code), (PageStatus::Failed, FailureCode::AttemptsExhausted));
    assert_eq!(
        failure.message,
        "The page failed 2 times: its worker crashed or exceeded the visibility timeout each time."
    );

    // The message of the page that was read was not acknowledged either, but it needs no dead letter.
    let dead_letters = test.list(DeadLetterKind::Pages).await;
    assert_eq!(dead_letters.len(), 1);
    let name = format!("{}-1-2-1", task.id);
    assert_eq!(
        (&dead_letters[0].name, dead_letters[0].receives, dead_letters[0].task_id),
        (&name, Some(2), Some(task.id))
    );
    assert_eq!(dead_letters[0].reason, failure.message);
    assert_eq!(
        show_dead_letter(&test.backend, DeadLetterKind::Pages, &name).await.expect("a dead letter"),
        dead_letters[0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn handling_a_dead_letter_is_idempotent() {
    let test = DeadLetterHarness::open();
    let task = test.task_with_dead_page().await;
    test.receive(QueueName::Callbacks).await;
    // A crash before the acknowledgment.
    test.send(QueueName::DeadPages, [PageMessage::new(&task, page(&task, 1))]).await;
    let running = test.start();
    test.wait_until_empty(QueueName::DeadPages).await;
    running.stop().await;
    assert_eq!(test.list(DeadLetterKind::Pages).await.len(), 1);
    assert_eq!(test.current(&task).await.counts, task.counts);
    // The callback is enqueued again, since the first handling may have crashed before it.
    test.receive(QueueName::Callbacks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_deleted_task_is_dropped() {
    let test = DeadLetterHarness::open();
    let gone = PageRef { task_id: TaskId::new(Uuid::now_v7()), document: 1, page: 1 };
    test.send(QueueName::DeadPages, [PageMessage { page: gone, round: 1, read_as: ReadAs::default(), redact: None }])
        .await;
    let running = test.start();
    test.wait_until_empty(QueueName::DeadPages).await;
    running.stop().await;
    assert_eq!(test.list(DeadLetterKind::Pages).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redriven_page_is_read_in_a_new_round_with_a_callback() {
    let test = DeadLetterHarness::open();
    let task = test.task_with_dead_page().await;
    assert_eq!((task.status(), task.round), (TaskStatus::Failed, 1));
    assert_eq!(test.redrive(DeadLetterKind::Pages).await, [RedriveOutcome::Sent]);
    assert_eq!(test.list(DeadLetterKind::Pages).await, []);
    let opened = test.current(&task).await;
    assert_eq!((opened.status(), opened.round), (TaskStatus::Queued, 2));
    let sent = PageMessage::decode(&test.receive(QueueName::Pages).await.body).expect("a message");
    assert_eq!(sent, PageMessage { page: page(&task, 1), round: 2, read_as: ReadAs::default(), redact: None });
    let ended = test.complete(sent.page, sent.round).await;
    assert_eq!(ended.status(), TaskStatus::Succeeded);
    assert!(ended.needs_callback());
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_one_task_are_reopened_in_one_round() {
    let test = DeadLetterHarness::open();
    let task = test.task(3).await;
    test.use_up_attempts(QueueName::Pages).await;
    let running = test.start();
    test.wait_until_empty(QueueName::DeadPages).await;
    running.stop().await;
    assert_eq!(test.redrive(DeadLetterKind::Pages).await, [RedriveOutcome::Sent; 3]);
    assert_eq!(test.current(&task).await.round, 2);
    let sent = test.backend.queue(QueueName::Pages).receive(10, TIMEOUT).await.expect("received");
    let rounds: Vec<u32> = sent.iter().filter_map(|m| PageMessage::decode(&m.body).ok()).map(|m| m.round).collect();
    assert_eq!(rounds, [2, 2, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_redrive_can_be_repeated() {
    let test = DeadLetterHarness::open();
    let task = test.task_with_dead_page().await;
    test.backend.tasks.reopen(task.id, Reopen::Pages(vec![page(&task, 1)])).await.expect("reopened");
    assert!(test.is_empty(QueueName::Pages).await);
    assert_eq!(test.redrive(DeadLetterKind::Pages).await, [RedriveOutcome::Sent]);
    assert_eq!(test.current(&task).await.round, 2);
    let sent = PageMessage::decode(&test.receive(QueueName::Pages).await.body).expect("a message");
    assert_eq!(sent.round, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_canceled_since_is_not_redriven() {
    let test = DeadLetterHarness::open();
    let task = test.task_with_dead_page().await;
    test.backend.tasks.reopen(task.id, Reopen::Unread).await.expect("reopened");
    assert!(test.backend.tasks.cancel(task.id).await.expect("canceled").changed());
    assert_eq!(test.redrive(DeadLetterKind::Pages).await, [RedriveOutcome::NotNeeded]);
    assert_eq!(
        (test.current(&task).await.status(), test.list(DeadLetterKind::Pages).await),
        (TaskStatus::Canceled, vec![])
    );
    assert!(test.is_empty(QueueName::Pages).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_document_of_an_earlier_round_is_dropped() {
    let test = DeadLetterHarness::open();
    let task = test.create([DocumentState::Pending { source: DocumentSource::Url { url: URL.to_owned() } }]).await;
    assert!(test.backend.tasks.cancel(task.id).await.expect("canceled").changed());
    test.backend.tasks.reopen(task.id, Reopen::Unread).await.expect("reopened");
    let message = DocumentMessage { task_id: task.id, document: 1, round: 1, job: DocumentJob::Split };
    test.send(QueueName::DeadDocuments, [message]).await;
    let running = test.start();
    test.wait_until_empty(QueueName::DeadDocuments).await;
    running.stop().await;
    assert_eq!(
        (test.current(&task).await.status(), test.list(DeadLetterKind::Documents).await),
        (TaskStatus::Queued, vec![])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_an_open_task_cannot_be_redriven() {
    let test = DeadLetterHarness::open();
    let task = test.task(2).await;
    test.send(QueueName::DeadPages, [PageMessage::new(&task, page(&task, 1))]).await;
    let running = test.start();
    test.wait_until_empty(QueueName::DeadPages).await;
    running.stop().await;
    assert!(matches!(test.redrive(DeadLetterKind::Pages).await[..], [RedriveOutcome::Kept { .. }]));
    assert_eq!(test.list(DeadLetterKind::Pages).await.len(), 1);
    test.complete(page(&task, 2), 1).await;
    assert_eq!(test.redrive(DeadLetterKind::Pages).await, [RedriveOutcome::Sent]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_document_fails_with_its_reason_and_cannot_be_redriven() {
    let test = DeadLetterHarness::open();
    let task = test.create([DocumentState::Pending { source: DocumentSource::Url { url: URL.to_owned() } }]).await;
    test.send(
        QueueName::Documents,
        [DocumentMessage { task_id: task.id, document: 1, round: 1, job: DocumentJob::Split }],
    )
    .await;
    test.use_up_attempts(QueueName::Documents).await;
    let running = test.start();
    test.wait_until_empty(QueueName::DeadDocuments).await;
    running.stop().await;
    let ended = test.current(&task).await;
    assert_eq!(ended.status(), TaskStatus::Failed);
    let state = &ended.documents[0].state;
    assert!(matches!(state, DocumentState::Failed(why) if why.code == FailureCode::AttemptsExhausted), "{state:?}");
    test.receive(QueueName::Callbacks).await;
    assert!(matches!(test.redrive(DeadLetterKind::Documents).await[..], [RedriveOutcome::Kept { .. }]));
    let dead_letters = test.list(DeadLetterKind::Documents).await;
    assert_eq!(dead_letters.len(), 1);
    assert!(dead_letters[0].reason.contains("2 times"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_split_document_whose_messages_are_missing_has_its_pages_sent() {
    let test = DeadLetterHarness::open();
    let task = test.create([DocumentState::Pending { source: DocumentSource::Url { url: URL.to_owned() } }]).await;
    let split = DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages: 2 });
    test.backend.tasks.finish_document(task.id, 1, split).await.expect("split");
    test.send(
        QueueName::DeadDocuments,
        [DocumentMessage { task_id: task.id, document: 1, round: 1, job: DocumentJob::Split }],
    )
    .await;
    let running = test.start();
    test.wait_until_empty(QueueName::DeadDocuments).await;
    running.stop().await;
    assert_eq!(test.list(DeadLetterKind::Documents).await, []);
    let sent = test.backend.queue(QueueName::Pages).receive(10, TIMEOUT).await.expect("received");
    let mut pages: Vec<_> = sent.iter().filter_map(|m| PageMessage::decode(&m.body).ok()).map(|m| m.page).collect();
    pages.sort_unstable();
    assert_eq!(pages, [page(&task, 1), page(&task, 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redriven_callback_keeps_its_webhook_id() {
    let test = DeadLetterHarness::open();
    let task = test.task_with_dead_callback().await;
    assert_eq!(task.callback_state(), CallbackState::Exhausted);
    let dead_letters = test.list(DeadLetterKind::Callbacks).await;
    assert_eq!(dead_letters.len(), 1);
    assert_eq!((dead_letters[0].reason.as_str(), dead_letters[0].receives), ("refused", Some(1)));

    assert_eq!(test.redrive(DeadLetterKind::Callbacks).await, [RedriveOutcome::Sent]);
    assert_eq!(test.current(&task).await.callback_state(), CallbackState::Pending);
    assert_eq!(test.list(DeadLetterKind::Callbacks).await, []);
    let sent = CallbackMessage::decode(&test.receive(QueueName::Callbacks).await.body).expect("a message");
    // The webhook id is built from these two.
    assert_eq!((sent.task_id, sent.round), (task.id, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_delivered_since_is_not_a_dead_letter() {
    let test = DeadLetterHarness::open();
    let task = test.task_with_dead_callback().await;
    test.backend.tasks.update_callback(task.id, 1, CallbackUpdate::Delivered).await.expect("updated");
    assert_eq!(test.redrive(DeadLetterKind::Callbacks).await, [RedriveOutcome::NotNeeded]);
    assert!(test.is_empty(QueueName::Callbacks).await);

    test.send(QueueName::DeadCallbacks, [CallbackMessage::for_round_end(task.id, 1)]).await;
    let running = test.start();
    test.wait_until_empty(QueueName::DeadCallbacks).await;
    running.stop().await;
    assert_eq!(test.list(DeadLetterKind::Callbacks).await, []);
    assert_eq!(test.current(&task).await.callback_state(), CallbackState::Delivered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_message_is_recorded_and_cannot_be_redriven() {
    let test = DeadLetterHarness::open();
    let nonsense = OutgoingMessage {
        body: "nonsense".to_owned(),
        group: "default".to_owned(),
        delay: Duration::ZERO,
        trace: None,
    };
    let queue = test.backend.queue(QueueName::DeadPages);
    queue.send(vec![nonsense.clone(), nonsense]).await.expect("sent");
    let running = test.start();
    test.wait_until_empty(QueueName::DeadPages).await;
    running.stop().await;
    let dead_letters = test.list(DeadLetterKind::Pages).await;
    assert_eq!(dead_letters.len(), 1);
    assert_eq!((dead_letters[0].body.as_str(), dead_letters[0].task_id), ("nonsense", None));
    assert!(matches!(test.redrive(DeadLetterKind::Pages).await[..], [RedriveOutcome::Kept { .. }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_name_redrives_nothing() {
    let test = DeadLetterHarness::open();
    let first = test.task_with_dead_page().await;
    let second = test.task_with_dead_page().await;
    let name = |task: &Task| format!("{}-1-1-1", task.id);
    for wrong in ["no-such-name", "../../quire", ""] {
        let names = vec![name(&first), wrong.to_owned()];
        let ended = redrive(&test.backend, DeadLetterKind::Pages, DeadLetterSelection::Named(names)).await;
        assert!(matches!(ended, Err(Error::NotFound { .. })), "{wrong}: {ended:?}");
    }
    let named = DeadLetterSelection::Named(vec![name(&first)]);
    let redriven = redrive(&test.backend, DeadLetterKind::Pages, named).await.expect("redriven");
    assert_eq!(redriven, [RedriveResult { name: name(&first), outcome: RedriveOutcome::Sent }]);
    let left: Vec<String> =
        test.list(DeadLetterKind::Pages).await.into_iter().map(|dead_letter| dead_letter.name).collect();
    assert_eq!(left, [name(&second)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_can_be_handled_directly() {
    let test = DeadLetterHarness::open();
    let task = test.task(1).await;
    test.send(QueueName::DeadPages, [PageMessage::new(&task, page(&task, 1))]).await;
    let consumer: Consumer<PageMessage> = Consumer::new(test.backend.queue(QueueName::DeadPages), TIMEOUT);
    let delivery: Delivery<_> =
        consumer.receive(1, TIMEOUT).await.expect("received").pop().expect("a message").expect("a page message");
    quire_dead_letter::handle_dead_page(test.backend.clone(), delivery).await.expect("handled");
    assert_eq!(test.current(&task).await.status(), TaskStatus::Failed);
    assert!(test.is_empty(QueueName::DeadPages).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_handled_including_malformed_messages() {
    let test = DeadLetterHarness::open();
    let tasks = [test.task(1).await, test.task(1).await];
    test.send(QueueName::DeadPages, tasks.iter().map(|task| PageMessage::new(task, page(task, 1)))).await;
    let queue = test.backend.queue(QueueName::DeadPages);
    let nonsense =
        OutgoingMessage { body: "nonsense".to_owned(), group: String::new(), delay: Duration::ZERO, trace: None };
    queue.send(vec![nonsense]).await.expect("sent");
    let consumer = Consumer::<PageMessage>::new(queue, TIMEOUT);
    let mut received = Vec::new();
    while received.len() < 3 {
        received.extend(consumer.receive(10, TIMEOUT).await.expect("received"));
    }
    handle_all(&test.backend, received, TIMEOUT).await;
    assert!(test.is_empty(QueueName::DeadPages).await);
    assert_eq!(test.list(DeadLetterKind::Pages).await.len(), 3);
    for task in &tasks {
        assert_eq!(test.current(task).await.status(), TaskStatus::Failed);
    }
}
