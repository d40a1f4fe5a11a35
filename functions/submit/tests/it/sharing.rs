//! Pools are shared fairly between tenants, and canceled work frees them.
//!
//! The misbehaving tenant `a` uses documents that never end, so that no test depends on how long anything takes.

use std::{
    future::{Future, pending},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    routing::{get, post},
};
use quire_platform::QueueName;
use quire_submit::ingest;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::{key, send},
    support::{TestResponse, TestWorld, images},
};

/// More than a pool has permits.
const MANY: usize = 60;
/// The timeout of everything that must not wait for tenant `a`.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A world with API keys of the tenants `a` and `b`, whose limits do not end what is stuck.
async fn world_of_two() -> (Arc<TestWorld>, String, String) {
    let world = TestWorld::without_worker(|settings| {
        settings.inspect_limit = Duration::from_mins(10);
        settings.fetch_limit = Duration::from_mins(10);
        settings.webhook_test_limit = Duration::from_mins(10);
        settings.min_fetch_rate = 0;
    })
    .await;
    let (_, a) = key(&world, "a", 1).await;
    let (_, b) = key(&world, "b", 2).await;
    (Arc::new(world), a, b)
}

/// A server with a document, one that never responds, and a webhook of each kind.
async fn server() -> (SocketAddr, impl Future<Output = ()>) {
    let app = Router::new()
        .route("/good", get(async || "pages=2"))
        .route("/stuck", get(async || pending::<&str>().await))
        .route("/endless-validation", get(async || "stuck pages=1"))
        .route("/hook", post(async || "ok"))
        .route("/stuck-hook", post(async || pending::<&str>().await));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (address, async move { axum::serve(listener, app).await.expect("a server") })
}

async fn post_json(world: &TestWorld, key: &str, path: &str, body: &Value) -> TestResponse {
    let request = world.client.post(world.url(path)).json(body).bearer_auth(key);
    TestResponse::read(request.send().await.expect("an answer")).await
}

async fn get_json(world: &TestWorld, key: &str, path: &str) -> Value {
    let request = world.client.get(world.url(path)).bearer_auth(key);
    TestResponse::read(request.send().await.expect("an answer")).await.json()
}

async fn submit_url(world: &TestWorld, key: &str, url: String) -> String {
    let answer = post_json(world, key, "/ocr/async", &json!({"image_url": url})).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json()["task_id"].as_str().expect("a task id").to_owned()
}

/// Waits until a document of the task is split.
async fn split(world: &TestWorld, key: &str, id: &str) {
    let begun = Instant::now();
    while get_json(world, key, &format!("/task/{id}/pages")).await["pages"] == json!([]) {
        assert!(begun.elapsed() < TIMEOUT, "the document is not split");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the documents queue has at least this many leased messages.
async fn in_flight(world: &TestWorld, messages: u64) {
    let begun = Instant::now();
    let queue = world.backend.queue(QueueName::Documents);
    while queue.depth().await.expect("a depth").in_flight < messages {
        assert!(begun.elapsed() < TIMEOUT, "too few documents are in flight");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Sends a request of tenant `a` many times, in the background.
fn flood<F: Future<Output = ()> + Send + 'static>(request: impl Fn() -> F) -> JoinSet<()> {
    (0..MANY).map(|_| request()).collect()
}

#[tokio::test]
async fn validations_that_never_end_block_no_other_tenant_and_no_image() {
    let (world, a, b) = world_of_two().await;
    let stuck = |content: &'static str| {
        let (world, a) = (Arc::clone(&world), a.clone());
        move || {
            let (world, a) = (Arc::clone(&world), a.clone());
            async move {
                send(&world, "/ocr/async", &images(&[content]), &a).await;
            }
        }
    };
    let _pdfs = flood(stuck("%PDF-1.7 stuck"));
    while world.spooled() < MANY {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let image = timeout(TIMEOUT, send(&world, "/ocr/async", &images(&["pages=1"]), &a)).await.expect("does not wait");
    assert_eq!(image.status, 202, "an image of the same tenant: {}", image.text);
    let _images = flood(stuck("stuck"));
    while world.spooled() < 2 * MANY {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for content in ["%PDF-1.7 pages=1", "pages=1"] {
        let answer = timeout(TIMEOUT, send(&world, "/ocr/async", &images(&[content]), &b)).await;
        assert_eq!(answer.expect("does not wait").status, 202, "{content}");
    }
}

#[tokio::test]
async fn sources_that_never_respond_block_no_other_tenant() {
    let (world, a, b) = world_of_two().await;
    let (address, server) = server().await;
    let stop = CancellationToken::new();
    let test = async {
        let mut stuck = Vec::new();
        for path in ["/stuck", "/endless-validation"].repeat(MANY / 2) {
            stuck.push(submit_url(&world, &a, format!("http://{address}{path}")).await);
        }
        in_flight(&world, 10).await;
        for _ in 0..3 {
            let id = submit_url(&world, &b, format!("http://{address}/good")).await;
            split(&world, &b, &id).await;
        }
        // Canceling or deleting frees everything, long before any timeout.
        for (number, id) in stuck.iter().enumerate() {
            let answer = if number % 2 == 0 {
                post_json(&world, &a, &format!("/task/{id}/cancel"), &json!({})).await.status
            } else {
                let request = world.client.delete(world.url(&format!("/task/{id}"))).bearer_auth(&a);
                request.send().await.expect("an answer").status().as_u16()
            };
            assert!(answer < 300, "{answer}");
        }
        world.reaches(QueueName::Documents, 0).await;
        let id = submit_url(&world, &a, format!("http://{address}/good")).await;
        split(&world, &a, &id).await;
        stop.cancel();
    };
    let ingesting = ingest(Arc::clone(&world.app), stop.clone());
    tokio::select! {
        (ended, ()) = async { tokio::join!(ingesting, test) } => ended.expect("ingest stops on shutdown"),
        () = server => unreachable!("the server never ends"),
    }
    assert_eq!(world.spooled(), 0);
}

#[tokio::test]
async fn webhook_tests_that_never_end_block_no_other_tenant() {
    let (world, a, b) = world_of_two().await;
    let (address, server) = server().await;
    let test = async {
        let _stuck = flood(|| {
            let (world, a) = (Arc::clone(&world), a.clone());
            let url = format!("http://{address}/stuck-hook");
            async move {
                post_json(&world, &a, "/webhooks/test", &json!({"url": url})).await;
            }
        });
        for _ in 0..3 {
            let url = json!({"url": format!("http://{address}/hook")});
            let answer = timeout(TIMEOUT, post_json(&world, &b, "/webhooks/test", &url)).await.expect("does not wait");
            assert_eq!(answer.json()["delivered"], true, "{}", answer.text);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = test => {}
        () = server => unreachable!("the server never ends"),
    }
}
