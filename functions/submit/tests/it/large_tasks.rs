//! Tasks with more pages than a response lists.

use quire_tasks::{Document, DocumentFormat, DocumentState, SplitDocument, Task, TaskId, Tenant};
use serde_json::json;

use crate::support::TestWorld;

async fn stored(world: &TestWorld, pages: u32, documents: u32) -> TaskId {
    let split = DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages });
    let documents = (1..=documents).map(|number| Document::new(number, Some("a.pdf".to_owned()), split.clone()));
    let id = TaskId::derive_from(&["a large task", &pages.to_string()]);
    let task = Task::new(id, Tenant::default(), quire_platform::now(), documents.collect(), None);
    world.backend.tasks.create(task).await.expect("created");
    id
}

#[tokio::test]
async fn a_task_of_a_thousand_pages_lists_them_and_a_larger_one_does_not() {
    let world = TestWorld::without_worker(|_| {}).await;
    let id = stored(&world, 1_000, 1).await;
    let task = world.get(&format!("/task/{id}")).await.json();
    assert_eq!(task["documents"][0]["pages"].as_array().map(Vec::len), Some(1_000));
    assert!(task.get("pages_omitted").is_none() && task.get("pages_url").is_none());
    let id = stored(&world, 501, 2).await;
    let answer = world.get(&format!("/task/{id}")).await;
    assert!(answer.text.len() < 2_000, "{}", answer.text);
    let task = answer.json();
    assert_eq!(
        (&task["pages_omitted"], task["pages_url"].as_str()),
        (&true.into(), Some(&*format!("/task/{id}/pages")))
    );
    let progress = json!({"pages": 1_002, "open": 1_002, "succeeded": 0, "failed": 0, "canceled": 0});
    assert_eq!(task["progress"], progress);
    let document = json!({
        "task_id": id.to_string(), "document": 2, "file": "a.pdf", "status": "queued", "avg_confidence": null,
        "pages": [],
    });
    assert_eq!(task["documents"][1], document);
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn all_pages_of_a_large_task_are_listed_once() {
    let world = TestWorld::without_worker(|_| {}).await;
    let id = stored(&world, 1_250, 2).await;
    let mut cursor = String::new();
    let mut listed = Vec::new();
    loop {
        let list = world.get(&format!("/task/{id}/pages?limit=100{cursor}")).await.json();
        for page in list["pages"].as_array().expect("pages") {
            listed.push((page["document"].as_u64().expect("a number"), page["page"].as_u64().expect("a number")));
        }
        let Some(next) = list["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let expected: Vec<(u64, u64)> =
        (1..=2).flat_map(|document| (1..=1_250).map(move |page| (document, page))).collect();
    assert_eq!(listed, expected);
    let none = world.get(&format!("/task/{id}/pages?status=failed")).await.json();
    assert_eq!(none, json!({"pages": [], "next": null}));
}
