//! The `OpenAPI` description matches the router. The journeys check that responses match the description.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use crate::support::{TestResponse, TestWorld};

async fn document(world: &TestWorld) -> Value {
    let answer = world.get("/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    answer.json()
}

/// Returns the paths in the router's source.
fn routed() -> BTreeSet<String> {
    let source = include_str!("../../src/http/router.rs");
    let calls = source.split(".route(").skip(1);
    calls.map(|call| call.split('"').nth(1).expect("a path").to_owned()).collect()
}

#[tokio::test]
async fn openapi_lists_exactly_the_paths_of_the_router() {
    let world = TestWorld::without_worker(|_| {}).await;
    let document = document(&world).await;
    let described: BTreeSet<String> = document["paths"].as_object().expect("paths").keys().cloned().collect();
    assert_eq!(described, routed());
}

#[tokio::test]
async fn openapi_lists_exactly_the_methods_of_each_path() {
    let world = TestWorld::without_worker(|_| {}).await;
    let document = document(&world).await;
    for (path, calls) in document["paths"].as_object().expect("paths") {
        let described: BTreeSet<String> =
            calls.as_object().expect("calls").keys().map(|name| name.to_uppercase()).collect();
        let request = world.client.request(Method::TRACE, world.url(&path.replace(['{', '}'], "")));
        let answer = TestResponse::read(request.send().await.expect("an answer")).await;
        answer.problem(405, "method_not_allowed");
        // HTTP has HEAD wherever it has GET, without a description.
        let allowed = answer.header("allow").expect("the Allow header").split(',').map(|name| name.trim().to_owned());
        let allowed: BTreeSet<String> = allowed.filter(|name| name != "HEAD").collect();
        assert_eq!(allowed, described, "{path}");
    }
}

#[tokio::test]
async fn schemas_have_no_additional_properties() {
    let world = TestWorld::without_worker(|_| {}).await;
    let document = document(&world).await;
    // Their members depend on the deployment, the engines or the request.
    let open = ["EngineHealth", "Health"];
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        if schema["type"] == "object" && !open.contains(&name.as_str()) {
            assert_eq!(schema["additionalProperties"], false, "{name}");
        }
    }
}
