//! The worker is shared fairly between tenants. The misbehaving tenant uses pages that never end, so that no test
//! depends on how long anything takes.

use std::{sync::Arc, time::Duration};

use image::Rgb;
use quire_document::DocumentLimits;
use quire_platform::{Consumer, QueueName};
use quire_sandbox::{Sandbox, SandboxLimits, SandboxProgram};
use quire_tasks::{Mode, ObjectKey, PageMessage, ReadAs, Task, TaskStatus};

use crate::{
    routes::ColorReader,
    stage::{WHITE, WorkerStage, routed, stage},
};

/// More pages than a worker holds.
const MANY: usize = 60;

async fn submit_for(stage: &WorkerStage, tenant: &str, colors: &[Rgb<u8>]) -> Task {
    let tenant = tenant.parse().expect("a name");
    stage.submit_with(colors, |task| Task { tenant, ..task }).await
}

/// Reads a few pages, so that the worker leaves quarantine mode.
async fn warm_up(stage: &WorkerStage) {
    let task = submit_for(stage, "c", &[WHITE; 5]).await;
    stage.ended(&task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_an_engine_never_answers_do_not_stop_another_tenant() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    // Connections are accepted by the system and never answered.
    let address = listener.local_addr().expect("an address");
    let hanging = format!(r#"{{"kind": "openai", "url": "http://{address}/v1", "model": "m", "timeout_secs": 600}}"#);
    let config = format!(
        r#"{{"engines": {{"a@1": {{"kind": "pp-ocr"}}, "b@1": {hanging}}},
            "routes": [{{"modes": ["text"], "primary": "a@1"}}, {{"modes": ["markdown"], "primary": "b@1"}}]}}"#
    );
    let stage = routed(&config, |entry| ColorReader::engine(entry, 0.0));
    let (_running, _shutdown) = stage.work();
    warm_up(&stage).await;
    let markdown = ReadAs { mode: Mode::Markdown, ..ReadAs::default() };
    let tenant = "a".parse().expect("a name");
    stage.submit_with(&[WHITE; MANY], |task| Task { tenant, ..task }.with_read_as(markdown)).await;
    stage.until_in_flight(10).await;
    for _ in 0..3 {
        let task = submit_for(&stage, "b", &[WHITE; 2]).await;
        assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canceled_page_that_renders_for_long_frees_its_permits() {
    let stage = stage();
    // A child that never answers, whose page may take ten minutes.
    let endless = SandboxProgram { path: "/bin/sleep".into(), arguments: vec!["600".into()] };
    let limits = SandboxLimits { page: Duration::from_mins(10), ..SandboxLimits::default() };
    let (_running, _shutdown) = stage.work_with(Sandbox::new(endless, None, DocumentLimits::default(), limits));
    let task = stage.store(&[WHITE; 3], None).await;
    for document in 1..=3 {
        // A small image would be decoded without a child.
        let key = ObjectKey::Document { task_id: task.id, document }.to_string();
        stage.backend.objects.put(&key, "%PDF-1.7".into()).await.expect("the object is stored");
    }
    stage.send(task.page_messages()).await;
    stage.until_in_flight(1).await;
    stage.backend.tasks.cancel(task.id).await.expect("canceled");
    stage.queue_is_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_are_read_alone_leave_time_to_other_tenants() {
    let stage = stage();
    // Suspects: received by a process that died.
    let suspects = submit_for(&stage, "a", &[WHITE; MANY]).await;
    let queue = stage.backend.queue(QueueName::Pages);
    let lost = Consumer::<PageMessage>::new(Arc::clone(&queue), Duration::ZERO);
    let received = lost.receive(MANY, Duration::from_secs(5)).await.expect("received");
    assert_eq!(lost.release_held().await.expect("released"), received.len());
    let (_running, _shutdown) = stage.work();
    for _ in 0..5 {
        let task = submit_for(&stage, "b", &[WHITE; 2]).await;
        stage.ended(&task).await;
        let open = stage.backend.tasks.task(suspects.id).await.expect("the task is stored").counts.open;
        assert!(open > 0, "b's pages are read between those of a");
    }
    stage.ended(&suspects).await;
}
