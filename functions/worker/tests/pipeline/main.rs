//! The worker on an embedded backend. Fake engines and servers behave according to a page's color or a status code.

use std::time::Duration;

use quire_platform::{OutgoingMessage, QueueName};
use quire_routes::EngineEntry;
use quire_sandbox::SandboxProgram;
use quire_tasks::{CallbackState, FailureCode, ObjectKey, PageStatus, TaskStatus, Tenant, WarningCode};
use quire_worker::WorkerExit;
use tokio_util::sync::CancellationToken;

use stage::{ERRS, HANGS, PANICS, WHITE, sandbox, stage, stage_with_leases, this_program};

mod breakers;
mod canaries;
mod departed;
mod model_errors;
mod readers;
mod redaction;
mod routes;
mod scripts;
mod server;
mod sharing;
mod stage;
mod streams;

#[tokio::test]
async fn pages_of_many_documents_are_read_and_their_callbacks_are_enqueued() {
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
    let callbacks = stage.backend.queue(QueueName::Callbacks).depth().await.expect("the queue reports its depth");
    assert_eq!(callbacks.ready, 2, "one message per task");
    assert!(stage.fake.runs().iter().any(|pages| *pages > 1), "pages share micro-batches");
}

#[tokio::test]
async fn a_page_that_makes_the_engine_panic_or_fail_fails_alone() {
    let stage = stage();
    let task = stage.submit(&[WHITE, PANICS, WHITE, ERRS, WHITE, WHITE, WHITE, PANICS]).await;
    let (running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::PartiallySucceeded);
    let failed: Vec<bool> = stage.pages(&task).await.iter().map(|page| page.status == PageStatus::Failed).collect();
    assert_eq!(failed, [false, true, false, true, false, false, false, true]);
    assert_eq!(stage.code(&task, 2).await, Some(FailureCode::ModelFailed));
    assert_eq!(stage.code(&task, 4).await, Some(FailureCode::ModelFailed));
    assert!(!running.is_finished(), "the worker keeps running");
}

#[tokio::test]
async fn a_page_that_hangs_times_out_and_ends_the_worker() {
    let mut stage = stage();
    stage.settings.page_timeout = Duration::from_secs(1);
    let task = stage.submit(&[HANGS]).await;
    let (running, _shutdown) = stage.work();
    let error = running.await.expect("no panic").expect_err("the engine is lost");
    assert!(error.to_string().contains("did not come back"), "{error}");
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Failed);
    assert_eq!(stage.code(&task, 1).await, Some(FailureCode::TimedOut));
}

/// The children of these tests are this program, started with this one test.
#[test]
#[ignore = "started as a child process by the other tests"]
fn sandbox_child() {
    quire_sandbox::run_as_child();
}

#[tokio::test]
async fn a_page_whose_children_are_killed_is_postponed_without_spending_an_attempt() {
    let stage = stage();
    let task = stage.store(&[WHITE], None).await;
    // A small image would be decoded without a child.
    let key = ObjectKey::Document { task_id: task.id, document: 1 }.to_string();
    stage.backend.objects.put(&key, "%PDF-1.7".into()).await.expect("the object is stored");
    stage.send(task.page_messages()).await;
    let killed = SandboxProgram { path: "/bin/sh".into(), arguments: vec!["-c".into(), "kill -9 $$".into()] };
    let (running, shutdown) = stage.work_with(sandbox(killed));
    let queue = stage.backend.queue(QueueName::Pages);
    let postponed = async {
        while queue.depth().await.expect("the queue reports its depth").delayed == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), postponed).await.expect("the page is postponed");
    shutdown.cancel();
    assert_eq!(running.await.expect("no panic").expect("the worker stops"), WorkerExit::Drained);
    let again = queue.receive(1, Duration::from_secs(20)).await.expect("the queue responds");
    assert_eq!((again.len(), again[0].attempt), (1, 1));
    assert_eq!(stage.backend.tasks.task(task.id).await.expect("the task is stored").counts.open, 1);
}

#[tokio::test]
async fn a_page_that_is_received_again_is_read_alone() {
    let stage = stage();
    let suspect = stage.submit(&[WHITE]).await;
    // Received by a process that died.
    let lost = stage.backend.queue(QueueName::Pages).receive(1, Duration::ZERO).await.expect("the queue responds");
    assert_eq!(lost.len(), 1);
    let others = stage.submit(&[WHITE; 24]).await;
    let (_running, _shutdown) = stage.work();
    stage.ended(&others).await;
    let runs_before = stage.fake.runs();
    stage.ended(&suspect).await;
    let runs = stage.fake.runs();
    assert!(runs_before.iter().any(|pages| *pages > 1), "the other pages share micro-batches: {runs_before:?}");
    assert_eq!(runs.last(), Some(&1), "the suspect is read alone: {runs:?}");
}

#[tokio::test]
async fn a_new_worker_takes_one_page_at_a_time() {
    let stage = stage();
    let task = stage.submit(&[WHITE; 20]).await;
    let (_running, _shutdown) = stage.work();
    stage.ended(&task).await;
    let runs = stage.fake.runs();
    assert_eq!(runs[..4], [1, 1, 1, 1], "{runs:?}");
}

#[tokio::test]
async fn a_duplicate_message_of_an_ended_page_changes_nothing() {
    let stage = stage();
    let task = stage.submit(&[WHITE]).await;
    let (_running, _shutdown) = stage.work();
    let ended = stage.ended(&task).await;
    stage.queue_is_empty().await;
    stage.send(task.page_messages()).await;
    stage.queue_is_empty().await;
    let after = stage.backend.tasks.task(task.id).await.expect("the task is stored");
    assert_eq!((after.counts, after.ended_at, after.version), (ended.counts, ended.ended_at, ended.version));
}

#[tokio::test]
async fn a_page_whose_document_is_missing_fails_as_internal() {
    let stage = stage();
    let task = stage.store(&[WHITE], None).await;
    stage
        .backend
        .objects
        .delete(&ObjectKey::Document { task_id: task.id, document: 1 }.to_string())
        .await
        .expect("the object is deleted");
    stage.send(task.page_messages()).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Failed);
    assert_eq!(stage.code(&task, 1).await, Some(FailureCode::Internal));
}

#[tokio::test]
async fn what_is_left_of_a_damaged_file_is_read_and_without_any_it_fails_as_unreadable() {
    let stage = stage();
    let task = stage.store(&[WHITE, WHITE, WHITE], None).await;
    // Half of a file, and a file that ends before its first row of pixels.
    for (document, share) in [(2, 0.5), (3, 0.0)] {
        let key = ObjectKey::Document { task_id: task.id, document }.to_string();
        let whole = stage.backend.objects.read(&key).await.expect("the object is stored");
        let rest = 42 + ((whole.len() - 42) as f64 * share) as usize;
        stage.backend.objects.put(&key, whole.slice(..rest)).await.expect("the object is stored");
    }
    stage.send(task.page_messages()).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::PartiallySucceeded);
    assert_eq!(stage.text(&task, 2).await.warning_codes(), [WarningCode::Damaged]);
    assert_eq!(stage.code(&task, 3).await, Some(FailureCode::UnreadablePage));
}

#[tokio::test]
async fn a_malformed_message_is_dead_lettered() {
    let stage = stage();
    let message = OutgoingMessage {
        body: r#"{"v":99}"#.to_owned(),
        group: Tenant::default().to_string(),
        delay: Duration::ZERO,
        trace: None,
    };
    stage.backend.queue(QueueName::Pages).send(vec![message]).await.expect("the message is sent");
    let (_running, _shutdown) = stage.work();
    let dead = stage
        .backend
        .queue(QueueName::DeadPages)
        .receive(1, Duration::from_secs(10))
        .await
        .expect("the queue responds");
    assert_eq!(dead.len(), 1);
    assert!(dead[0].reason.as_ref().is_some_and(|reason| reason.contains("version 99")), "{dead:?}");
}

#[tokio::test]
async fn a_shutdown_finishes_the_pages_in_flight_and_leaves_the_rest() {
    let stage = stage();
    let task = stage.submit(&[WHITE; 200]).await;
    let (running, shutdown) = stage.work();
    let begun =
        stage.backend.tasks.wait_for_change(task.id, 1, Duration::from_secs(10)).await.expect("the task is stored");
    assert!(begun.counts.succeeded > 0);
    shutdown.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(10), running).await.expect("it drains before the timeout");
    assert_eq!(ended.expect("no panic").expect("the worker stops without an error"), WorkerExit::Drained);
    let after = stage.backend.tasks.task(task.id).await.expect("the task is stored");
    assert!(after.counts.open > 0, "the rest stays queued");
    let depth = stage.backend.queue(QueueName::Pages).depth().await.expect("the queue reports its depth");
    assert_eq!((depth.in_flight, depth.ready), (0, u64::from(after.counts.open)), "no page is in flight");
}

#[tokio::test]
async fn a_shutdown_timeout_releases_unfinished_pages() {
    let mut stage = stage_with_leases(Duration::from_mins(10));
    stage.settings.drain_timeout = Duration::from_millis(300);
    let task = stage.submit(&[HANGS]).await;
    let (running, shutdown) = stage.work();
    let begun = async {
        while stage.fake.runs().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), begun).await.expect("the page is being read");
    shutdown.cancel();
    let stopped = tokio::time::timeout(Duration::from_secs(5), running).await.expect("it stops before the timeout");
    assert_eq!(stopped.expect("no panic").expect("the worker stops without an error"), WorkerExit::Interrupted);
    let again = stage.backend.queue(QueueName::Pages).receive(1, Duration::ZERO).await.expect("the queue responds");
    assert_eq!((again.len(), again[0].attempt), (1, 2), "it is visible at once, not when the lease expires");
    assert_eq!(
        stage.backend.tasks.task(task.id).await.expect("the task is stored").counts.open,
        1,
        "the page has not ended"
    );
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_loading_model() {
    let stage = stage();
    let worker = stage.worker(sandbox(this_program()));
    let hang = |_: &EngineEntry| loop {
        std::thread::park();
    };
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    let ready = || panic!("the engine never loads");
    let stopped = tokio::time::timeout(Duration::from_secs(5), worker.run(hang, ready, shutdown)).await;
    assert_eq!(
        stopped.expect("it stops before the timeout").expect("the worker stops without an error"),
        WorkerExit::Interrupted
    );
}
