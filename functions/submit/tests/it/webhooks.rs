//! The setup of webhooks: `POST /webhooks/test`, signing secrets, and disabled endpoints.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use quire_callback::{Endpoint, EndpointState, Secrets, endpoint_key, sign};
use quire_platform::Collection;
use quire_tasks::{Tenant, UnixMillis};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{TestResponse, TestWorld};

type ReceivedEvents = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// Returns the single event that was received.
fn only(received: &ReceivedEvents) -> (HeaderMap, Bytes) {
    let received = received.lock().expect("no panic before");
    let [event] = &received[..] else { panic!("one event, not {}", received.len()) };
    event.clone()
}

/// Starts an endpoint that responds with this; it ends with the test's runtime.
async fn receiver(status: u16, text: &'static str) -> (String, ReceivedEvents) {
    let received = ReceivedEvents::default();
    let answer = move |State(received): State<ReceivedEvents>, headers: HeaderMap, body: Bytes| async move {
        received.lock().expect("no panic before").push((headers, body));
        (StatusCode::from_u16(status).expect("a status"), text)
    };
    let app = Router::new().fallback(answer).with_state(Arc::clone(&received));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook?token=secret", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, received)
}

async fn test(world: &TestWorld, url: &str) -> TestResponse {
    world.post_json("/webhooks/test", &json!({ "url": url })).await
}

async fn secret(world: &TestWorld) -> String {
    let answer = world.get("/webhooks/secret").await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.json()["secret"].as_str().expect("a secret").to_owned()
}

async fn rotate(world: &TestWorld) -> TestResponse {
    let request = world.client.post(world.url("/webhooks/secret/rotate"));
    TestResponse::read(request.send().await.expect("an answer")).await
}

/// Disables an endpoint.
async fn disable(world: &TestWorld, tenant: &Tenant, url: &str, state: EndpointState) -> String {
    let key = endpoint_key(tenant, url);
    let id = key.rsplit('/').next().expect("a key has parts").to_owned();
    let plain = url.split('?').next().expect("a beginning").to_owned();
    let (since, last_error) =
        (UnixMillis(1_700_000_000_000), Some("the endpoint responded with status 410".to_owned()));
    let endpoint = Endpoint { id: id.clone(), url: plain, state, since, failures: 5, last_error };
    let body = serde_json::to_string(&endpoint).expect("JSON");
    world.backend.records.set(Collection::Endpoints, &key, body, None).await.expect("it is written");
    id
}

async fn enable(world: &TestWorld, id: &str) -> TestResponse {
    let request = world.client.post(world.url(&format!("/webhooks/endpoints/{id}/enable")));
    TestResponse::read(request.send().await.expect("an answer")).await
}

async fn endpoints(world: &TestWorld) -> Vec<Value> {
    world.get("/webhooks/endpoints").await.json()["endpoints"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn a_test_event_is_signed_and_returns_the_response() {
    let world = TestWorld::without_worker(|_| {}).await;
    let (url, received) = receiver(200, "thanks").await;
    let answer = test(&world, &url).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let outcome = answer.json();
    assert_eq!(
        (&outcome["delivered"], &outcome["status"], &outcome["answer"]),
        (&json!(true), &json!(200), &json!("thanks"))
    );
    assert!(outcome["duration_ms"].is_u64() && outcome["error"].is_null(), "{outcome}");
    let (headers, body) = only(&received);
    let header = |name: &str| headers[name].to_str().expect("plain");
    assert_eq!(header("webhook-id"), outcome["webhook_id"]);
    let event: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(event["type"], "webhook.test");
    let secrets: Secrets = secret(&world).await.parse().expect("a secret");
    let at = header("webhook-timestamp").parse().expect("seconds");
    assert_eq!(header("webhook-signature"), sign(&secrets, header("webhook-id"), at, &body));
}

#[tokio::test]
async fn a_failed_test_event_returns_its_status() {
    let world = TestWorld::without_worker(|_| {}).await;
    let (url, _) = receiver(503, "down for maintenance").await;
    let outcome = test(&world, &url).await.json();
    let expected = (json!(false), json!(503), json!("the endpoint responded with status 503"));
    assert_eq!((outcome["delivered"].clone(), outcome["status"].clone(), outcome["error"].clone()), expected);
    assert_eq!(outcome["answer"], "down for maintenance");
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let answer = test(&world, &format!("http://{closed}/hook?token=secret")).await;
    let outcome = answer.json();
    assert_eq!((&outcome["delivered"], &outcome["status"]), (&json!(false), &Value::Null));
    assert!(outcome["error"].is_string() && !answer.text.contains("token=secret"), "{outcome}");
}

#[tokio::test]
async fn a_stalled_endpoint_does_not_block_the_call() {
    let world = TestWorld::without_worker(|settings| settings.webhook_test_limit = Duration::from_millis(300)).await;
    // The system accepts connections, and no process reads them.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook", silent.local_addr().expect("an address"));
    let begun = Instant::now();
    // More than the maximum in flight: the others time out waiting for a permit.
    let answers = futures_util::future::join_all((0..24).map(|_| test(&world, &url))).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    for answer in answers {
        match answer.status {
            200 => assert!(answer.json()["error"].as_str().is_some_and(|error| error.contains("took too long"))),
            _ => drop(answer.problem(503, "busy")),
        }
    }
}

#[tokio::test]
async fn a_disallowed_url_is_refused_with_its_field() {
    let world = TestWorld::without_worker(|_| {}).await;
    for url in [
        "https://10.0.0.1/",
        "https://169.254.169.254/latest",
        "https://[::ffff:10.0.0.1]/",
        "ftp://a.example/",
        "x",
        "",
    ] {
        assert_eq!(test(&world, url).await.problem(422, "url_refused")["pointer"], "#/url", "{url}");
    }
    let ask = async |body: Value| world.post_json("/webhooks/test", &body).await;
    assert_eq!(ask(json!({})).await.problem(422, "missing_field")["pointer"], "#/url");
    assert_eq!(ask(json!({"url": 1})).await.problem(422, "invalid_field")["pointer"], "#/url");
    assert_eq!(ask(json!({"url": "x", "secret": "y"})).await.problem(422, "unknown_field")["pointer"], "#/secret");
    ask(json!([])).await.problem(400, "malformed_json");
    world.post("/webhooks/test", &[]).await.problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn during_a_rotation_both_secrets_sign() {
    let world = TestWorld::without_worker(|_| {}).await;
    let old = secret(&world).await;
    assert_eq!(world.get("/webhooks/secret").await.json()["older_until"], Value::Null);
    let rotated = rotate(&world).await;
    assert_eq!((rotated.status, rotated.header("cache-control")), (200, Some("no-store")));
    let new = rotated.json()["secret"].as_str().expect("a secret").to_owned();
    assert!(new != old && new == secret(&world).await);
    assert!(rotated.json()["older_until"].is_string());
    assert_eq!(world.get("/webhooks/secret").await.json(), rotated.json());
    let (url, received) = receiver(204, "").await;
    assert_eq!(test(&world, &url).await.json()["delivered"], true);
    let (headers, body) = only(&received);
    let header = |name: &str| headers[name].to_str().expect("plain");
    let at = header("webhook-timestamp").parse().expect("seconds");
    let by = |secret: &str| sign(&secret.parse().expect("a secret"), header("webhook-id"), at, &body);
    assert_eq!(header("webhook-signature"), format!("{} {}", by(&new), by(&old)));
}

#[tokio::test]
async fn a_delivered_test_event_enables_the_endpoint() {
    let world = TestWorld::without_worker(|_| {}).await;
    let ((good, _), (bad, _)) = (receiver(200, "").await, receiver(500, "").await);
    for url in [&good, &bad] {
        disable(&world, &Tenant::default(), url, EndpointState::Disabled).await;
        test(&world, url).await;
    }
    let left = endpoints(&world).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["url"].as_str(), bad.split('?').next());
}

#[tokio::test]
async fn disabled_and_backed_off_endpoints_are_listed_and_enabled() {
    let world = TestWorld::without_worker(|_| {}).await;
    let (own, other) = (Tenant::default(), "default2".parse().expect("a tenant"));
    assert_eq!(world.get("/webhooks/endpoints").await.json(), json!({"endpoints": [], "next": null}));
    let until = UnixMillis(1_700_000_010_000);
    let open = disable(&world, &own, "https://a.example/hook?x=1", EndpointState::Open { until }).await;
    let gone = disable(&world, &own, "https://b.example/hook", EndpointState::Disabled).await;
    let foreign = disable(&world, &other, "https://c.example/hook", EndpointState::Disabled).await;
    let listed = endpoints(&world).await;
    let of = |id: &str| listed.iter().find(|endpoint| endpoint["id"] == id).expect("it is listed").clone();
    assert_eq!(listed.len(), 2);
    let expected = json!({
        "id": open, "url": "https://a.example/hook", "state": "open", "until": "2023-11-14T22:13:30Z",
        "since": "2023-11-14T22:13:20Z", "failures": 5, "last_error": "the endpoint responded with status 410",
    });
    assert_eq!(of(&open), expected);
    assert_eq!((&of(&gone)["state"], &of(&gone)["until"]), (&json!("disabled"), &Value::Null));
    for unknown in [&foreign, "0000000000000000", "x", "..%2Fdefault2%2F", "%ff"] {
        enable(&world, unknown).await.problem(404, "endpoint_not_found");
    }
    assert_eq!(enable(&world, &gone).await.status, 204);
    enable(&world, &gone).await.problem(404, "endpoint_not_found");
    assert_eq!(endpoints(&world).await.len(), 1);
}

#[tokio::test]
async fn endpoints_are_paginated() {
    let world = TestWorld::without_worker(|_| {}).await;
    for number in 0..5 {
        let url = format!("https://a.example/{number}");
        disable(&world, &Tenant::default(), &url, EndpointState::Disabled).await;
    }
    let (mut seen, mut query) = (Vec::new(), "limit=2".to_owned());
    loop {
        let page = world.get(&format!("/webhooks/endpoints?{query}")).await.json();
        let listed = page["endpoints"].as_array().expect("a list");
        seen.extend(listed.iter().map(|endpoint| endpoint["id"].as_str().expect("an id").to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("limit=2&cursor={next}");
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted() && seen.windows(2).all(|pair| pair[0] != pair[1]), "{seen:?}");
    world.get("/webhooks/endpoints?cursor=eA").await.problem(422, "invalid_field");
    world.faults.hide_records();
    let answer = world.get("/webhooks/endpoints").await;
    answer.problem(500, "internal");
    assert!(!answer.text.contains("secret detail"));
}
