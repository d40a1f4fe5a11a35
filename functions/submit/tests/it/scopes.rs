//! The scopes, the expiry and the last use of API keys.

use quire_platform::now;
use quire_tasks::UnixMillis;
use quire_tenants::{NewKey, Scope, Scopes, create_restricted_key, list_keys};
use reqwest::Method;
use serde_json::Value;

use crate::{
    auth::{ask, calls},
    support::TestWorld,
};

async fn key_of(world: &TestWorld, scopes: Scopes, expires_at: Option<UnixMillis>, random: u8) -> String {
    let new = NewKey { tenant: "acme".parse().expect("a name"), name: String::new(), scopes, expires_at };
    let (_, key) = create_restricted_key(&world.backend, new, now(), [random; 32]).await.expect("a key");
    key.reveal().to_owned()
}

/// Returns the scope that the description names for a call; `None` for a public one.
fn described_scope(api: &Value, method: &Method, path: &str) -> Option<Scope> {
    let name = api["paths"][path][method.as_str().to_lowercase()]["security"][0]["key"][0].as_str()?;
    Some(name.parse().expect("a scope"))
}

#[tokio::test]
async fn every_call_requires_its_scope() {
    let world = TestWorld::without_worker(|_| {}).await;
    let api: Value = serde_json::from_str(include_str!("../../openapi.json")).expect("JSON");
    let mut refused = 0;
    for (number, scope) in (1..).zip(Scope::ALL) {
        let key = key_of(&world, Scopes::from_iter([scope]), None, number).await;
        for (method, path) in calls() {
            let required = described_scope(&api, &method, &path);
            let answer = ask(&world, method.clone(), &path, Some(&key)).await;
            match required {
                Some(required) if required != scope && scope != Scope::Admin => {
                    let problem = answer.problem(403, "insufficient_scope");
                    let detail = problem["detail"].as_str().expect("a detail");
                    assert!(detail.ends_with(&format!("the scope {}.", required.as_str())), "{detail}");
                    refused += 1;
                }
                _ => assert!(![401, 403].contains(&answer.status), "{scope:?} {method} {path}: {}", answer.text),
            }
        }
    }
    assert!(refused > 50, "{refused}");
    world.assert_empty().await;
}

#[tokio::test]
async fn a_key_may_have_several_scopes() {
    let world = TestWorld::without_worker(|_| {}).await;
    let key = key_of(&world, Scopes::from_iter([Scope::Read, Scope::Webhooks]), None, 1).await;
    assert_eq!(ask(&world, Method::GET, "/task", Some(&key)).await.status, 200);
    assert_eq!(ask(&world, Method::GET, "/webhooks/secret", Some(&key)).await.status, 200);
    ask(&world, Method::HEAD, "/task", Some(&key)).await;
    ask(&world, Method::POST, "/webhooks/secret/rotate", Some(&key)).await.problem(403, "insufficient_scope");
    ask(&world, Method::POST, "/ocr", Some(&key)).await.problem(403, "insufficient_scope");
}

#[tokio::test]
async fn an_expired_key_is_unauthorized() {
    let world = TestWorld::without_worker(|_| {}).await;
    let expired = key_of(&world, Scopes::all(), Some(now()), 1).await;
    let problem = ask(&world, Method::GET, "/task", Some(&expired)).await.problem(401, "unauthorized");
    assert_eq!(problem["detail"], "Invalid, revoked or expired API key.");
    // The result of a valid key is cached, but not beyond its expiry.
    let soon = key_of(&world, Scopes::all(), Some(UnixMillis(now().0 + 1_000)), 2).await;
    assert_eq!(ask(&world, Method::GET, "/task", Some(&soon)).await.status, 200);
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    ask(&world, Method::GET, "/task", Some(&soon)).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_used_key_has_its_last_use() {
    let world = TestWorld::without_worker(|_| {}).await;
    let key = key_of(&world, Scopes::all(), None, 1).await;
    assert_eq!(list_keys(&world.backend).await.expect("the keys")[0].last_used_at, None);
    let begun = now();
    for _ in 0..5 {
        assert_eq!(ask(&world, Method::GET, "/task", Some(&key)).await.status, 200);
    }
    let used = list_keys(&world.backend).await.expect("the keys")[0].last_used_at.expect("it was used");
    assert!((begun.0..=now().0).contains(&used.0));
}
