//! The worker on an embedded backend, with engines that do what a page's color says, or what a server says.

use std::time::Duration;

use quire_document::{Documents, Limits};
use quire_platform::{OutgoingMessage, QueueName};
use quire_routes::EngineEntry;
use quire_tasks::{CallbackState, FailureCode, ObjectKey, PageStatus, TaskStatus, Tenant};
use quire_worker::{Renderer, Stopped};
use tokio_util::sync::CancellationToken;

use stage::{ERRS, HANGS, PANICS, WHITE, stage, stage_with_leases};

mod breakers;
mod canaries;
mod departed;
mod model_errors;
mod readers;
mod redaction;
mod routes;
mod server;
mod stage;
mod streams;

#[tokio::test]
async fn pages_of_many_documents_are_read_and_their_callback_is_owed() {
    let stage = stage();
    let tasks = [stage.submit(&[WHITE; 5]).await, stage.submit(&[WHITE; 7]).await];
    let (_running, _shutdown) = stage.work();
    for task in &tasks {
        let ended = stage.ended(task).await;
        assert_eq!((ended.status(), ended.callback_state()), (TaskStatus::Succeeded, CallbackState::Pending));
        for page in stage.pages(task).await {
            let key = ObjectKey::PageText { page: page.page, round: 1 }.to_string();
            assert!(stage.backend.objects.read(&key).await.is_ok(), "a result is stored");
        }
    }
    stage.queue_is_empty().await;
    let callbacks = stage.backend.queue(QueueName::Callbacks).depth().await.expect("a depth");
    assert_eq!(callbacks.ready, 2, "one message a task");
    assert!(stage.fake.runs().iter().any(|pages| *pages > 1), "pages share micro-batches");
}

#[tokio::test]
async fn a_page_on_which_the_engine_panics_or_errs_fails_alone() {
    let stage = stage();
    let task = stage.submit(&[WHITE, PANICS, WHITE, ERRS, WHITE, WHITE, WHITE, PANICS]).await;
    let (running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::PartiallySucceeded);
    let failed: Vec<bool> = stage.pages(&task).await.iter().map(|page| page.status == PageStatus::Failed).collect();
    assert_eq!(failed, [false, true, false, true, false, false, false, true]);
    assert_eq!(stage.code(&task, 2).await, Some(FailureCode::ModelFailed));
    assert_eq!(stage.code(&task, 4).await, Some(FailureCode::ModelFailed));
    assert!(!running.is_finished(), "the worker goes on");
}

#[tokio::test]
async fn a_page_that_does_not_come_back_times_out_and_ends_the_worker() {
    let mut stage = stage();
    stage.settings.page_limit = Duration::from_secs(1);
    let task = stage.submit(&[HANGS]).await;
    let (running, _shutdown) = stage.work();
    let error = running.await.expect("no panic").expect_err("the thread is lost");
    assert!(error.to_string().contains("did not come back"), "{error}");
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Failed);
    assert_eq!(stage.code(&task, 1).await, Some(FailureCode::TimedOut));
}

#[tokio::test]
async fn a_page_that_is_never_rendered_times_out_and_ends_the_worker() {
    let mut stage = stage();
    stage.settings.page_limit = Duration::from_secs(1);
    let task = stage.submit(&[WHITE]).await;
    let hang = || loop {
        std::thread::park();
    };
    let (running, _shutdown) = stage.work_with(hang);
    let error = running.await.expect("no panic").expect_err("the thread is lost");
    assert!(error.to_string().contains("rendering did not come back"), "{error}");
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Failed);
    assert_eq!(stage.code(&task, 1).await, Some(FailureCode::TimedOut));
}

#[tokio::test]
async fn a_page_that_is_received_again_is_read_alone() {
    let stage = stage();
    let suspect = stage.submit(&[WHITE]).await;
    // ReceivedMessage, and given up by a death.
    let lost = stage.backend.queue(QueueName::Pages).receive(1, Duration::ZERO).await.expect("received");
    assert_eq!(lost.len(), 1);
    let others = stage.submit(&[WHITE; 24]).await;
    let (_running, _shutdown) = stage.work();
    stage.ended(&others).await;
    let runs_before = stage.fake.runs();
    stage.ended(&suspect).await;
    let runs = stage.fake.runs();
    assert!(runs_before.iter().any(|pages| *pages > 1), "the others share micro-batches: {runs_before:?}");
    assert_eq!(runs.last(), Some(&1), "the suspect does not: {runs:?}");
}

#[tokio::test]
async fn a_worker_that_has_just_started_takes_one_page_at_a_time() {
    let stage = stage();
    let task = stage.submit(&[WHITE; 20]).await;
    let (_running, _shutdown) = stage.work();
    stage.ended(&task).await;
    let runs = stage.fake.runs();
    assert_eq!(runs[..4], [1, 1, 1, 1], "{runs:?}");
}

#[tokio::test]
async fn a_repeated_message_of_an_ended_page_changes_nothing() {
    let stage = stage();
    let task = stage.submit(&[WHITE]).await;
    let (_running, _shutdown) = stage.work();
    let ended = stage.ended(&task).await;
    stage.queue_is_empty().await;
    stage.send(task.page_messages()).await;
    stage.queue_is_empty().await;
    let after = stage.backend.tasks.task(task.id).await.expect("a task");
    assert_eq!((after.counts, after.ended_at, after.version), (ended.counts, ended.ended_at, ended.version));
}

#[tokio::test]
async fn a_page_whose_document_is_gone_fails_and_says_so() {
    let stage = stage();
    let task = stage.store(&[WHITE], None).await;
    stage
        .backend
        .objects
        .delete(&ObjectKey::Document { task_id: task.id, document: 1 }.to_string())
        .await
        .expect("deleted");
    stage.send(task.page_messages()).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Failed);
    assert_eq!(stage.code(&task, 1).await, Some(FailureCode::Internal));
}

#[tokio::test]
async fn a_page_of_a_broken_file_fails_with_its_code() {
    let stage = stage();
    let task = stage.store(&[WHITE, WHITE], None).await;
    let key = ObjectKey::Document { task_id: task.id, document: 2 }.to_string();
    let whole = stage.backend.objects.read(&key).await.expect("stored");
    stage.backend.objects.put(&key, whole.slice(..whole.len() / 2)).await.expect("stored");
    stage.send(task.page_messages()).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::PartiallySucceeded);
    assert_eq!(stage.code(&task, 2).await, Some(FailureCode::UnreadablePage));
}

#[tokio::test]
async fn a_message_that_nobody_can_read_is_dead_lettered() {
    let stage = stage();
    let message = OutgoingMessage {
        body: r#"{"v":99}"#.to_owned(),
        group: Tenant::default().to_string(),
        delay: Duration::ZERO,
        trace: None,
    };
    stage.backend.queue(QueueName::Pages).send(vec![message]).await.expect("sent");
    let (_running, _shutdown) = stage.work();
    let dead = stage.backend.queue(QueueName::DeadPages).receive(1, Duration::from_secs(10)).await.expect("received");
    assert_eq!(dead.len(), 1);
    assert!(dead[0].reason.as_ref().is_some_and(|reason| reason.contains("version 99")), "{dead:?}");
}

#[tokio::test]
async fn a_shutdown_finishes_what_is_in_hand_and_leaves_the_rest() {
    let stage = stage();
    let task = stage.submit(&[WHITE; 200]).await;
    let (running, shutdown) = stage.work();
    let begun = stage.backend.tasks.wait_for_change(task.id, 1, Duration::from_secs(10)).await.expect("a task");
    assert!(begun.counts.succeeded > 0);
    shutdown.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(10), running).await.expect("it drains in time");
    assert_eq!(ended.expect("no panic").expect("no error"), Stopped::Finished);
    let after = stage.backend.tasks.task(task.id).await.expect("a task");
    assert!(after.counts.open > 0, "the rest stays queued");
    let depth = stage.backend.queue(QueueName::Pages).depth().await.expect("a depth");
    assert_eq!((depth.in_flight, depth.ready), (0, u64::from(after.counts.open)), "nothing is in hand");
}

#[tokio::test]
async fn a_stop_whose_time_is_up_gives_back_what_is_not_finished() {
    let mut stage = stage_with_leases(Duration::from_mins(10));
    stage.settings.drain_limit = Duration::from_millis(300);
    let task = stage.submit(&[HANGS]).await;
    let (running, shutdown) = stage.work();
    let begun = async {
        while stage.fake.runs().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), begun).await.expect("the page is being read");
    shutdown.cancel();
    let stopped = tokio::time::timeout(Duration::from_secs(5), running).await.expect("it stops in time");
    assert_eq!(stopped.expect("no panic").expect("no error"), Stopped::BrokenOff);
    let again = stage.backend.queue(QueueName::Pages).receive(1, Duration::ZERO).await.expect("received");
    assert_eq!((again.len(), again[0].attempt), (1, 2), "others may read it now, not when the lease has run out");
    assert_eq!(stage.backend.tasks.task(task.id).await.expect("a task").counts.open, 1, "it has not ended");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_the_model_to_be_loaded() {
    let stage = stage();
    let renderer = Renderer::start(|| Documents::new(None, Limits::default())).expect("a thread");
    let worker = stage.worker(renderer);
    let endless = |_: &EngineEntry| loop {
        std::thread::park();
    };
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    let ready = || panic!("it never is");
    let stopped = tokio::time::timeout(Duration::from_secs(5), worker.run(endless, ready, shutdown)).await;
    assert_eq!(stopped.expect("it stops in time").expect("no error"), Stopped::BrokenOff);
}
