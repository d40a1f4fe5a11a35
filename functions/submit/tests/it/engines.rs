//! Canary, paused and failing engines, as customers and operators see them.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{body::Body, extract::Request};
use quire_platform::engine_status::{pause, reinstate, report, resume, roll_back};
use quire_submit::{engine_health, lambda, router};
use quire_tasks::{BreakerState, EngineName, EngineReport, EngineStats, OperatorNote, UnixMillis};
use serde_json::{Value, json};

use crate::support::{TestResponse, TestWorld, image};

const CANARY: &str = r#""routes": [
    {"modes": ["text"], "primary": "a@1", "canary": {"engine": "a@2", "share": 0.5}},
    {"modes": ["markdown"], "primary": "b@1", "fallback": "a@1"}
]"#;

/// Longer than the TTL of the cached engine statuses.
const STALE: Duration = Duration::from_millis(1100);

fn engine(name: &str) -> EngineName {
    name.parse().expect("a name")
}

fn note(reason: &str) -> OperatorNote {
    OperatorNote { reason: reason.to_owned(), by: "ops".to_owned(), at: UnixMillis(1_700_000_000_123) }
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    UnixMillis(since.as_millis() as i64)
}

/// Creates a task; returns its id and its engine.
async fn submitted(world: &TestWorld, mode: &str) -> (String, String) {
    let body = json!({"image_url": "https://example.com/a.pdf", "mode": mode});
    let answer = world.post_json("/ocr/async", &body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let id = answer.json()["task_id"].as_str().expect("a task id").to_owned();
    let engine = world.get(&format!("/task/{id}")).await.json()["engine"].as_str().expect("an engine").to_owned();
    (id, engine)
}

#[tokio::test]
async fn a_canary_gets_its_share_until_it_is_rolled_back() {
    let world = TestWorld::with_routes(CANARY).await;
    let mut tasks = BTreeMap::new();
    for _ in 0..60 {
        let (id, engine) = submitted(&world, "text").await;
        tasks.insert(id, engine);
    }
    let taken = tasks.values().filter(|engine| *engine == "a@2").count();
    // The probability to be outside is about one in 10⁸.
    assert!((8..=52).contains(&taken), "{taken} of 60");
    assert!(roll_back(&world.backend, &engine("a@2"), note("worse")).await.expect("rolled back"));
    tokio::time::sleep(STALE).await;
    for _ in 0..30 {
        assert_eq!(submitted(&world, "text").await.1, "a@1");
    }
    for (id, engine) in tasks {
        assert_eq!(world.get(&format!("/task/{id}")).await.json()["engine"], engine);
    }
    reinstate(&world.backend, &engine("a@2")).await.expect("reinstated");
    tokio::time::sleep(STALE).await;
    let mut again = Vec::new();
    while !again.iter().any(|engine| engine == "a@2") {
        assert!(again.len() < 60, "{again:?}");
        again.push(submitted(&world, "text").await.1);
    }
}

#[tokio::test]
async fn a_task_of_a_paused_engine_has_a_waiting_reason() {
    let mut world = TestWorld::with_routes(r#""routes": [{"modes": ["text"], "primary": "a@1"}]"#).await;
    let id = world.post("/ocr", &[image("pages=1")]).await.json()["task_id"].as_str().expect("an id").to_owned();
    world.app.drained().await;
    let path = format!("/task/{id}");
    let before = world.get(&path).await;
    assert_eq!(before.json()["waiting_reason"], Value::Null);

    pause(&world.backend, &engine("a@1"), note("new weights")).await.expect("paused");
    tokio::time::sleep(STALE).await;
    let expected = json!({"code": "engine_paused", "detail": "a@1 is paused: new weights"});
    let etag = before.header("etag").expect("a tag").to_owned();
    let changed = world.client.get(world.url(&format!("{path}?wait=20"))).header("if-none-match", &etag);
    let changed = TestResponse::read(changed.send().await.expect("an answer")).await;
    assert_eq!((changed.status, &changed.json()["waiting_reason"]), (200, &expected), "at once: that is new");
    let etag = changed.header("etag").expect("a tag").to_owned();
    let known = world.client.get(world.url(&path)).header("if-none-match", &etag).send().await.expect("an answer");
    assert_eq!(known.status().as_u16(), 304);

    world.start_worker();
    let ended = world.ended(&id).await;
    assert_eq!(ended["waiting_reason"], Value::Null, "it waits no longer, paused or not");
}

#[tokio::test]
async fn a_pause_that_ended_is_not_a_waiting_reason() {
    let world = TestWorld::with_routes(r#""routes": [{"modes": ["text"], "primary": "a@1"}]"#).await;
    pause(&world.backend, &engine("a@1"), note("new weights")).await.expect("paused");
    let (id, _) = submitted(&world, "text").await;
    let reason = async || world.get(&format!("/task/{id}")).await.json()["waiting_reason"].clone();
    assert_eq!(reason().await["code"], "engine_paused");
    resume(&world.backend, &engine("a@1")).await.expect("resumed");
    tokio::time::sleep(STALE).await;
    assert_eq!(reason().await, Value::Null);
}

#[tokio::test]
async fn unreadable_engine_status_hides_no_task_and_disables_canaries() {
    let world = TestWorld::with_routes(CANARY).await;
    world.faults.hide_records();
    let (id, engine) = submitted(&world, "markdown").await;
    assert_eq!(engine, "b@1", "there is no canary to ask about");
    let task = world.get(&format!("/task/{id}")).await;
    assert_eq!((task.status, &task.json()["waiting_reason"]), (200, &Value::Null));
    let answer = world.post("/ocr", &[image("pages=1")]).await;
    answer.problem(500, "internal");
    assert!(!answer.text.contains("secret"), "{}", answer.text);
    assert_eq!(world.backend.objects.list("documents/").await.expect("a list"), Vec::<String>::new());
}

#[tokio::test]
async fn engine_health_lists_each_engine() {
    let world = TestWorld::with_routes(CANARY).await;
    let read_health = async || Value::from(engine_health(&world.backend, &world.routes).await.expect("members"));
    let quiet = read_health().await;
    assert_eq!((&quiet["degraded"], quiet.get("unavailable")), (&false.into(), None));
    assert_eq!(quiet["engines"].as_array().map(Vec::len), Some(4));

    let mut stats = EngineStats::default();
    stats.answered(Some(0.5), false, 100);
    stats.answered(None, true, 201);
    stats.failed();
    let (open, reason) = (BreakerState::Open, Some("h:8000 refused the connection".to_owned()));
    let failing =
        EngineReport { engine: engine("b@1"), worker: "1".to_owned(), at: now(), state: open, reason, stats, trial: 0 };
    report(&world.backend, &failing).await.expect("reported");
    report(&world.backend, &EngineReport { worker: "2".to_owned(), ..failing }).await.expect("reported");
    roll_back(&world.backend, &engine("a@2"), note("worse")).await.expect("rolled back");
    pause(&world.backend, &engine("a@2"), note("worse")).await.expect("paused");
    pause(&world.backend, &engine("pp-ocr@v6-small"), note("no route has it")).await.expect("paused");
    let report = read_health().await;
    assert_eq!((&report["degraded"], &report["unavailable"]), (&true.into(), &json!(["b@1"])));
    let of = |name: &str| {
        let engines = report["engines"].as_array().expect("engines").iter();
        engines.clone().find(|engine| engine["engine"] == name).expect("it is listed").clone()
    };
    let expected = json!({
        "engine": "b@1", "state": "open", "reason": "h:8000 refused the connection",
        "routes": [{"role": "primary", "modes": ["markdown"]}],
        "workers": {"live": 2, "not_closed": 2},
        "pages": 6, "failures": 2, "empty": 2, "mean_confidence": 0.5, "mean_ms": 151,
    });
    assert_eq!(of("b@1"), expected);
    let rolled_back = json!({"reason": "worse", "by": "ops", "at": "2023-11-14T22:13:20.123Z"});
    assert_eq!((&of("a@2")["rolled_back"], &of("a@2")["state"]), (&rolled_back, &"paused".into()));
    assert_eq!(of("a@2")["routes"], json!([{"role": "canary", "modes": ["text"], "share": 0.5}]));
    let roles = json!([{"role": "primary", "modes": ["text"]}, {"role": "fallback", "modes": ["markdown"]}]);
    assert_eq!((&of("a@1")["routes"], &of("a@1")["state"]), (&roles, &"closed".into()));
    assert_eq!((&of("a@1")["mean_ms"], of("a@1").get("rolled_back")), (&Value::Null, None));
}

#[tokio::test]
async fn the_health_of_a_lambda_function_includes_engines() {
    let world = TestWorld::without_worker(|_| {}).await;
    let app = router(Arc::new(lambda::app_state(world.backend.clone()).expect("settings from the environment")));
    let health = async || {
        let request = Request::get("/healthz").body(Body::empty()).expect("a request");
        let response = lambda::answer(&world.app, app.clone(), request, Duration::from_secs(20)).await;
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        (status, serde_json::from_slice::<Value>(&body).expect("JSON"))
    };
    let pp_ocr = engine("pp-ocr@v6-small");
    pause(&world.backend, &pp_ocr, note("maintenance")).await.expect("paused");
    let (status, report) = health().await;
    assert_eq!(
        (status, &report["ok"], &report["degraded"]),
        (200, &true.into(), &true.into()),
        "still healthy: {report}"
    );
    assert_eq!(
        (&report["unavailable"], &report["engines"][0]["reason"]),
        (&json!([pp_ocr.to_string()]), &"maintenance".into())
    );
    world.faults.hide_records();
    let (status, report) = health().await;
    assert_eq!((status, &report["ok"], report.get("engines")), (503, &false.into(), None));
}
