//! `GET /task/{task_id}/deliveries`, `POST /deliveries/{delivery_id}/resend` and `POST /webhooks/recover`.

use quire_platform::{Collection, QueueName};
use quire_tasks::{
    AttemptResult, Callback, CallbackUpdate, DeliveryAttempt, Task, TaskId, Tenant, UnixMillis, WebhookId,
};
use serde_json::{Value, json};

use crate::support::{FormPart, TestResponse, TestWorld, images};

const HOOK: FormPart<'_> =
    FormPart { field: "callback_url", file: None, content: "http://127.0.0.1:9/hook?token=secret" };

/// Creates an ended task whose callback was not attempted.
async fn ended(world: &TestWorld) -> TaskId {
    let form = [HOOK].into_iter().chain(images(&["pages=1"])).collect::<Vec<_>>();
    let answer = world.post("/ocr/async", &form).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let id = answer.json()["task_id"].as_str().expect("a task").to_owned();
    world.ended(&id).await;
    id.parse().expect("a task's id")
}

async fn update(world: &TestWorld, id: TaskId, update: CallbackUpdate) {
    let completion = world.backend.tasks.update_callback(id, 1, update).await.expect("an update");
    assert!(completion.changed());
}

fn exhausted() -> CallbackUpdate {
    CallbackUpdate::Exhausted { error: "the endpoint responded with status 410".to_owned() }
}

fn attempt(webhook_id: WebhookId, number: u32, at: i64, ending: AttemptResult) -> DeliveryAttempt {
    let delivered = ending == AttemptResult::Delivered;
    DeliveryAttempt {
        webhook_id,
        event: "task.succeeded".to_owned(),
        attempt: number,
        at: UnixMillis(at),
        duration_ms: 12,
        result: ending,
        status: Some(if delivered { 200 } else { 503 }),
        error: (!delivered).then(|| "the endpoint responded with status 503".to_owned()),
        response: (!delivered).then(|| "down".to_owned()),
        next_at: (!delivered).then_some(UnixMillis(at + 1000)),
    }
}

async fn note(world: &TestWorld, attempt: &DeliveryAttempt) {
    let body = serde_json::to_string(attempt).expect("JSON");
    world.backend.records.set(Collection::Deliveries, &attempt.key(), body, None).await.expect("it is written");
}

async fn resend(world: &TestWorld, id: &str) -> TestResponse {
    let request = world.client.post(world.url(&format!("/deliveries/{id}/resend")));
    TestResponse::read(request.send().await.expect("an answer")).await
}

/// Creates an ended task of another tenant, like `own`.
async fn of_another(world: &TestWorld, own: TaskId) -> TaskId {
    let own = world.backend.tasks.task(own).await.expect("a task");
    let (id, tenant) = (TaskId::derive_from(&["another's"]), "another".parse::<Tenant>().expect("a tenant"));
    let task = Task { id, tenant, ..own };
    world.backend.tasks.create(task).await.expect("it is created");
    id
}

#[tokio::test]
async fn deliveries_are_listed_newest_first_with_all_attempts() {
    let world = TestWorld::new().await;
    let id = ended(&world).await;
    let path = format!("/task/{id}/deliveries");
    assert_eq!(world.get(&path).await.json(), json!({"deliveries": [], "next": null}));
    let (first, second) = (WebhookId::for_round_end(id, 1), WebhookId::for_round_end(id, 2));
    note(&world, &attempt(first, 1, 1_700_000_000_000, AttemptResult::Retrying)).await;
    note(&world, &attempt(first, 2, 1_700_000_001_000, AttemptResult::GivenUp)).await;
    note(&world, &attempt(second, 1, 1_700_000_002_000, AttemptResult::Delivered)).await;
    note(&world, &attempt(first, 1, 1_700_000_003_000, AttemptResult::Delivered)).await;
    let log = world.get(&path).await.json();
    let deliveries = log["deliveries"].as_array().expect("deliveries");
    assert_eq!(
        deliveries.iter().map(|delivery| &delivery["id"]).collect::<Vec<_>>(),
        [&json!(second.to_string()), &json!(first.to_string())]
    );
    let endings = |delivery: &Value| -> Vec<String> {
        let attempts = delivery["attempts"].as_array().expect("attempts").iter();
        attempts.map(|attempt| attempt["ending"].as_str().expect("an ending").to_owned()).collect()
    };
    assert_eq!(endings(&deliveries[1]), ["retrying", "given_up", "delivered"]);
    let expected = json!({
        "attempt": 1, "at": "2023-11-14T22:13:20Z", "status": 503, "duration_ms": 12, "ending": "retrying",
        "error": "the endpoint responded with status 503", "answer": "down", "next_at": "2023-11-14T22:13:21Z",
    });
    assert_eq!(deliveries[1]["attempts"][0], expected);
    assert_eq!(log["next"], Value::Null);
}

#[tokio::test]
async fn deliveries_are_paginated_while_new_ones_arrive() {
    let world = TestWorld::new().await;
    let id = ended(&world).await;
    let notice = |number| WebhookId { progress: Some(number), ..WebhookId::for_round_end(id, 1) };
    for number in 1..=7 {
        note(&world, &attempt(notice(number), 1, i64::from(number), AttemptResult::Delivered)).await;
    }
    let (mut seen, mut query) = (Vec::new(), "limit=3".to_owned());
    loop {
        let page = world.get(&format!("/task/{id}/deliveries?{query}")).await.json();
        let deliveries = page["deliveries"].as_array().expect("deliveries");
        seen.extend(deliveries.iter().map(|delivery| delivery["id"].as_str().expect("an id").to_owned()));
        let number = 7 + seen.len() as u32;
        note(&world, &attempt(notice(number), 1, i64::from(number), AttemptResult::Delivered)).await;
        let Some(next) = page["next"].as_str() else { break };
        query = format!("limit=3&cursor={next}");
    }
    let expected: Vec<String> = (1..=7).rev().map(|number| notice(number).to_string()).collect();
    assert_eq!(seen, expected);
    for (query, pointer) in [("limit=0", "#/limit"), ("limit=101", "#/limit"), ("cursor=!", "#/cursor")] {
        let problem = world.get(&format!("/task/{id}/deliveries?{query}")).await.problem(422, "invalid_field");
        assert_eq!(problem["pointer"], pointer);
    }
}

#[tokio::test]
async fn a_delivered_event_is_resent_with_its_id() {
    let world = TestWorld::new().await;
    let id = ended(&world).await;
    let delivery = WebhookId::for_round_end(id, 1).to_string();
    for state in [CallbackUpdate::Delivered, exhausted()] {
        update(&world, id, state).await;
        let before = world.depth(QueueName::Callbacks).await;
        let answer = resend(&world, &delivery).await;
        assert_eq!((answer.status, answer.json()), (202, json!({"task_id": id, "delivery_id": delivery})));
        assert_eq!(world.depth(QueueName::Callbacks).await, before + 1);
        assert_eq!(world.get(&format!("/task/{id}")).await.json()["callback"]["state"], "pending");
    }
}

#[tokio::test]
async fn unknown_and_superseded_deliveries_are_not_resent() {
    let mut world = TestWorld::without_worker(|_| {}).await;
    let form = [HOOK].into_iter().chain(images(&["pages=1"])).collect::<Vec<_>>();
    let open: TaskId =
        world.post("/ocr/async", &form).await.json()["task_id"].as_str().expect("an id").parse().expect("an id");
    resend(&world, &WebhookId::for_round_end(open, 1).to_string()).await.problem(404, "delivery_not_found");
    world.start_worker();
    world.ended(&open.to_string()).await;
    let silent =
        world.post("/ocr/async", &images(&["pages=1"])).await.json()["task_id"].as_str().expect("an id").to_owned();
    world.ended(&silent).await;
    let silent = WebhookId::for_round_end(silent.parse().expect("an id"), 1).to_string();
    let unknown = WebhookId::for_round_end(TaskId::derive_from(&["unknown"]), 1).to_string();
    let later = WebhookId::for_round_end(open, 2).to_string();
    let foreign = WebhookId::for_round_end(of_another(&world, open).await, 1).to_string();
    for id in [&silent, &unknown, &later, &foreign, "msg_1", "..%2F..", "%ff"] {
        resend(&world, id).await.problem(404, "delivery_not_found");
    }
    let notice = WebhookId { progress: Some(1), ..WebhookId::for_round_end(open, 1) }.to_string();
    let problem = resend(&world, &notice).await.problem(409, "delivery_superseded");
    assert_eq!(problem["task_id"], open.to_string());
    world.backend.tasks.reopen(open, quire_platform::Reopen::All).await.expect("it is opened again");
    resend(&world, &WebhookId::for_round_end(open, 1).to_string()).await.problem(409, "delivery_superseded");
    assert_eq!(world.depth(QueueName::Callbacks).await, 0);
}

#[tokio::test]
async fn recover_resends_exhausted_callbacks_once() {
    let world = TestWorld::new().await;
    let (missed, taken) = (ended(&world).await, ended(&world).await);
    update(&world, missed, exhausted()).await;
    update(&world, taken, CallbackUpdate::Delivered).await;
    let foreign = of_another(&world, missed).await;
    let before = world.depth(QueueName::Callbacks).await;
    let recover = async |since: &str| world.post_json("/webhooks/recover", &json!({"since": since})).await;
    assert_eq!(recover("2999-01-01T00:00:00Z").await.json(), json!({"resent": 0, "next": null}));
    assert_eq!(recover("2020-01-01T00:00:00Z").await.json(), json!({"resent": 1, "next": null}));
    assert_eq!(world.depth(QueueName::Callbacks).await, before + 1);
    update(&world, missed, CallbackUpdate::Delivered).await;
    assert_eq!(recover("2020-01-01T00:00:00+02:00").await.json(), json!({"resent": 0, "next": null}));
    let state = world.backend.tasks.task(foreign).await.expect("a task").callback_state();
    assert_eq!(state, quire_tasks::CallbackState::Exhausted, "another tenant's stays as it is");
}

#[tokio::test]
async fn recover_resumes_an_interrupted_resend() {
    let world = TestWorld::new().await;
    let id = ended(&world).await;
    update(&world, id, exhausted()).await;
    // The first of the two steps only.
    update(&world, id, CallbackUpdate::Resend).await;
    let before = world.depth(QueueName::Callbacks).await;
    let answer = world.post_json("/webhooks/recover", &json!({"since": "2020-01-01T00:00:00Z"})).await;
    assert_eq!(answer.json()["resent"], 1);
    assert_eq!(world.depth(QueueName::Callbacks).await, before + 1);
}

#[tokio::test]
async fn recover_continues_at_its_cursor() {
    let world = TestWorld::without_worker(|_| {}).await;
    let hook = Callback::new("http://127.0.0.1:9/hook".to_owned());
    for number in 0..230_i64 {
        let id = TaskId::derive_from(&["a task", &number.to_string()]);
        let created_at = UnixMillis(1_700_000_000_000 + number / 7);
        let mut task = Task::new(id, Tenant::default(), created_at, Vec::new(), None);
        (task.callback, task.dispatched, task.expires_at) = (exhausted().apply(&hook), true, UnixMillis(i64::MAX / 2));
        world.backend.tasks.create(task).await.expect("it is created");
    }
    let (mut resent, mut cursor) = (0, Value::Null);
    for calls in 1.. {
        let body = json!({"since": "2020-01-01T00:00:00Z", "cursor": cursor});
        let answer = world.post_json("/webhooks/recover", &body).await.json();
        resent += answer["resent"].as_u64().expect("a number");
        cursor = answer["next"].clone();
        if cursor.is_null() {
            assert!(calls > 1, "one call is bounded");
            break;
        }
    }
    assert_eq!(resent, 230);
    assert_eq!(world.depth(QueueName::Callbacks).await, 230);
}

#[tokio::test]
async fn recover_requires_a_time() {
    let world = TestWorld::without_worker(|_| {}).await;
    let ask = async |body: Value| world.post_json("/webhooks/recover", &body).await;
    assert_eq!(ask(json!({})).await.problem(422, "missing_field")["pointer"], "#/since");
    assert_eq!(ask(json!({"since": "yesterday"})).await.problem(422, "invalid_field")["pointer"], "#/since");
    assert_eq!(ask(json!({"since": 7})).await.problem(422, "invalid_field")["pointer"], "#/since");
    let wrong = json!({"since": "2020-01-01T00:00:00Z", "cursor": "x"});
    assert_eq!(ask(wrong).await.problem(422, "invalid_field")["pointer"], "#/cursor");
    assert_eq!(ask(json!({"until": "x"})).await.problem(422, "unknown_field")["pointer"], "#/until");
    world.post("/webhooks/recover", &[]).await.problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn an_unreadable_log_is_a_problem_without_details() {
    let world = TestWorld::new().await;
    let id = ended(&world).await;
    world.faults.hide_records();
    let answer = world.get(&format!("/task/{id}/deliveries")).await;
    answer.problem(500, "internal");
    assert!(!answer.text.contains("secret"), "{}", answer.text);
    let foreign = of_another(&world, id).await;
    world.get(&format!("/task/{foreign}/deliveries")).await.problem(404, "task_not_found");
}
