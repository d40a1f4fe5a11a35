//! `GET /task/{task_id}/pages`.

use quire_tasks::{ObjectKey, PageRef};
use serde_json::{Value, json};

use crate::support::TestWorld;

fn places(list: &Value) -> Vec<(u64, u64)> {
    let number = |page: &Value, name: &str| page[name].as_u64().expect("a number");
    let pages = list["pages"].as_array().expect("pages");
    pages.iter().map(|page| (number(page, "document"), number(page, "page"))).collect()
}

#[tokio::test]
async fn each_page_has_its_status_and_text() {
    let world = TestWorld::new().await;
    let id = world.submitted(&["pages=2 broken=2", "pages=1"]).await;
    world.ended(&id).await;
    let list = world.get(&format!("/task/{id}/pages")).await.json();
    assert_eq!((places(&list), &list["next"]), (vec![(1, 1), (1, 2), (2, 1)], &Value::Null));
    let [read, failed, _] = &list["pages"].as_array().expect("pages")[..] else { panic!("{list}") };
    assert_eq!((&read["status"], &read["text"]), (&json!("succeeded"), &json!("page 1 of pages=2 broken=2")));
    assert!(read["confidence"].as_f64().is_some_and(|confidence| (confidence - 0.9).abs() < 1e-6));
    assert!(read["ended_at"].is_string() && read["error"].is_null() && read["needs_review"] == json!(false));
    assert_eq!((&failed["status"], &failed["error"]["code"]), (&json!("failed"), &json!("model_failed")));
    assert!(failed.get("text").is_none() && failed["confidence"].is_null());
}

#[tokio::test]
async fn pages_are_filtered_by_status() {
    let world = TestWorld::new().await;
    let id = world.submitted(&["pages=3 broken=2", "pages=2 bad=1", "garbage"]).await;
    world.ended(&id).await;
    let failed = world.get(&format!("/task/{id}/pages?status=failed")).await.json();
    assert_eq!(places(&failed), [(1, 2), (2, 1)], "a document that was refused has no pages");
    let read = world.get(&format!("/task/{id}/pages?status=succeeded&limit=1")).await.json();
    assert_eq!(places(&read), [(1, 1)]);
    let next = read["next"].as_str().expect("there are more");
    let rest = world.get(&format!("/task/{id}/pages?status=succeeded&cursor={next}")).await.json();
    assert_eq!((places(&rest), &rest["next"]), (vec![(1, 3), (2, 2)], &Value::Null));
}

#[tokio::test]
async fn pages_of_an_open_task_have_no_text() {
    let world = TestWorld::without_worker(|_| {}).await;
    let id = world.submitted(&["pages=2"]).await;
    world.read_page(&id, 1, 1, "a secret").await;
    let path = format!("/task/{id}/pages");
    let open = world.get(&path).await;
    let status = |list: &Value| [list["pages"][0]["status"].clone(), list["pages"][1]["status"].clone()];
    assert_eq!(status(&open.json()), ["succeeded", "queued"]);
    assert!(!open.text.contains("a secret"), "{}", open.text);
    assert_eq!(world.post_json(&format!("/task/{id}/cancel"), &json!({})).await.status, 200);
    let canceled = world.get(&path).await.json();
    assert_eq!(status(&canceled), ["succeeded", "canceled"]);
    assert_eq!(canceled["pages"][0]["text"], "a secret", "text that was read before stays");
    assert!(canceled["pages"][1]["ended_at"].is_string());
    let only = world.get(&format!("{path}?status=canceled")).await.json();
    assert_eq!(places(&only), [(1, 2)]);
}

#[tokio::test]
async fn a_missing_text_is_an_error_of_its_page_only() {
    let world = TestWorld::new().await;
    let id = world.submitted(&["pages=2"]).await;
    world.ended(&id).await;
    let page = PageRef { task_id: id.parse().expect("an id"), document: 1, page: 1 };
    world.backend.objects.delete(&ObjectKey::PageText { page, round: 1 }.to_string()).await.expect("deleted");
    let list = world.get(&format!("/task/{id}/pages")).await.json();
    assert_eq!(
        (&list["pages"][0]["status"], &list["pages"][0]["error"]["code"]),
        (&json!("succeeded"), &json!("internal"))
    );
    assert_eq!(list["pages"][1]["text"], "page 2 of pages=2");
    let task = world.get(&format!("/task/{id}")).await;
    assert_eq!(task.status, 200, "{}", task.text);
    let pages = task.json()["documents"][0]["pages"].clone();
    assert_eq!((&pages[0]["error"]["code"], &pages[1]["text"]), (&json!("internal"), &json!("page 2 of pages=2")));
    assert!(pages[0].get("text").is_none(), "{pages}");
}

#[tokio::test]
async fn invalid_parameters_are_refused() {
    let world = TestWorld::without_worker(|_| {}).await;
    let id = world.submitted(&["pages=1"]).await;
    let of_tasks = world.get("/task?limit=1").await.json();
    assert!(of_tasks["next"].is_null());
    for (name, wrong) in [("status", "processing"), ("limit", "0"), ("cursor", "x"), ("cursor", "dC4xLjI")] {
        let answer = world.get(&format!("/task/{id}/pages?{name}={wrong}")).await;
        assert_eq!(answer.problem(422, "invalid_field")["pointer"], format!("#/{name}"), "{wrong}");
    }
    world.get("/task/task_00000000000000000000000000000000/pages").await.problem(404, "task_not_found");
}
