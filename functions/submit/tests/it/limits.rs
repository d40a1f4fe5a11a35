//! Rate limits and quotas.

use std::num::NonZero;

use quire_tasks::Tenant;
use quire_tenants::TenantLimits;
use reqwest::Method;
use serde_json::json;

use crate::{
    auth::{ask, key, send},
    support::{TestResponse, TestWorld, image, images},
};

/// Returns a world with a tenant that has these limits, and its key.
async fn limited(limits: TenantLimits) -> (TestWorld, String) {
    let world = TestWorld::without_worker(|_| {}).await;
    let acme: Tenant = "acme".parse().expect("a name");
    TenantLimits::change(&world.backend, &acme, |_| limits).await.expect("it is written");
    let (_, key) = key(&world, "acme", 1).await;
    (world, key)
}

/// Limits that refill too slowly to matter during a test.
fn at_once(burst: u64) -> TenantLimits {
    TenantLimits { requests_per_minute: NonZero::new(1), burst: NonZero::new(burst), pages_per_day: None }
}

fn pages(per_day: u64) -> TenantLimits {
    TenantLimits { pages_per_day: NonZero::new(per_day), ..TenantLimits::default() }
}

/// Returns the seconds of `Retry-After`.
fn wait(answer: &TestResponse) -> u64 {
    answer.header("retry-after").expect("Retry-After").parse().expect("seconds")
}

#[tokio::test]
async fn a_tenant_without_limits_gets_no_limit_headers() {
    let world = TestWorld::without_worker(|_| {}).await;
    let answer = world.get("/task").await;
    assert_eq!((answer.status, answer.header("ratelimit"), answer.header("ratelimit-policy")), (200, None, None));
}

#[tokio::test]
async fn requests_over_the_rate_limit_are_refused_with_retry_after() {
    let (world, acme) = limited(at_once(3)).await;
    for left in ["\"requests\";r=2;t=60", "\"requests\";r=1;t=120", "\"requests\";r=0;t=180"] {
        let answer = ask(&world, Method::GET, "/task", Some(&acme)).await;
        assert_eq!((answer.status, answer.header("ratelimit")), (200, Some(left)));
        assert_eq!(answer.header("ratelimit-policy"), Some("\"requests\";q=1;w=60"));
    }
    let refused = send(&world, "/ocr", &[image("pages=1")], &acme).await;
    assert_eq!(refused.problem(429, "rate_limited")["retryable"], true);
    assert!((50..=60).contains(&wait(&refused)), "{}", wait(&refused));
    assert_eq!(refused.header("ratelimit-policy"), Some("\"requests\";q=1;w=60"));
    assert!(refused.header("ratelimit").is_some_and(|standing| standing.starts_with("\"requests\";r=0;t=1")));
    let (_, other) = key(&world, "other", 2).await;
    assert_eq!(ask(&world, Method::GET, "/task", Some(&other)).await.status, 200, "others are not limited");
    assert_eq!(ask(&world, Method::GET, "/healthz", None).await.status, 200);
    world.assert_empty().await;
}

#[tokio::test]
async fn a_rate_limit_is_shared_by_two_servers() {
    let (mut world, acme) = limited(at_once(100)).await;
    let (_, second) = world.another_server(|_| {}).await;
    let mut allowed = 0;
    for asked in 0..130 {
        let url = if asked % 2 == 0 { world.url("/task") } else { format!("http://{second}/task") };
        let answer = world.client.get(url).bearer_auth(&acme).send().await.expect("an answer");
        match answer.status().as_u16() {
            200 => allowed += 1,
            status => assert_eq!(status, 429),
        }
    }
    // Requests that a slow server has reserved are lost, and never granted twice.
    assert!((50..=100).contains(&allowed), "{allowed}");
}

#[tokio::test]
async fn a_refused_request_has_the_limit_headers() {
    let (world, acme) = limited(at_once(9)).await;
    let answer = ask(&world, Method::GET, "/task/task_1", Some(&acme)).await;
    answer.problem(404, "task_not_found");
    assert!(answer.header("ratelimit").is_some() && answer.header("ratelimit-policy").is_some());
}

#[tokio::test]
async fn uploaded_pages_are_charged_and_an_exceeded_quota_refuses_new_tasks_only() {
    let (world, acme) = limited(pages(2)).await;
    let first = send(&world, "/ocr/async", &images(&["pages=3", "garbage"]), &acme).await;
    assert_eq!(first.status, 202, "{}", first.text);
    assert_eq!(first.header("ratelimit"), Some("\"pages\";r=2;t=0"));
    assert_eq!(first.header("ratelimit-policy"), Some("\"pages\";q=2;w=86400"));
    let refused = send(&world, "/ocr/async", &[image("pages=1")], &acme).await;
    assert_eq!(refused.problem(429, "quota_exceeded")["retryable"], true);
    // One page over the quota, and one more to be allowed: two half days.
    assert!((86_000..=86_400).contains(&wait(&refused)), "{}", wait(&refused));
    let id = first.json()["task_id"].as_str().expect("an id").to_owned();
    let read = ask(&world, Method::GET, &format!("/task/{id}"), Some(&acme)).await;
    assert_eq!((read.status, read.header("ratelimit")), (200, None));
}

#[tokio::test]
async fn retried_pages_are_charged_again() {
    let (world, acme) = limited(pages(2)).await;
    let first = send(&world, "/ocr/async", &[image("pages=1")], &acme).await;
    let id = first.json()["task_id"].as_str().expect("an id").to_owned();
    let mut answers = Vec::new();
    for _ in 0..2 {
        ask(&world, Method::POST, &format!("/task/{id}/cancel"), Some(&acme)).await;
        answers.push(ask(&world, Method::POST, &format!("/task/{id}/retry"), Some(&acme)).await);
    }
    assert_eq!(answers[0].status, 202, "{}", answers[0].text);
    answers[1].problem(429, "quota_exceeded");
}

#[tokio::test]
async fn pages_of_a_fetched_document_are_charged_once() {
    let (world, acme) = limited(pages(10)).await;
    world.faults.take_uploads();
    let announced = json!({"content_type": "application/pdf", "bytes": 7});
    let request = world.client.post(world.url("/uploads")).bearer_auth(&acme).json(&announced);
    let answer = TestResponse::read(request.send().await.expect("an answer")).await;
    assert_eq!(answer.header("ratelimit"), Some("\"pages\";r=10;t=0"), "{}", answer.text);
    let task_id = answer.json()["task_id"].as_str().expect("an id").parse().expect("an id");
    let key = quire_tasks::ObjectKey::Inbox { task_id }.to_string();
    world.backend.objects.put(&key, "pages=7".into()).await.expect("it is put there");
    let message = quire_tasks::DocumentMessage { task_id, document: 1, round: 1, job: quire_tasks::DocumentJob::Split };
    let queue = world.backend.queue(quire_platform::QueueName::Documents);
    let outgoing = || quire_platform::OutgoingMessage::new(&message, &"acme".parse().expect("a name"));
    queue.send(vec![outgoing(), outgoing()]).await.expect("two messages");
    let consumer = quire_platform::Consumer::new(queue, std::time::Duration::from_mins(1));
    let mut taken = 0;
    while taken < 2 {
        for delivery in consumer.receive(1, std::time::Duration::from_secs(5)).await.expect("a receive") {
            quire_submit::ingest_one(&world.app, delivery.expect("a message")).await.expect("ingested");
            taken += 1;
        }
    }
    let next = send(&world, "/ocr/async", &[image("pages=1")], &acme).await;
    let standing = next.header("ratelimit").expect("a limit");
    assert!(standing.starts_with("\"pages\";r=3;"), "{standing}");
}
