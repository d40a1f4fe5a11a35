//! The words of lines, which results contain on request.

use serde_json::{Value, json};

use crate::support::{FormPart, TestWorld, image, images};

const WORDS: FormPart<'static> = FormPart { field: "words", file: None, content: "true" };

fn line(page: &Value) -> &Value {
    &page["lines"][0]
}

#[tokio::test]
async fn a_request_for_words_gets_them_in_every_answer() {
    let world = TestWorld::new().await;
    let answer = world.post("/ocr", &[image("pages=1"), WORDS]).await.json();
    let words = line(&answer["pages"][0])["words"].as_array().expect("words").clone();
    let texts: Vec<&str> = words.iter().filter_map(|word| word["text"].as_str()).collect();
    assert_eq!(texts, ["page", "1", "of", "pages=1"]);
    assert_eq!(words[0]["polygon"], json!([[1.0, 2.0], [30.5, 2.0], [30.5, 12.0], [1.0, 12.0]]));
    let id = answer["task_id"].as_str().expect("a task id");
    let task = world.get(&format!("/task/{id}")).await.json();
    assert_eq!(line(&task["documents"][0]["pages"][0])["words"], json!(words));
    let without = world.get(&format!("/task/{id}/result?words=false")).await.json();
    assert_eq!(line(&without[0]["pages"][0]).get("words"), None);
}

#[tokio::test]
async fn words_are_left_out_unless_a_parameter_asks_for_them() {
    let world = TestWorld::new().await;
    let answer = world.post("/ocr/batch", &images(&["pages=1"])).await.json();
    assert_eq!(line(&answer[0]["pages"][0]).get("words"), None);
    let id = answer[0]["task_id"].as_str().expect("a task id");
    let task = world.get(&format!("/task/{id}?words=true")).await.json();
    assert_eq!(line(&task["documents"][0]["pages"][0])["words"].as_array().map(Vec::len), Some(4));
    for _ in 0..2 {
        let result = world.get(&format!("/task/{id}/result?words=true")).await.json();
        assert_eq!(line(&result[0]["pages"][0])["words"].as_array().map(Vec::len), Some(4));
        let usual = world.get(&format!("/task/{id}/result")).await.json();
        assert_eq!(line(&usual[0]["pages"][0]).get("words"), None);
    }
}

#[tokio::test]
async fn other_values_than_true_and_false_are_refused() {
    let world = TestWorld::without_worker(|_| {}).await;
    let wrong = FormPart { field: "words", file: None, content: "yes" };
    let problem = world.post("/ocr/async", &[&images(&["pages=1"])[..], &[wrong]].concat()).await;
    assert_eq!(problem.problem(422, "invalid_field")["pointer"], "#/words");
    let answer = world.post("/ocr/async", &images(&["pages=1"])).await.json();
    let id = answer["task_id"].as_str().expect("a task id");
    let problem = world.get(&format!("/task/{id}?words=1")).await.problem(422, "invalid_field");
    assert_eq!(problem["pointer"], "#/words");
}
