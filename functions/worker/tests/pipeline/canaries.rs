//! A new version on trial.

use image::Rgb;
use quire_platform::engine_status::roll_back;
use quire_tasks::{FallbackReason, Mode, OperatorNote, ReadAs, TaskId, TaskStatus};
use uuid::Uuid;

use crate::{
    routes::Colors,
    stage::{Stage, WHITE, name, now, routed},
};

/// `a@2` gets half of the tasks, and is as sure of its text as `less` than `a@1` is.
fn on_trial(less: f32) -> Stage {
    let config = r#"{"engines": {"a@1": {"kind": "pp-ocr"}, "a@2": {"kind": "pp-ocr"}},
        "routes": [{"modes": ["text"], "primary": "a@1", "canary": {"engine": "a@2", "share": 0.5}}],
        "canary": {"min_pages": 10}}"#;
    routed(config, move |entry| Colors::engine(entry, if entry.engine == name("a@2") { less } else { 0.0 }))
}

/// A task as the door would have it.
async fn assigned(stage: &Stage, color: Rgb<u8>) -> ReadAs {
    let board = stage.board().await;
    let read_as = stage.config.assign(TaskId::new(Uuid::now_v7()), Mode::Text, None, &board).expect("it is offered");
    stage.submit_as(&[color], read_as.clone()).await;
    read_as
}

fn canary() -> ReadAs {
    ReadAs { engine: Some(name("a@2")), ..ReadAs::default() }
}

#[tokio::test]
async fn a_canary_that_is_worse_is_rolled_back_by_itself_and_gets_no_further_task() {
    let stage = on_trial(0.5);
    for _ in 0..60 {
        assigned(&stage, WHITE).await;
    }
    let (_running, _shutdown) = stage.work();
    stage.until("it is rolled back", |board| board.is_rolled_back(&name("a@2"))).await;
    let note = stage.board().await.control(&name("a@2")).rolled_back.expect("a note");
    assert!(note.by == "canary judge" && note.reason.contains("mean confidence"), "{note:?}");
    for _ in 0..20 {
        assert_eq!(assigned(&stage, WHITE).await.engine, Some(name("a@1")));
    }
}

#[tokio::test]
async fn what_was_meant_for_a_canary_that_is_rolled_back_is_read_by_what_it_was_to_replace() {
    let stage = on_trial(0.0);
    let before = stage.submit_as(&[WHITE, WHITE], canary()).await;
    {
        let (running, shutdown) = stage.work();
        stage.ended(&before).await;
        shutdown.cancel();
        assert!(running.await.expect("no panic").is_ok());
    }
    assert_eq!(stage.text(&before, 1).await.engine, name("a@2"));
    let note = OperatorNote { reason: "worse".to_owned(), by: "a test".to_owned(), at: now() };
    assert!(roll_back(&stage.backend, &name("a@2"), note).await.expect("rolled back"));
    let after = stage.submit_as(&[WHITE, WHITE], canary()).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&after).await.status(), TaskStatus::Succeeded);
    for document in [1, 2] {
        let text = stage.text(&after, document).await;
        let tried: Vec<_> = text.tried.iter().map(|tried| (tried.engine.clone(), tried.why)).collect();
        assert_eq!((text.engine, tried), (name("a@1"), vec![(name("a@2"), FallbackReason::Unavailable)]));
    }
}

#[tokio::test]
async fn a_customer_may_still_name_a_canary_that_is_rolled_back() {
    let stage = on_trial(0.0);
    let note = OperatorNote { reason: "worse".to_owned(), by: "a test".to_owned(), at: now() };
    roll_back(&stage.backend, &name("a@2"), note).await.expect("rolled back");
    let task = stage.submit_as(&[WHITE], ReadAs { pinned: true, ..canary() }).await;
    let (_running, _shutdown) = stage.work();
    stage.ended(&task).await;
    assert_eq!(stage.text(&task, 1).await.engine, name("a@2"));
}
