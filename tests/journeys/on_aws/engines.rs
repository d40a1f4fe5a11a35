//! Modes, engines and review on AWS: the operator's words reach workers and doors by the table.

use serde_json::{Value, json};

use crate::harness::{ModelServer, Receiver, Sheet, Upload, engine_of, eventually, pdf, text_of};

use super::stack::Stack;

fn letter() -> [Upload; 1] {
    [Upload::new("letter.pdf", pdf(&[Sheet::new("One"), Sheet::new("Two")]))]
}

async fn engine(stack: &Stack) -> Value {
    let health = stack.api().get("/healthz").await.body(200);
    let engines = health["engines"].as_array().expect("engines");
    engines.iter().find(|engine| engine["engine"] == "a@1").expect("the server").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn markdown_is_read_by_a_server_that_can_be_paused_and_a_page_of_it_is_corrected() {
    let stack = Stack::shared().await;
    let (server, receiver) = (ModelServer::start_on(stack.model_port), Receiver::start().await);
    server.is_sure(0.4);
    stack.quire(&["engines", "pause", "a@1", "--reason", "new weights"]).await.printed();
    eventually("its pause is known", || async { (engine(stack).await["state"] == "paused").then_some(()) }).await;
    // Longer than a worker goes without looking at the board.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    let asked = [("mode", "markdown"), ("callback_url", &*receiver.url())];
    let id = stack.api().ask("/ocr/async", letter(), &asked).await.accepted();
    eventually("the task says what it waits for", || async {
        let reason = stack.api().task(&id).await["waiting_reason"].take();
        (reason["code"] == "engine_paused" && reason["detail"].to_string().contains("new weights")).then_some(())
    })
    .await;
    assert!(server.asked().is_empty(), "nobody asks it");
    stack.quire(&["engines", "resume", "a@1"]).await.printed();

    let task = stack.api().told(&id, "delivered").await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    let page = &task["documents"][0]["pages"][1];
    assert_eq!((engine_of(page).as_str(), &page["mode"]), ("a@1", &json!("markdown")));
    assert!(text_of(page).starts_with("# Page ") && page["needs_review"] == true, "{page:#}");
    let listed = stack.quire(&["review", "list"]).await.printed();
    let names: Vec<&str> =
        listed.lines().filter(|line| line.contains(&id)).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names.len(), 2, "{listed}");

    let file = stack.folder.join("correction.md");
    std::fs::write(&file, "# By hand").expect("a file");
    let file = file.to_str().expect("a plain path");
    stack.quire(&["review", "correct", names[1], "--text", file, "--by", "Ada"]).await.printed();
    let deliveries = receiver.received(2).await;
    let update = deliveries[1].json();
    assert_eq!((&update["type"], text_of(&update["pages"][1])), (&json!("task.updated"), "# By hand"), "{update:#}");
    assert_ne!(deliveries[0].webhook_id(), deliveries[1].webhook_id(), "another event");
    let task = stack.api().told(&id, "delivered").await;
    assert_eq!(task["documents"][0]["pages"][1]["corrected"]["by"], "Ada", "{task:#}");
    stack.quire(&["review", "accept", names[0]]).await.printed();
}
