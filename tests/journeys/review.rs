//! Pages that somebody has to look at.

use std::fs;

use serde_json::{Value, json};

use crate::{
    callbacks::is_verified,
    harness::{
        Delivery, Launch, Manner, ModelServer, Receiver, Serve, Sheet, Upload, engine_of, eventually, files_below, pdf,
        routed, squeezed, text_of,
    },
};

/// A server that is not sure of anything, and refuses yellow pages.
fn unsure() -> ModelServer {
    let server = ModelServer::start();
    server.is_sure(0.4);
    server.behaves_with_yellow(Manner::Status(400));
    server
}

async fn served(folder: &tempfile::TempDir, server: &ModelServer) -> Serve {
    let engines = json!({ "a@1": server.engine(&json!({ "dialect": "vllm" })) });
    let routes = json!([{ "modes": ["text", "fields"], "primary": "a@1", "review_below": 0.6 }]);
    Serve::start(Launch::new(folder.path()).dev().engines(&routed(&engines, &routes))).await
}

fn upload(sheets: &[Sheet]) -> [Upload; 1] {
    [Upload::new("letter.pdf", pdf(sheets))]
}

/// What is listed for this page of this task; its name comes first.
async fn listed(serve: &Serve, id: &str) -> Vec<String> {
    let listed = serve.quire(&["review", "list"]).await.printed();
    listed.lines().filter(|line| line.contains(id)).map(str::to_owned).collect()
}

fn name_of(line: &str) -> String {
    line.split_whitespace().next().expect("a line begins with its name").to_owned()
}

async fn correct(serve: &Serve, name: &str, text: &str) -> String {
    let file = serve.data().with_extension("correction");
    fs::write(&file, text).expect("a file");
    let file = file.to_str().expect("a plain path");
    serve.quire(&["review", "correct", name, "--text", file, "--by", "Ada"]).await.printed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_its_engine_is_not_sure_of_is_looked_at_and_corrected() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, receiver) = (unsure(), Receiver::start().await);
    let serve = served(&folder, &server).await;
    let sheets = [Sheet::new("Unsure"), Sheet::new("As unsure")];
    let id = serve.api().submit(upload(&sheets), &receiver.url()).await.accepted();
    let task = serve.api().told(&id, "delivered").await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    let pages = &task["documents"][0]["pages"];
    assert_eq!((&pages[0]["needs_review"], &pages[1]["needs_review"]), (&json!(true), &json!(true)), "{task:#}");
    let lines = listed(&serve, &id).await;
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].contains("0.40"), "it says how sure: {lines:#?}");

    let (first, second) = (name_of(&lines[0]), name_of(&lines[1]));
    let picture = folder.path().join("page.png");
    let shown =
        serve.quire(&["review", "show", &first, "--image", picture.to_str().expect("a plain path")]).await.printed();
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&shown["standing"], &shown["reason"]), (&json!("waiting"), &json!("low_confidence")), "{shown:#}");
    assert_eq!(shown["text"]["lines"][1]["text"], "Second line", "{shown:#}");
    let size = image::image_dimensions(&picture).expect("a picture");
    assert_eq!(json!([size.0, size.1]), json!([pages[0]["width"], pages[0]["height"]]));
    serve.quire(&["review", "accept", &second, "--by", "Ada"]).await.printed();
    assert_eq!(listed(&serve, &id).await.len(), 1);
    assert_eq!(receiver.deliveries().len(), 1, "what is accepted is no news");

    correct(&serve, &first, "What it says\nin truth\n").await;
    is_corrected(&serve, &receiver, &id, "What it says\nin truth").await;
    assert!(listed(&serve, &id).await.is_empty());
    let log = serve.log();
    assert!(!log.contains("in truth") && !log.contains("Second line"), "texts stay out of the log:\n{log}");
    let again = serve.quire(&["review", "accept", &first]).await;
    assert!(again.complaint().contains(&first), "{again:#?}");
}

/// The first page has this text, and the customer was told of it by a second callback, rightly signed.
async fn is_corrected(serve: &Serve, receiver: &Receiver, id: &str, text: &str) {
    let deliveries = receiver.received(2).await;
    let task = serve.api().told(id, "delivered").await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    let page = &task["documents"][0]["pages"][0];
    assert_eq!(text_of(page), text, "{page:#}");
    assert_eq!(page["corrected"]["by"], "Ada", "{page:#}");
    assert!(page["corrected"]["at"].is_string() && page.get("needs_review").is_none(), "{page:#}");
    let update: Value = deliveries[1].json();
    assert_eq!(update["type"], "task.updated", "{update:#}");
    assert_eq!(text_of(&update["pages"][0]), text);
    assert_ne!(deliveries[0].webhook_id(), deliveries[1].webhook_id(), "another event");
    let secret = serve.quire(&["webhook-secret"]).await.printed();
    let Delivery { headers, body, .. } = &deliveries[1];
    assert!(is_verified(secret.trim(), headers, body).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_no_engine_could_read_is_written_by_hand_and_its_task_has_succeeded() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, receiver) = (unsure(), Receiver::start().await);
    let serve = served(&folder, &server).await;
    let sheets = [Sheet::new("Unreadable").yellow()];
    let id = serve.api().submit(upload(&sheets), &receiver.url()).await.accepted();
    let task = serve.api().told(&id, "delivered").await;
    assert_eq!(task["status"], "failed", "{task:#}");
    assert_eq!(receiver.deliveries()[0].json()["type"], "task.failed");
    let lines = listed(&serve, &id).await;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    correct(&serve, &name_of(&lines[0]), "Unreadable").await;
    is_corrected(&serve, &receiver, &id, "Unreadable").await;
    assert_eq!(files_below(&serve.objects().join("pages").join(&id)).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_is_told_of_even_if_the_server_dies_before_it_could_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, receiver) = (unsure(), Receiver::start().await);
    let mut serve = served(&folder, &server).await;
    let id = serve.api().submit(upload(&[Sheet::new("Unsure")]), &receiver.url()).await.accepted();
    serve.api().told(&id, "delivered").await;
    let name = name_of(&listed(&serve, &id).await[0]);
    // It takes no callback any more while the correction is made.
    receiver.answers(503);
    correct(&serve, &name, "What it says").await;
    serve.kill();
    receiver.answers(200);
    let told = receiver.deliveries().len();
    serve.revive();
    serve.healthy().await;
    let task = serve.api().told(&id, "delivered").await;
    assert_eq!(text_of(&task["documents"][0]["pages"][0]), "What it says");
    let deliveries = receiver.deliveries();
    assert!(deliveries.len() > told, "it is told again");
    assert_eq!(deliveries.last().expect("there are some").json()["type"], "task.updated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_was_read_for_fields_is_corrected_by_an_object() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = unsure();
    let serve = served(&folder, &server).await;
    let asked = [("mode", "fields"), ("keys", "total"), ("keys", "date")];
    let id = serve.api().ask("/ocr/async", upload(&[Sheet::new("Bill")]), &asked).await.accepted();
    serve.api().ended(&id).await;
    let name = name_of(&listed(&serve, &id).await[0]);
    let refused = {
        let file = folder.path().join("prose");
        fs::write(&file, "twelve fifty").expect("a file");
        serve.quire(&["review", "correct", &name, "--text", file.to_str().expect("a plain path")]).await
    };
    assert!(refused.complaint().contains("JSON object"), "{refused:#?}");
    correct(&serve, &name, r#"{"total": "13.50", "date": "May 1"}"#).await;
    let task = eventually("it is corrected", || async {
        let task = serve.api().task(&id).await;
        task["documents"][0]["pages"][0]["corrected"].is_object().then_some(task)
    })
    .await;
    let page = &task["documents"][0]["pages"][0];
    assert_eq!(page["fields"], json!({ "total": "13.50", "date": "May 1" }), "{page:#}");
    assert_eq!((engine_of(page).as_str(), squeezed(text_of(page)).is_empty()), ("a@1", false));
}
