//! `GET /task/{task_id}/result`.

use serde_json::json;

use crate::support::{TestWorld, images};

async fn ended(world: &TestWorld) -> String {
    let answer = world.post("/ocr/async", &images(&["pages=2 broken=2", "pages=1"])).await;
    let id = answer.json()["task_id"].as_str().expect("a task id").to_owned();
    world.ended(&id).await;
    id
}

#[tokio::test]
async fn a_result_is_returned_in_every_format_repeatedly() {
    let world = TestWorld::new().await;
    let id = ended(&world).await;
    for (format, media, part) in [
        ("text", "text/plain; charset=utf-8", "page 1 of pages=2 broken=2\n\u{C}\u{C}page 1 of pages=1\n\u{C}"),
        ("markdown", "text/markdown; charset=utf-8", "page 1 of pages=2 broken=2\n"),
        ("hocr", "text/html; charset=utf-8", "class=\"ocr_line\""),
        ("alto", "application/xml", "CONTENT=\"broken=2\""),
        ("json", "application/json", "\"file\":\"scan.png\""),
    ] {
        for _ in 0..2 {
            let answer = world.get(&format!("/task/{id}/result?format={format}")).await;
            assert_eq!((answer.status, answer.header("content-type")), (200, Some(media)));
            assert!(answer.text.contains(part), "{format}: {}", answer.text);
            assert!(answer.header("content-disposition").is_some_and(|value| value.starts_with("attachment; ")));
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
    }
    let usual = world.get(&format!("/task/{id}/result")).await.json();
    assert_eq!(usual[1]["pages"][0]["lines"][0]["text"], json!("page 1 of pages=1"));
}

#[tokio::test]
async fn an_unknown_format_and_an_open_task_are_refused() {
    let world = TestWorld::without_worker(|_| {}).await;
    let answer = world.post("/ocr/async", &images(&["pages=1"])).await;
    let id = answer.json()["task_id"].as_str().expect("a task id").to_owned();
    let early = world.get(&format!("/task/{id}/result")).await.problem(409, "task_not_ended");
    assert_eq!((&early["retryable"], &early["task_id"]), (&json!(true), &json!(id)));
    let unknown = world.get(&format!("/task/{id}/result?format=docx")).await.problem(422, "invalid_field");
    assert_eq!(unknown["pointer"], "#/format");
    world.get("/task/task_00000000000000000000000000000000/result").await.problem(404, "task_not_found");
}

#[tokio::test]
async fn a_json_result_of_any_size_equals_the_batch_response() {
    let world = TestWorld::new().await;
    let documents = ["pages=70 broken=69", "pages=1 bad=1", "pages=2"];
    let batch = world.post("/ocr/batch", &images(&documents)).await;
    assert_eq!(batch.status, 200, "{}", batch.text);
    let batch = batch.json();
    let id = batch[0]["task_id"].as_str().expect("a task id");
    let result = world.get(&format!("/task/{id}/result")).await.json();
    assert_eq!(result, batch);
    assert_eq!(result[0]["pages"].as_array().map(Vec::len), Some(70));
    let text = world.get(&format!("/task/{id}/result?format=text")).await.text;
    assert_eq!(text.matches('\u{C}').count(), 73, "every page has its place");
    assert!(text.ends_with("page 1 of pages=2\n\u{C}page 2 of pages=2\n\u{C}"), "{text}");
}
