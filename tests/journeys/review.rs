//! Human review of pages with low confidence: listing, accepting and correcting.

use std::fs;

use serde_json::{Value, json};

use crate::{
    callbacks::is_verified,
    harness::{
        CallbackReceiver, ModelBehavior, ModelServer, ReceivedCallback, ServeOptions, ServeProcess, TestPage,
        UploadFile, engine_config, engine_of, eventually, expected_texts, files_below, pdf, text_of,
        without_whitespace,
    },
};

/// Starts a server with a low confidence that rejects yellow pages.
fn start_unsure_server() -> ModelServer {
    let server = ModelServer::start();
    server.set_confidence(0.4);
    server.set_yellow_behavior(ModelBehavior::Status(400));
    server
}

async fn serve_with(folder: &tempfile::TempDir, server: &ModelServer) -> ServeProcess {
    let engines = json!({ "a@1": server.engine(&json!({ "dialect": "vllm" })) });
    let routes = json!([{ "modes": ["text", "fields"], "primary": "a@1", "review_below": 0.6 }]);
    ServeProcess::start(ServeOptions::new(folder.path()).dev().engines(&engine_config(&engines, &routes))).await
}

fn upload(sheets: &[TestPage]) -> [UploadFile; 1] {
    [UploadFile::new("letter.pdf", pdf(sheets))]
}

/// Returns the lines of `review list` for this task. Each starts with the name of its entry.
async fn listed_entries(serve: &ServeProcess, id: &str) -> Vec<String> {
    let listed = serve.quire(&["review", "list"]).await.expect_stdout();
    listed.lines().filter(|line| line.contains(id)).map(str::to_owned).collect()
}

fn entry_name(line: &str) -> String {
    line.split_whitespace().next().expect("a line starts with a name").to_owned()
}

async fn correct(serve: &ServeProcess, name: &str, text: &str) -> String {
    let file = serve.data().with_extension("correction");
    fs::write(&file, text).expect("the file can be written");
    let file = file.to_str().expect("the path is UTF-8");
    serve.quire(&["review", "correct", name, "--text", file, "--by", "Ada"]).await.expect_stdout()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_low_confidence_is_reviewed_and_corrected() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start_unsure_server();
    let receiver = CallbackReceiver::start().await;
    let serve = serve_with(&folder, &server).await;
    let sheets = [TestPage::new("Unsure"), TestPage::new("As unsure")];
    let id = serve.api().submit(upload(&sheets), &receiver.url()).await.accepted_task_id();
    let task = serve.api().await_callback(&id, "delivered").await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    let pages = &task["documents"][0]["pages"];
    assert_eq!((&pages[0]["needs_review"], &pages[1]["needs_review"]), (&json!(true), &json!(true)), "{task:#}");
    let lines = listed_entries(&serve, &id).await;
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].contains("0.40"), "the confidence is listed: {lines:#?}");

    let first = entry_name(&lines[0]);
    let second = entry_name(&lines[1]);
    let image = folder.path().join("page.png");
    let shown = serve
        .quire(&["review", "show", &first, "--image", image.to_str().expect("the path is UTF-8")])
        .await
        .expect_stdout();
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&shown["standing"], &shown["reason"]), (&json!("waiting"), &json!("low_confidence")), "{shown:#}");
    assert_eq!(shown["text"]["lines"][1]["text"], "Second line", "{shown:#}");
    let size = image::image_dimensions(&image).expect("the image can be read");
    assert_eq!(json!([size.0, size.1]), json!([pages[0]["width"], pages[0]["height"]]));
    serve.quire(&["review", "accept", &second, "--by", "Ada"]).await.expect_stdout();
    assert_eq!(listed_entries(&serve, &id).await.len(), 1);
    assert_eq!(receiver.callbacks().len(), 1, "accepting a page sends no callback");

    correct(&serve, &first, "What it says\nin truth\n").await;
    assert_corrected(&serve, &receiver, &id, "What it says\nin truth").await;
    assert!(listed_entries(&serve, &id).await.is_empty());
    let log = serve.log();
    assert!(!log.contains("in truth") && !log.contains("Second line"), "texts are not logged:\n{log}");
    let again = serve.quire(&["review", "accept", &first]).await;
    assert!(again.expect_error_line().contains(&first), "{again:#?}");
}

/// Asserts that the first page has this text, and that a second, correctly signed callback reported it.
async fn assert_corrected(serve: &ServeProcess, receiver: &CallbackReceiver, id: &str, text: &str) {
    let deliveries = receiver.await_callbacks(2).await;
    let task = serve.api().await_callback(id, "delivered").await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    let page = &task["documents"][0]["pages"][0];
    assert_eq!(text_of(page), text, "{page:#}");
    assert_eq!(page["corrected"]["by"], "Ada", "{page:#}");
    assert!(page["corrected"]["at"].is_string() && page.get("needs_review").is_none(), "{page:#}");
    let update: Value = deliveries[1].json();
    assert_eq!(update["type"], "task.updated", "{update:#}");
    assert_eq!(text_of(&update["pages"][0]), text);
    assert_ne!(deliveries[0].webhook_id(), deliveries[1].webhook_id(), "another event");
    let secret = serve.quire(&["webhook-secret"]).await.expect_stdout();
    let ReceivedCallback { headers, body, .. } = &deliveries[1];
    assert!(is_verified(secret.trim(), headers, body).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_of_a_failed_page_lets_its_task_succeed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start_unsure_server();
    let receiver = CallbackReceiver::start().await;
    let serve = serve_with(&folder, &server).await;
    let sheets = [TestPage::new("Unreadable").yellow()];
    let id = serve.api().submit(upload(&sheets), &receiver.url()).await.accepted_task_id();
    let task = serve.api().await_callback(&id, "delivered").await;
    assert_eq!(task["status"], "failed", "{task:#}");
    assert_eq!(receiver.callbacks()[0].json()["type"], "task.failed");
    let lines = listed_entries(&serve, &id).await;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    correct(&serve, &entry_name(&lines[0]), "Unreadable").await;
    assert_corrected(&serve, &receiver, &id, "Unreadable").await;
    assert_eq!(files_below(&serve.objects().join("pages").join(&id)).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callback_of_a_correction_survives_a_crash() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start_unsure_server();
    let receiver = CallbackReceiver::start().await;
    let mut serve = serve_with(&folder, &server).await;
    let id = serve.api().submit(upload(&[TestPage::new("Unsure")]), &receiver.url()).await.accepted_task_id();
    serve.api().await_callback(&id, "delivered").await;
    let name = entry_name(&listed_entries(&serve, &id).await[0]);
    // Callbacks fail until the server has been killed.
    receiver.respond_with(503);
    correct(&serve, &name, "What it says").await;
    serve.kill();
    receiver.respond_with(200);
    let count_before = receiver.callbacks().len();
    serve.restart();
    serve.await_healthy().await;
    let task = serve.api().await_callback(&id, "delivered").await;
    assert_eq!(text_of(&task["documents"][0]["pages"][0]), "What it says");
    let deliveries = receiver.callbacks();
    assert!(deliveries.len() > count_before, "the callback is sent again");
    assert_eq!(deliveries.last().expect("there are callbacks").json()["type"], "task.updated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_fields_mode_is_corrected_with_a_json_object() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start_unsure_server();
    let serve = serve_with(&folder, &server).await;
    let asked = [("mode", "fields"), ("keys", "total"), ("keys", "date")];
    let id = serve.api().post_form("/ocr/async", upload(&[TestPage::new("Bill")]), &asked).await.accepted_task_id();
    serve.api().await_end(&id).await;
    let name = entry_name(&listed_entries(&serve, &id).await[0]);
    let refused = {
        let file = folder.path().join("prose");
        fs::write(&file, "twelve fifty").expect("the file can be written");
        serve.quire(&["review", "correct", &name, "--text", file.to_str().expect("the path is UTF-8")]).await
    };
    assert!(refused.expect_error_line().contains(expected_texts::CORRECTION_NOT_JSON), "{refused:#?}");
    correct(&serve, &name, r#"{"total": "13.50", "date": "May 1"}"#).await;
    let task = eventually("the page is corrected", || async {
        let task = serve.api().task(&id).await;
        task["documents"][0]["pages"][0]["corrected"].is_object().then_some(task)
    })
    .await;
    let page = &task["documents"][0]["pages"][0];
    assert_eq!(page["fields"], json!({ "total": "13.50", "date": "May 1" }), "{page:#}");
    assert_eq!((engine_of(page).as_str(), without_whitespace(text_of(page)).is_empty()), ("a@1", false));
}
