//! Canaries.

use image::Rgb;
use quire_platform::engine_status::roll_back;
use quire_tasks::{FallbackReason, Mode, OperatorNote, ReadAs, TaskId, TaskStatus};
use uuid::Uuid;

use crate::{
    routes::ColorReader,
    stage::{WHITE, WorkerStage, name, now, routed},
};

/// Returns a stage whose canary `a@2` gets half of the tasks; its confidence is lower than that of `a@1` by `less`.
fn stage_with_canary(less: f32) -> WorkerStage {
    let config = r#"{"engines": {"a@1": {"kind": "pp-ocr"}, "a@2": {"kind": "pp-ocr"}},
        "routes": [{"modes": ["text"], "primary": "a@1", "canary": {"engine": "a@2", "share": 0.5}}],
        "canary": {"min_pages": 10}}"#;
    routed(config, move |entry| ColorReader::engine(entry, if entry.engine == name("a@2") { less } else { 0.0 }))
}

/// Submits a task with the engine that the API assigns.
async fn submit_assigned(stage: &WorkerStage, color: Rgb<u8>) -> ReadAs {
    let statuses = stage.statuses().await;
    let read_as =
        stage.config.assign(TaskId::new(Uuid::now_v7()), Mode::Text, None, &statuses).expect("the mode is offered");
    stage.submit_as(&[color], read_as.clone()).await;
    read_as
}

fn read_by_canary() -> ReadAs {
    ReadAs { engine: Some(name("a@2")), ..ReadAs::default() }
}

#[tokio::test]
async fn a_worse_canary_is_rolled_back_automatically_and_gets_no_further_task() {
    let stage = stage_with_canary(0.5);
    for _ in 0..60 {
        submit_assigned(&stage, WHITE).await;
    }
    let (_running, _shutdown) = stage.work();
    stage.until("the canary is rolled back", |statuses| statuses.is_rolled_back(&name("a@2"))).await;
    let note = stage.statuses().await.control(&name("a@2")).rolled_back.expect("a rollback note");
    assert!(note.by == "canary judge" && note.reason.contains("mean confidence"), "{note:?}");
    for _ in 0..20 {
        assert_eq!(submit_assigned(&stage, WHITE).await.engine, Some(name("a@1")));
    }
}

#[tokio::test]
async fn pages_of_a_rolled_back_canary_are_read_by_the_primary() {
    let stage = stage_with_canary(0.0);
    let before = stage.submit_as(&[WHITE, WHITE], read_by_canary()).await;
    {
        let (running, shutdown) = stage.work();
        stage.ended(&before).await;
        shutdown.cancel();
        assert!(running.await.expect("no panic").is_ok());
    }
    assert_eq!(stage.text(&before, 1).await.engine, name("a@2"));
    let note = OperatorNote { reason: "worse".to_owned(), by: "a test".to_owned(), at: now() };
    assert!(roll_back(&stage.backend, &name("a@2"), note).await.expect("the rollback is stored"));
    let after = stage.submit_as(&[WHITE, WHITE], read_by_canary()).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&after).await.status(), TaskStatus::Succeeded);
    for document in [1, 2] {
        let text = stage.text(&after, document).await;
        let tried: Vec<_> = text.tried.iter().map(|tried| (tried.engine.clone(), tried.why)).collect();
        assert_eq!((text.engine, tried), (name("a@1"), vec![(name("a@2"), FallbackReason::Unavailable)]));
    }
}

#[tokio::test]
async fn a_customer_can_still_request_a_rolled_back_canary() {
    let stage = stage_with_canary(0.0);
    let note = OperatorNote { reason: "worse".to_owned(), by: "a test".to_owned(), at: now() };
    roll_back(&stage.backend, &name("a@2"), note).await.expect("the rollback is stored");
    let task = stage.submit_as(&[WHITE], ReadAs { pinned: true, ..read_by_canary() }).await;
    let (_running, _shutdown) = stage.work();
    stage.ended(&task).await;
    assert_eq!(stage.text(&task, 1).await.engine, name("a@2"));
}
