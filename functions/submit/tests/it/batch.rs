//! `POST /ocr/batch`.

use std::time::Duration;

use quire_platform::QueueName;
use quire_submit::{BatchSubmission, ReadOptions, UploadedFile, document_answers, submit};
use quire_tasks::{Failure, FailureCode, Mode};
use serde_json::Value;

use crate::support::{FormPart, TestWorld, images};

#[tokio::test]
async fn entries_are_in_the_order_sent_and_one_bad_file_fails_alone() {
    let world = TestWorld::new().await;
    let answer = world.post("/ocr/batch", &images(&["pages=1 a", "pages=2 b", "garbage", "pages=1 bad=1"])).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    let entries = body.as_array().expect("an array");
    assert_eq!(entries.len(), 4);
    assert_eq!(entries[0]["text"], "page 1 of pages=1 a");
    assert_eq!(entries[1]["text"], "page 1 of pages=2 b\n\npage 2 of pages=2 b");
    assert_eq!(entries[1]["pages"].as_array().map(Vec::len), Some(2));
    assert_eq!((&entries[2]["error"]["code"], &entries[2]["text"]), (&"unsupported_format".into(), &"".into()));
    assert!(entries[2]["error"]["message"].is_string());
    assert_eq!((&entries[3]["error"]["code"], &entries[3]["text"]), (&"unreadable_page".into(), &"".into()));
    assert!(entries[0].get("error").is_none() && entries[1].get("error").is_none());
    let task_id = answer.header("quire-task-id").expect("a task id");
    assert!(entries.iter().all(|entry| entry["task_id"] == task_id));
    assert_eq!(world.ended(task_id).await["status"], "partially_succeeded");
    let stored = world.backend.objects.list("documents/").await.expect("a list");
    assert_eq!(stored.len(), 3, "what is refused is not stored: {stored:?}");
}

#[tokio::test]
async fn a_batch_of_refused_files_is_an_array_of_errors_and_no_task() {
    let world = TestWorld::new().await;
    let answer = world.post("/ocr/batch", &images(&["", "refuse=encrypted_document"])).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    let codes: Vec<&Value> = body.as_array().expect("an array").iter().map(|entry| &entry["error"]["code"]).collect();
    assert_eq!(codes, ["unsupported_format", FailureCode::EncryptedDocument.as_str()]);
    assert!(body[0].get("task_id").is_none());
    assert_eq!(answer.header("quire-task-id"), None);
    world.assert_empty().await;
}

#[tokio::test]
async fn an_empty_batch_is_refused_with_the_missing_field() {
    let world = TestWorld::new().await;
    let problem = world.post("/ocr/batch", &[]).await.problem(422, "missing_field");
    assert_eq!(problem["pointer"], "#/images");
}

#[tokio::test]
async fn a_file_that_is_too_large_fails_alone() {
    let mut world = TestWorld::without_worker(|settings| settings.limits.max_bytes = 100).await;
    world.start_worker();
    let large = format!("pages=1 {}", "x".repeat(100));
    let body = world.post("/ocr/batch", &images(&["pages=1", &large, "pages=1 z"])).await.json();
    assert_eq!(body[0]["text"], "page 1 of pages=1");
    assert_eq!(body[1]["error"]["code"], "document_too_large");
    assert_eq!(body[2]["text"], "page 1 of pages=1 z");
}

#[tokio::test]
async fn files_with_equal_or_missing_names_keep_their_order() {
    let world = TestWorld::new().await;
    let contents: Vec<String> = (0..30).map(|number| format!("pages=1 n{number}")).collect();
    let parts: Vec<FormPart<'_>> = contents
        .iter()
        .enumerate()
        .map(|(n, content)| FormPart { field: "images", file: (n % 2 == 0).then_some("same.png"), content })
        .collect();
    let body = world.post("/ocr/batch", &parts).await.json();
    for (number, entry) in body.as_array().expect("an array").iter().enumerate() {
        assert_eq!(entry["text"], format!("page 1 of pages=1 n{number}"));
        assert_eq!(entry["file"].as_str(), (number % 2 == 0).then_some("same.png"));
    }
    assert_eq!(body.as_array().map(Vec::len), Some(30));
}

#[tokio::test]
async fn after_the_sync_limit_a_batch_responds_202() {
    let world = TestWorld::without_worker(|settings| settings.sync_limit = Duration::from_millis(100)).await;
    let answer = world.post("/ocr/batch", &images(&["pages=2", "garbage"])).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert_eq!(answer.header("quire-task-id"), answer.json()["task_id"].as_str());
    world.reaches(QueueName::Pages, 2).await;
}

#[tokio::test]
async fn submit_returns_the_same_as_http() {
    let world = TestWorld::new().await;
    let upload = |content: &str| {
        let file = tempfile::NamedTempFile::new_in(world.backend.objects.spool()).expect("a file in the spool");
        std::fs::write(file.path(), content).expect("its content");
        UploadedFile { name: Some("scan.png".to_owned()), file: Ok(file.into_temp_path()) }
    };
    let missing =
        || UploadedFile { name: None, file: Err(Failure::new(FailureCode::UnreadableDocument, "No such file.")) };

    let submitted = submit(&world.app, vec![upload("pages=2"), missing()], ReadOptions::default())
        .await
        .expect("the backend does not fail");
    let BatchSubmission::Accepted(task) = submitted else { panic!("{submitted:?}") };
    world.ended(&task.id.to_string()).await;
    let task = world.backend.tasks.task(task.id).await.expect("the task");
    let answer = document_answers(&world.backend, &task).await.expect("an answer");
    assert_eq!(answer[0].text.as_deref(), Some("page 1 of pages=2\n\npage 2 of pages=2"));
    assert_eq!(answer[1].error.as_ref().map(|error| error.code), Some(FailureCode::UnreadableDocument));

    let submitted = submit(&world.app, vec![missing(), upload("garbage")], ReadOptions::default())
        .await
        .expect("the backend does not fail");
    let BatchSubmission::Refused(entries) = submitted else { panic!("{submitted:?}") };
    let codes: Vec<_> = entries.iter().filter_map(|entry| entry.error.as_ref()).map(|error| error.code).collect();
    assert_eq!(codes, [FailureCode::UnreadableDocument, FailureCode::UnsupportedFormat]);

    let wanted = ReadOptions { mode: Mode::Formula, ..ReadOptions::default() };
    let refused = submit(&world.app, vec![upload("pages=1")], wanted).await.expect_err("PP-OCR reads no formulas");
    assert_eq!(refused.to_string(), "no engine offers the mode formula; available modes: text, markdown, table");
    assert_eq!(world.spooled(), 0);
}
