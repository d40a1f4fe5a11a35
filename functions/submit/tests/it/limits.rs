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
    TenantLimits { requests_per_minute: NonZero::new(1), burst: NonZero::new(burst), ..TenantLimits::default() }
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
async fn pages_are_reserved_before_anything_is_stored_and_an_exceeded_quota_refuses_new_tasks_only() {
    let (world, acme) = limited(pages(4)).await;
    let refused = send(&world, "/ocr/async", &images(&["pages=3", "pages=2"]), &acme).await;
    let problem = refused.problem(429, "quota_exceeded");
    assert_eq!(problem["detail"], "Quota exceeded: 5 pages were sent; 4 of 4 pages per day remain.");
    assert_eq!((&problem["retryable"], refused.header("retry-after")), (&false.into(), None), "it never can succeed");
    world.assert_empty().await;
    let first = send(&world, "/ocr/async", &images(&["pages=3", "garbage"]), &acme).await;
    assert_eq!(first.status, 202, "{}", first.text);
    assert_eq!(first.header("ratelimit"), Some("\"pages\";r=4;t=0"));
    assert_eq!(first.header("ratelimit-policy"), Some("\"pages\";q=4;w=86400"));
    let refused = send(&world, "/ocr/async", &[image("pages=2")], &acme).await;
    assert_eq!(refused.problem(429, "quota_exceeded")["retryable"], true);
    // One page of four: a quarter of a day.
    assert!((21_500..=21_600).contains(&wait(&refused)), "{}", wait(&refused));
    assert_eq!(send(&world, "/ocr/async", &[image("pages=1")], &acme).await.status, 202);
    send(&world, "/ocr/async", &[image("pages=1")], &acme).await.problem(429, "quota_exceeded");
    let id = first.json()["task_id"].as_str().expect("an id").to_owned();
    let read = ask(&world, Method::GET, &format!("/task/{id}"), Some(&acme)).await;
    assert_eq!((read.status, read.header("ratelimit")), (200, None));
}

#[tokio::test]
async fn a_task_has_at_most_so_many_pages() {
    let own = TenantLimits { pages_per_task: NonZero::new(5), ..TenantLimits::default() };
    let (world, acme) = limited(own).await;
    let problem = send(&world, "/ocr/batch", &images(&["pages=3", "pages=3"]), &acme).await;
    let problem = problem.problem(413, "too_many_pages");
    assert_eq!(problem["detail"], "6 pages were sent; a task has at most 5.");
    world.assert_empty().await;
    let (_, other) = key(&world, "other", 2).await;
    let problem = send(&world, "/ocr/async", &images(&["pages=9999", "pages=2"]), &other).await;
    assert_eq!(problem.problem(413, "too_many_pages")["detail"], "10001 pages were sent; a task has at most 10000.");
}

/// Two servers with one backend, and many concurrent submissions of several documents each.
#[tokio::test]
async fn concurrent_submissions_to_two_servers_never_exceed_the_quota() {
    let (mut world, acme) = limited(pages(20)).await;
    let (_, second) = world.another_server(|_| {}).await;
    let submissions = (0..40).map(|number| {
        let url = if number % 2 == 0 { world.url("/ocr/async") } else { format!("http://{second}/ocr/async") };
        let body = crate::support::body(&images(&["pages=2", "pages=1"]));
        let request = world.client.post(url).header("content-type", crate::support::boundary()).body(body);
        let request = request.bearer_auth(&acme);
        async move { TestResponse::read(request.send().await.expect("an answer")).await }
    });
    let answers = futures_util::future::join_all(submissions).await;
    let accepted = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(accepted, 6, "20 pages are six times three");
    for refused in answers.iter().filter(|answer| answer.status != 202) {
        refused.problem(429, "quota_exceeded");
    }
    world.app.drained().await;
    assert!(world.depth(quire_platform::QueueName::Pages).await <= 18);
}

#[tokio::test]
async fn canceled_and_deleted_pages_are_given_back() {
    let (world, acme) = limited(pages(3)).await;
    for path in ["/cancel", ""] {
        let accepted = send(&world, "/ocr/async", &[image("pages=3")], &acme).await;
        assert_eq!(accepted.status, 202, "{}", accepted.text);
        let id = accepted.json()["task_id"].as_str().expect("an id").to_owned();
        let method = if path.is_empty() { Method::DELETE } else { Method::POST };
        let ended = ask(&world, method, &format!("/task/{id}{path}"), Some(&acme)).await;
        assert!(ended.status < 300, "{}", ended.text);
    }
    assert_eq!(send(&world, "/ocr/async", &[image("pages=3")], &acme).await.status, 202);
}

#[tokio::test]
async fn a_task_that_cannot_be_stored_gives_its_pages_back() {
    let (world, acme) = limited(pages(3)).await;
    world.faults.set_table(Some(crate::support::TableFault::Refuses));
    assert_eq!(send(&world, "/ocr/async", &[image("pages=3")], &acme).await.status, 500);
    world.faults.set_table(None);
    assert_eq!(send(&world, "/ocr/async", &[image("pages=3")], &acme).await.status, 202);
}

#[tokio::test]
async fn stored_bytes_and_open_tasks_are_limited() {
    let own = TenantLimits { stored_bytes: NonZero::new(20), open_tasks: NonZero::new(2), ..TenantLimits::default() };
    let (world, acme) = limited(own).await;
    let first = send(&world, "/ocr/async", &[image("pages=1")], &acme).await;
    assert_eq!(first.status, 202, "{}", first.text);
    assert_eq!(send(&world, "/ocr/async", &[image("pages=2")], &acme).await.status, 202);
    let refused = send(&world, "/ocr/async", &[image("pages=3")], &acme).await;
    let problem = refused.problem(429, "stored_bytes_exceeded");
    assert_eq!(problem["detail"], "Quota exceeded: 7 bytes were sent; 14 of 20 bytes are used by stored documents.");
    assert_eq!(wait(&refused), 60);
    let url = json!({"image_url": "http://127.0.0.1:1/x"});
    let pending = async || {
        let request = world.client.post(world.url("/ocr/async")).bearer_auth(&acme).json(&url);
        TestResponse::read(request.send().await.expect("an answer")).await
    };
    let refused = pending().await;
    assert_eq!(refused.problem(429, "too_many_open_tasks")["retryable"], true);
    assert_eq!(wait(&refused), 5);
    let id = first.json()["task_id"].as_str().expect("an id").to_owned();
    let deleted = ask(&world, Method::DELETE, &format!("/task/{id}"), Some(&acme)).await;
    assert_eq!(deleted.status, 204, "{}", deleted.text);
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let accepted = send(&world, "/ocr/async", &[image("pages=3")], &acme).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    pending().await.problem(429, "too_many_open_tasks");
}

#[tokio::test]
async fn a_nearly_full_disk_refuses_new_tasks_only() {
    let mut world = TestWorld::without_worker(|_| {}).await;
    let accepted = world.post("/ocr/async", &[image("pages=1")]).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let id = accepted.json()["task_id"].as_str().expect("an id").to_owned();
    let (_, second) = world.another_server(|settings| settings.min_free_bytes = Some(u64::MAX - 1)).await;
    let full = |method: Method, path: String| {
        let request = world.client.request(method, format!("http://{second}{path}"));
        async move { TestResponse::read(request.send().await.expect("an answer")).await }
    };
    for path in ["/ocr", "/ocr/batch", "/ocr/async", "/uploads"] {
        let refused = full(Method::POST, path.to_owned()).await;
        assert_eq!(refused.problem(507, "storage_full")["retryable"], true, "{path}");
        assert_eq!(wait(&refused), 60);
    }
    assert_eq!(full(Method::GET, format!("/task/{id}")).await.status, 200);
    assert_eq!(full(Method::DELETE, format!("/task/{id}")).await.status, 204);
}

#[tokio::test]
async fn retried_pages_are_reserved_again() {
    let (mut world, acme) = limited(pages(3)).await;
    world.start_worker();
    let first = send(&world, "/ocr", &[image("pages=2 broken=2")], &acme).await;
    let id = first.json()["task_id"].as_str().expect("an id").to_owned();
    let mut answers = Vec::new();
    for _ in 0..2 {
        answers.push(ask(&world, Method::POST, &format!("/task/{id}/retry"), Some(&acme)).await);
        ask(&world, Method::GET, &format!("/task/{id}?wait=20"), Some(&acme)).await;
    }
    assert_eq!(answers[0].status, 202, "{}", answers[0].text);
    answers[1].problem(429, "quota_exceeded");
}

#[tokio::test]
async fn a_fetched_document_without_a_quota_for_it_fails_with_a_code() {
    let (world, acme) = limited(pages(5)).await;
    world.faults.take_uploads();
    let announced = json!({"content_type": "application/pdf", "bytes": 7});
    let request = world.client.post(world.url("/uploads")).bearer_auth(&acme).json(&announced);
    let answer = TestResponse::read(request.send().await.expect("an answer")).await;
    let task_id = answer.json()["task_id"].as_str().expect("an id").parse().expect("an id");
    let key = quire_tasks::ObjectKey::Inbox { task_id }.to_string();
    world.backend.objects.put(&key, "pages=6".into()).await.expect("it is put there");
    split(&world, task_id, 1).await;
    let task = ask(&world, Method::GET, &format!("/task/{task_id}"), Some(&acme)).await.json();
    assert_eq!((&task["status"], &task["documents"][0]["error"]["code"]), (&"failed".into(), &"quota_exceeded".into()));
    assert_eq!(send(&world, "/ocr/async", &[image("pages=5")], &acme).await.status, 202, "nothing was charged");
}

/// Ingests a document, from this many messages.
async fn split(world: &TestWorld, task_id: quire_tasks::TaskId, messages: usize) {
    let message = quire_tasks::DocumentMessage { task_id, document: 1, round: 1, job: quire_tasks::DocumentJob::Split };
    let queue = world.backend.queue(quire_platform::QueueName::Documents);
    let outgoing = || quire_platform::OutgoingMessage::new(&message, &"acme".parse().expect("a name"));
    queue.send((0..messages).map(|_| outgoing()).collect()).await.expect("the messages");
    let consumer = quire_platform::Consumer::new(queue, std::time::Duration::from_mins(1));
    let mut taken = 0;
    while taken < messages {
        for delivery in consumer.receive(1, std::time::Duration::from_secs(5)).await.expect("a receive") {
            quire_submit::ingest_one(&world.app, delivery.expect("a message")).await.expect("ingested");
            taken += 1;
        }
    }
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
    split(&world, task_id, 2).await;
    let next = send(&world, "/ocr/async", &[image("pages=1")], &acme).await;
    let standing = next.header("ratelimit").expect("a limit");
    assert!(standing.starts_with("\"pages\";r=3;"), "{standing}");
}
