//! Authentication by API key.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use quire_submit::KeyPolicy;
use quire_tasks::{Tenant, UnixMillis};
use quire_tenants::{create_key, revoke_key};
use reqwest::Method;
use serde_json::Value;

use crate::support::{FormPart, TestResponse, TestWorld, body, boundary, image, images};

const MADE: UnixMillis = UnixMillis(1_700_000_000_000);

/// Creates a key of a tenant: returns its id and the key.
pub(crate) async fn key(world: &TestWorld, tenant: &str, random: u8) -> (String, String) {
    let tenant: Tenant = tenant.parse().expect("a name");
    let (entry, key) = create_key(&world.backend, &tenant, "", MADE, [random; 32]).await.expect("a key");
    (entry.id, key.reveal().to_owned())
}

pub(crate) async fn ask(world: &TestWorld, method: Method, path: &str, key: Option<&str>) -> TestResponse {
    let request = world.client.request(method, world.url(path));
    let request = key.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
    TestResponse::read(request.send().await.expect("an answer")).await
}

pub(crate) async fn send(world: &TestWorld, path: &str, parts: &[FormPart<'_>], key: &str) -> TestResponse {
    let request = world.client.post(world.url(path)).header("content-type", boundary()).body(body(parts));
    TestResponse::read(request.bearer_auth(key).send().await.expect("an answer")).await
}

/// Returns all calls of the API, from its `OpenAPI` description.
pub(crate) fn calls() -> Vec<(Method, String)> {
    let api: Value = serde_json::from_str(include_str!("../../openapi.json")).expect("JSON");
    let paths = api["paths"].as_object().expect("paths");
    let methods = |path: &str, calls: &Value| {
        let named = calls.as_object().expect("calls").keys().map(|name| name.to_uppercase());
        let methods =
            named.filter_map(|name| ["GET", "POST", "DELETE", "PUT"].contains(&name.as_str()).then_some(name));
        let calls = methods.map(|name| (name.parse().expect("a method"), path.to_owned()));
        calls.collect::<Vec<(Method, String)>>()
    };
    paths.iter().flat_map(|(path, calls)| methods(path, calls)).collect()
}

async fn ends_refused(world: &TestWorld, path: &str, key: &str) {
    let begun = Instant::now();
    while ask(world, Method::GET, path, Some(key)).await.status != 401 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the key is still valid");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn without_a_key_every_private_call_is_refused() {
    let world = TestWorld::without_worker(|settings| settings.keys = KeyPolicy::Required).await;
    for (method, path) in calls() {
        let answer = ask(&world, method.clone(), &path, None).await;
        if ["/healthz", "/openapi.json"].contains(&path.as_str()) {
            assert_eq!(answer.status, 200, "{method} {path}");
            continue;
        }
        let problem = answer.problem(401, "unauthorized");
        assert_eq!(problem["retryable"], false, "{method} {path}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{method} {path}");
    }
    ask(&world, Method::GET, "/nowhere", None).await.problem(401, "unauthorized");
    world.assert_empty().await;
}

#[tokio::test]
async fn with_keys_off_the_authorization_header_is_ignored() {
    let world = TestWorld::without_worker(|settings| settings.keys = KeyPolicy::Off).await;
    let (_, acme) = key(&world, "acme", 1).await;
    let accepted = send(&world, "/ocr/async", &[image("pages=1")], "a.signed.token").await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let path = format!("/task/{}", accepted.json()["task_id"].as_str().expect("an id"));
    for credentials in [None, Some(&*acme), Some("another.signed.token")] {
        assert_eq!(ask(&world, Method::GET, &path, credentials).await.status, 200, "all are one tenant");
    }
}

#[tokio::test]
async fn without_keys_requests_belong_to_the_default_tenant_and_a_wrong_key_is_refused() {
    let world = TestWorld::new().await;
    let answer = world.post("/ocr", &[image("pages=1")]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let id = answer.json()["task_id"].as_str().expect("an id").to_owned();
    let task = world.backend.tasks.task(id.parse().expect("an id")).await.expect("the task");
    assert_eq!(task.tenant, Tenant::default());
    let path = format!("/task/{id}");
    for wrong in ["nonsense", &format!("quire_{}", "A".repeat(43))] {
        ask(&world, Method::GET, &path, Some(wrong)).await.problem(401, "unauthorized");
    }
    let basic = world.client.get(world.url(&path)).basic_auth("quire", Some("x")).send().await.expect("an answer");
    TestResponse::read(basic).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn once_a_key_exists_keys_are_required() {
    let mut world = TestWorld::new().await;
    let (_, good) = key(&world, "acme", 1).await;
    let (_, address) = world.another_server(|_| {}).await;
    let answer = world.client.get(format!("http://{address}/task")).send().await.expect("an answer");
    TestResponse::read(answer).await.problem(401, "unauthorized");
    assert_eq!(ask(&world, Method::GET, "/task", Some(&good)).await.status, 200);
}

#[tokio::test]
async fn a_task_is_invisible_to_other_tenants() {
    let world = TestWorld::new().await;
    let ((_, acme), (_, other)) = (key(&world, "acme", 1).await, key(&world, "other", 2).await);
    let answer = send(&world, "/ocr", &[image("pages=1")], &acme).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let id = answer.json()["task_id"].as_str().expect("an id").to_owned();
    let task = world.backend.tasks.task(id.parse().expect("an id")).await.expect("the task");
    assert_eq!(task.tenant.as_str(), "acme");
    let delivery = quire_tasks::WebhookId::for_round_end(task.id, task.round).to_string();
    let named = calls().into_iter().filter(|(_, path)| path.contains('{'));
    let mut asked = 0;
    for (method, path) in named {
        let filled = path.replace("{task_id}", &id).replace("{delivery_id}", &delivery);
        let filled = filled.replace("{endpoint_id}", "0123456789abcdef");
        let answer = ask(&world, method.clone(), &filled, Some(&other)).await;
        let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == 404 && code.ends_with("_not_found"), "{method} {path}: {}", answer.text);
        asked += 1;
    }
    assert!(asked >= 8, "{asked}");
    let listed = async |key: &str| ask(&world, Method::GET, "/task", Some(key)).await.json()["tasks"].clone();
    assert_eq!(listed(&other).await, serde_json::json!([]));
    assert_eq!(listed(&acme).await[0]["task_id"], id);
    for path in ["", "/result", "/pages", "/deliveries"] {
        assert_eq!(ask(&world, Method::GET, &format!("/task/{id}{path}"), Some(&acme)).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn every_created_task_belongs_to_the_principal() {
    let world = TestWorld::without_worker(|settings| settings.sync_limit = Duration::from_millis(1)).await;
    world.faults.take_uploads();
    let (_, acme) = key(&world, "acme", 1).await;
    let mut ids = Vec::new();
    for (path, parts) in [("/ocr", vec![image("pages=1")]), ("/ocr/batch", images(&["pages=1", "pages=1"]))] {
        ids.push(send(&world, path, &parts, &acme).await);
    }
    ids.push(send(&world, "/ocr/async", &[image("pages=1")], &acme).await);
    let post = async |path: &str, json: Value| {
        TestResponse::read(
            world.client.post(world.url(path)).bearer_auth(&acme).json(&json).send().await.expect("an answer"),
        )
        .await
    };
    ids.push(post("/ocr/async", serde_json::json!({"image_url": "http://127.0.0.1:1/x"})).await);
    ids.push(post("/uploads", serde_json::json!({"content_type": "application/pdf", "bytes": 9})).await);
    for answer in ids {
        let id = answer.json()["task_id"].as_str().unwrap_or_else(|| panic!("{}", answer.text)).to_owned();
        let task = world.backend.tasks.task(id.parse().expect("an id")).await.expect("the task");
        assert_eq!(task.tenant.as_str(), "acme", "{}", answer.text);
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_within_seconds_everywhere() {
    let mut world = TestWorld::without_worker(|_| {}).await;
    let (id, good) = key(&world, "acme", 1).await;
    assert_eq!(ask(&world, Method::GET, "/task", Some(&good)).await.status, 200);
    revoke_key(&world.backend, &id, MADE).await.expect("it is written").expect("it is there");
    let (_, address) = world.another_server(|_| {}).await;
    let other = world.client.get(format!("http://{address}/task")).bearer_auth(&good).send().await.expect("an answer");
    TestResponse::read(other).await.problem(401, "unauthorized");
    ends_refused(&world, "/task", &good).await;
}

#[tokio::test]
async fn if_keys_cannot_be_read_requests_are_refused() {
    let world = TestWorld::without_worker(|_| {}).await;
    let (_, good) = key(&world, "acme", 1).await;
    world.faults.hide_keys();
    for key in [None, Some(good.as_str())] {
        let answer = ask(&world, Method::GET, "/task", key).await;
        assert_eq!(answer.problem(503, "busy")["retryable"], true);
        assert!(answer.header("retry-after").is_some() && !answer.text.contains("secret detail"), "{}", answer.text);
    }
    ask(&world, Method::GET, "/task", Some("nonsense")).await.problem(401, "unauthorized");
    assert_eq!(ask(&world, Method::GET, "/healthz", None).await.status, 200);
}

#[tokio::test]
async fn a_large_unauthenticated_body_is_drained_and_not_stored() {
    let world = TestWorld::without_worker(|settings| settings.keys = KeyPolicy::Required).await;
    let large = format!("pages=1 {}", "x".repeat(2 << 20));
    let answer = world.post("/ocr", &[image(&large)]).await;
    answer.problem(401, "unauthorized");
    world.assert_empty().await;
    drop(Arc::clone(&world.app));
}
