//! The API's description is true to the router. That its answers are true to it, the journeys try.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use crate::support::{Answer, World};

async fn document(world: &World) -> Value {
    let answer = world.get("/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    answer.json()
}

/// The paths that the router's source names.
fn routed() -> BTreeSet<String> {
    let source = include_str!("../../src/http/router.rs");
    let calls = source.split(".route(").skip(1);
    calls.map(|call| call.split('"').nth(1).expect("a path").to_owned()).collect()
}

#[tokio::test]
async fn every_path_is_described_and_every_described_one_is_there() {
    let world = World::without_worker(|_| {}).await;
    let document = document(&world).await;
    let described: BTreeSet<String> = document["paths"].as_object().expect("paths").keys().cloned().collect();
    assert_eq!(described, routed());
}

#[tokio::test]
async fn every_method_is_described_and_every_described_one_is_there() {
    let world = World::without_worker(|_| {}).await;
    let document = document(&world).await;
    for (path, calls) in document["paths"].as_object().expect("paths") {
        let described: BTreeSet<String> =
            calls.as_object().expect("calls").keys().map(|name| name.to_uppercase()).collect();
        let request = world.client.request(Method::TRACE, world.url(&path.replace(['{', '}'], "")));
        let answer = Answer::of(request.send().await.expect("an answer")).await;
        answer.problem(405, "method_not_allowed");
        // Whatever can be got can be asked for without its body: HTTP says so, and no description has to.
        let allowed = answer.header("allow").expect("it says which").split(',').map(|name| name.trim().to_owned());
        let allowed: BTreeSet<String> = allowed.filter(|name| name != "HEAD").collect();
        assert_eq!(allowed, described, "{path}");
    }
}

#[tokio::test]
async fn nothing_in_an_answer_is_left_unsaid() {
    let world = World::without_worker(|_| {}).await;
    let document = document(&world).await;
    // What depends on the server, on the engines, or on what its customer asked for.
    let open = ["EngineHealth", "Health"];
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        if schema["type"] == "object" && !open.contains(&name.as_str()) {
            assert_eq!(schema["additionalProperties"], false, "{name}");
        }
    }
}
