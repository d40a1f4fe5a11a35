//! Modes, engines and review on AWS: an operator's commands reach workers and the API through the table.

use serde_json::{Value, json};

use crate::harness::{CallbackReceiver, ModelServer, TestPage, UploadFile, engine_of, eventually, pdf, text_of};

use super::stack::EmulatedStack;

fn letter() -> [UploadFile; 1] {
    [UploadFile::new("letter.pdf", pdf(&[TestPage::new("One"), TestPage::new("Two")]))]
}

/// Returns the model server in `GET /healthz`.
async fn engine_health(stack: &EmulatedStack) -> Value {
    let health = stack.api().get("/healthz").await.expect_status(200);
    let engines = health["engines"].as_array().expect("engines");
    engines.iter().find(|engine| engine["engine"] == "a@1").expect("the server").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_server_is_paused_and_resumed_and_its_page_is_corrected() {
    let stack = EmulatedStack::shared().await;
    let server = ModelServer::start_on(stack.model_port);
    let receiver = CallbackReceiver::start().await;
    server.set_confidence(0.4);
    stack.quire(&["engines", "pause", "a@1", "--reason", "new weights"]).await.expect_stdout();
    eventually("the API reports the pause", || async {
        (engine_health(stack).await["state"] == "paused").then_some(())
    })
    .await;
    // Longer than workers cache the engine status.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    let fields = [("mode", "markdown"), ("callback_url", &*receiver.url())];
    let id = stack.api().post_form("/ocr/async", letter(), &fields).await.accepted_task_id();
    eventually("the task has its waiting reason", || async {
        let reason = stack.api().task(&id).await["waiting_reason"].take();
        (reason["code"] == "engine_paused" && reason["detail"].to_string().contains("new weights")).then_some(())
    })
    .await;
    assert!(server.requests().is_empty(), "a paused engine gets no requests");
    stack.quire(&["engines", "resume", "a@1"]).await.expect_stdout();

    let task = stack.api().await_callback(&id, "delivered").await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    let page = &task["documents"][0]["pages"][1];
    assert_eq!((engine_of(page).as_str(), &page["mode"]), ("a@1", &json!("markdown")));
    assert!(text_of(page).starts_with("# Page ") && page["needs_review"] == true, "{page:#}");
    let listed = stack.quire(&["review", "list"]).await.expect_stdout();
    let names: Vec<&str> =
        listed.lines().filter(|line| line.contains(&id)).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names.len(), 2, "{listed}");

    let file = stack.folder.join("correction.md");
    std::fs::write(&file, "# By hand").expect("the file can be written");
    let file = file.to_str().expect("the path is UTF-8");
    stack.quire(&["review", "correct", names[1], "--text", file, "--by", "Ada"]).await.expect_stdout();
    let deliveries = receiver.await_callbacks(2).await;
    let update = deliveries[1].json();
    assert_eq!((&update["type"], text_of(&update["pages"][1])), (&json!("task.updated"), "# By hand"), "{update:#}");
    assert_ne!(deliveries[0].webhook_id(), deliveries[1].webhook_id(), "another event");
    let task = stack.api().await_callback(&id, "delivered").await;
    assert_eq!(task["documents"][0]["pages"][1]["corrected"]["by"], "Ada", "{task:#}");
    stack.quire(&["review", "accept", names[0]]).await.expect_stdout();
}
