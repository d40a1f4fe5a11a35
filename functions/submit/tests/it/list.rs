//! `GET /task`.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use quire_tasks::{
    CallbackUpdate, Document, DocumentFormat, DocumentState, Failure, FailureCode, Outcome, SplitDocument, Task,
    TaskId, Tenant, UnixMillis,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{TestWorld, now};

/// Returns a task of one page that was accepted this many milliseconds ago.
fn task(ago: i64) -> Task {
    let split = DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages: 1 });
    let (id, created_at) = (TaskId::new(Uuid::now_v7()), UnixMillis(now().0 - ago));
    Task::new(id, Tenant::default(), created_at, vec![Document::new(1, None, split)], None)
}

async fn add(world: &TestWorld, task: Task) -> String {
    world.backend.tasks.create(task).await.expect("the task is created").task().id.to_string()
}

fn ids(list: &Value) -> Vec<String> {
    let tasks = list["tasks"].as_array().expect("tasks");
    tasks.iter().map(|task| task["task_id"].as_str().expect("an id").to_owned()).collect()
}

async fn listed(world: &TestWorld, query: &str) -> Vec<String> {
    let answer = world.get(&format!("/task?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    ids(&answer.json())
}

/// Lists all tasks, page by page, and calls `between` after each page.
async fn walked(world: &TestWorld, query: &str, between: impl AsyncFn()) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let list = world.get(&format!("/task?{query}{cursor}")).await.json();
        all.extend(ids(&list));
        let Some(next) = list["next"].as_str() else { return all };
        cursor = format!("&cursor={next}");
        between().await;
    }
}

#[tokio::test]
async fn tasks_are_listed_newest_first_with_their_progress_and_without_text() {
    let world = TestWorld::without_worker(|_| {}).await;
    assert_eq!(world.get("/task").await.json(), json!({"tasks": [], "next": null}));
    let middle = add(&world, task(2000).with_tags(vec!["invoices".to_owned()])).await;
    let newer = add(&world, task(1000)).await;
    let list = world.get("/task").await.json();
    assert_eq!((ids(&list), &list["next"]), (vec![newer, middle.clone()], &Value::Null));
    let (entry, whole) = (&list["tasks"][1], world.get(&format!("/task/{middle}")).await.json());
    for (name, value) in entry.as_object().expect("an object") {
        assert_eq!(value, &whole[name], "{name} is the same in GET /task");
    }
    let rest = ["avg_confidence", "documents", "waiting_reason"];
    let names: BTreeSet<&str> = whole.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(names.len(), entry.as_object().expect("an object").len() + rest.len(), "{names:?}");
    assert_eq!((&entry["tags"], &entry["redacted"]), (&json!(["invoices"]), &json!(false)));
    assert!(entry["expires_at"].as_str() > entry["created_at"].as_str());
}

#[tokio::test]
async fn filters_select_tasks() {
    let world = TestWorld::without_worker(|_| {}).await;
    let old = task(60_000).with_tags(vec!["a".to_owned(), "b".to_owned()]);
    let mut middle = task(30_000);
    middle.callback = Some(quire_tasks::Callback::new("https://example.com/hook".to_owned()));
    let (at, page) = (middle.created_at, middle.pages().next().expect("a page"));
    let (old, middle, new) = (add(&world, old).await, add(&world, middle).await, add(&world, task(0)).await);
    let failed = Outcome::Failed(Failure::new(FailureCode::UnreadablePage, "broken"));
    world.backend.tasks.complete_page(page, 1, failed).await.expect("the page ends");
    let exhausted = CallbackUpdate::Exhausted { error: "410".to_owned() };
    world.backend.tasks.update_callback(page.task_id, 1, exhausted).await.expect("the callback is given up");

    let at = jiff::Timestamp::from_millisecond(at.0).expect("a time");
    for (query, expected) in [
        ("status=queued".to_owned(), vec![&new, &old]),
        ("status=failed".to_owned(), vec![&middle]),
        ("status=succeeded".to_owned(), vec![]),
        ("tag=b".to_owned(), vec![&old]),
        ("tag=B".to_owned(), vec![]),
        ("callback=exhausted".to_owned(), vec![&middle]),
        ("callback=none".to_owned(), vec![&new, &old]),
        (format!("created_after={at}"), vec![&new, &middle]),
        (format!("created_before={at}"), vec![&old]),
        (format!("created_after={at}&created_before={at}"), vec![]),
        (format!("created_before={at}&tag=a&status=queued&callback=none"), vec![&old]),
        ("_=1&unknown=x".to_owned(), vec![&new, &middle, &old]),
    ] {
        assert_eq!(listed(&world, &query).await.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    let later = at + Duration::from_nanos(1);
    assert_eq!(listed(&world, &format!("created_after={later}")).await, [new]);
    assert_eq!(listed(&world, &format!("created_before={later}")).await, [middle, old]);
}

#[tokio::test]
async fn pagination_neither_skips_nor_repeats_tasks_under_changes() {
    let world = TestWorld::without_worker(|_| {}).await;
    // Several of one millisecond: only their ids distinguish them.
    let mut expected = Vec::new();
    for ago in [5000, 4000, 4000, 4000, 3000, 2000, 2000] {
        expected.push(add(&world, task(ago)).await);
    }
    let gone = add(&world, task(4000)).await.parse().expect("an id");
    let disturb = async || {
        add(&world, task(0)).await;
        world.backend.tasks.remove(gone).await.expect("removed");
    };
    let walked = walked(&world, "limit=2", disturb).await;
    let known: BTreeSet<&String> = expected.iter().collect();
    let met: Vec<&String> = walked.iter().filter(|id| known.contains(id)).collect();
    assert_eq!(met.iter().copied().collect::<BTreeSet<_>>(), known, "none is lost");
    assert_eq!(met.len(), known.len(), "and none comes twice");
}

#[tokio::test]
async fn a_full_page_has_a_cursor_only_if_more_follow() {
    let world = TestWorld::without_worker(|_| {}).await;
    let mut expected = Vec::new();
    for ago in (1..=4).rev() {
        expected.insert(0, add(&world, task(ago * 1000)).await);
    }
    for (limit, pages) in [(1, 4), (2, 2), (3, 2), (4, 1), (100, 1)] {
        let asked = std::cell::Cell::new(1);
        let count = async || asked.set(asked.get() + 1);
        assert_eq!(walked(&world, &format!("limit={limit}"), count).await, expected);
        assert_eq!(asked.get(), pages, "of {limit}");
    }
}

#[tokio::test]
async fn a_search_for_a_rare_task_continues_at_a_cursor() {
    let world = TestWorld::without_worker(|_| {}).await;
    let rare = add(&world, task(90_000).with_tags(vec!["rare".to_owned()])).await;
    join_all((0..600).map(|ago| add(&world, task(ago)))).await;
    let first = world.get("/task?tag=rare").await.json();
    assert_eq!((ids(&first), first["next"].is_string()), (vec![], true));
    assert_eq!(walked(&world, "tag=rare", async || {}).await, [rare]);
}

#[tokio::test]
async fn tasks_of_other_tenants_and_expired_tasks_are_not_listed() {
    let world = TestWorld::without_worker(|_| {}).await;
    let mut of_another = task(1000);
    of_another.tenant = "another".parse().expect("a tenant");
    let id = add(&world, of_another).await;
    world.get(&format!("/task/{id}")).await.problem(404, "task_not_found");
    add(&world, task(3_600_000).with_retention(Duration::from_mins(59))).await;
    let own = add(&world, task(3_600_000).with_retention(Duration::from_mins(61))).await;
    assert_eq!(listed(&world, "").await, [own]);
}

#[tokio::test]
async fn an_invalid_parameter_is_refused_with_its_name() {
    let world = TestWorld::without_worker(|_| {}).await;
    for (name, wrong) in [
        ("status", "done"),
        ("status", ""),
        ("callback", "failed"),
        ("created_after", "yesterday"),
        ("created_before", "2026-01-31"),
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "x"),
        ("cursor", "x"),
        ("cursor", "cC4xLjI"),
    ] {
        let answer = world.get(&format!("/task?{name}={wrong}")).await;
        assert_eq!(answer.problem(422, "invalid_field")["pointer"], format!("#/{name}"), "{wrong}");
    }
    let twice = world.get("/task?tag=a&tag=b").await.problem(422, "invalid_field");
    assert_eq!(twice["pointer"], "#/tag");
}
