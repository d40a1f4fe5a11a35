//! The task options of requests: retention, tags, redaction and callback.

use std::time::Duration;

use quire_platform::{Consumer, QueueName};
use quire_tasks::{
    CallbackPayload, CallbackProgress, CallbackState, PageMessage, RedactKind, RedactPattern, Task, TaskId, UnixMillis,
};
use serde_json::{Value, json};

use crate::support::{FormPart, TestWorld, image, images};

const HOOK: &str = "https://example.com/hook";
const POLICY: &str = r#"{"kinds": ["email", "cn_id"], "patterns": [{"name": "order", "regex": "A\\d{6}"}]}"#;

const fn field<'a>(field: &'a str, content: &'a str) -> FormPart<'a> {
    FormPart { field, file: None, content }
}

/// Returns a world that responds at once and has upload URLs.
async fn world() -> TestWorld {
    let world = TestWorld::without_worker(|settings| settings.sync_limit = Duration::from_millis(1)).await;
    world.faults.take_uploads();
    world
}

async fn task_of(world: &TestWorld, answer: &Value) -> Task {
    let id: TaskId = answer["task_id"].as_str().expect("a task id").parse().expect("an id");
    world.backend.tasks.task(id).await.expect("the task")
}

fn kept_for(task: &Task) -> Duration {
    Duration::from_millis((task.expires_at.0 - task.created_at.0).unsigned_abs())
}

fn assert_redacted(task: &Task) {
    let policy = task.redact.as_ref().expect("a policy");
    assert_eq!(policy.kinds, [RedactKind::Email, RedactKind::CnId]);
    assert_eq!(policy.patterns, [RedactPattern { name: "order".to_owned(), regex: r"A\d{6}".to_owned() }]);
}

fn pages() -> [(&'static str, Vec<FormPart<'static>>); 3] {
    [
        ("/ocr", vec![image("pages=1")]),
        ("/ocr/batch", images(&["pages=1"])),
        ("/ocr/async", images(&["pages=1", "garbage"])),
    ]
}

fn json_calls() -> [(&'static str, Value); 2] {
    [
        ("/ocr/async", json!({"image_url": "https://example.com/a.pdf"})),
        ("/uploads", json!({"content_type": "application/pdf", "bytes": 10})),
    ]
}

fn with(mut body: Value, more: &Value) -> Value {
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    body
}

#[tokio::test]
async fn every_form_accepts_task_options_before_and_after_its_files() {
    let world = world().await;
    let sent = [field("tags", "客戶 7"), field("retention_hours", "1"), field("redact", POLICY), field("tags", "b")];
    for (path, files) in pages() {
        for form in [[&sent[..], &files].concat(), [&files, &sent[..]].concat()] {
            let answer = world.post(path, &form).await;
            assert_eq!(answer.status, 202, "{path}: {}", answer.text);
            let task = task_of(&world, &answer.json()).await;
            assert_eq!(task.tags, ["客戶 7", "b"]);
            assert_eq!(kept_for(&task), Duration::from_hours(1));
            assert_redacted(&task);
            assert_eq!(task.callback, None);
        }
    }
}

#[tokio::test]
async fn every_page_message_has_the_redaction_policy() {
    let world = world().await;
    world.post("/ocr", &[image("pages=1"), field("redact", POLICY)]).await;
    let consumer = Consumer::<PageMessage>::new(world.backend.queue(QueueName::Pages), Duration::from_mins(1));
    let delivery = consumer.receive(1, Duration::from_secs(10)).await.expect("a receive").pop().expect("a delivery");
    let policy = delivery.expect("a page message").message.redact.expect("a policy");
    assert_eq!(policy.kinds, [RedactKind::Email, RedactKind::CnId]);
}

#[tokio::test]
async fn json_calls_accept_task_and_callback_options() {
    let world = world().await;
    let policy: Value = serde_json::from_str(POLICY).expect("JSON");
    let more = json!({
        "tags": ["a", "b"], "retention_hours": 2160, "redact": policy,
        "callback_url": HOOK, "payload": "thin", "progress": true,
    });
    for (path, body) in json_calls() {
        let answer = world.post_json(path, &with(body, &more)).await;
        let task = task_of(&world, &answer.json()).await;
        assert_eq!(
            (&task.tags[..], kept_for(&task)),
            (&["a".to_owned(), "b".to_owned()][..], Duration::from_hours(2160))
        );
        assert_redacted(&task);
        let callback = task.callback.expect("a callback");
        assert_eq!((callback.url.as_str(), callback.state), (HOOK, CallbackState::Pending));
        assert_eq!((callback.payload, callback.progress), (CallbackPayload::Thin, Some(CallbackProgress::default())));
        assert_eq!(callback.base_url, world.url(""), "as the customer calls us");
    }
}

#[tokio::test]
async fn a_form_accepts_callback_options() {
    let world = world().await;
    let file = images(&["pages=1"]);
    for (payload, progress, expected) in [
        ("thin", "true", (CallbackPayload::Thin, Some(CallbackProgress::default()))),
        ("full", "false", (CallbackPayload::Full, None)),
    ] {
        let sent = [field("progress", progress), field("payload", payload), field("callback_url", HOOK)];
        let answer = world.post("/ocr/async", &[&sent[..], &file].concat()).await;
        let callback = task_of(&world, &answer.json()).await.callback.expect("a callback");
        assert_eq!((callback.payload, callback.progress), expected);
    }
}

#[tokio::test]
async fn the_default_options_are_a_week_and_a_full_callback() {
    let world = world().await;
    let nothing = json!({
        "tags": null, "retention_hours": null, "redact": null, "payload": null, "progress": null,
    });
    for body in [json!({}), nothing] {
        for (path, call) in json_calls() {
            let answer = world.post_json(path, &with(with(call, &body), &json!({"callback_url": HOOK}))).await;
            let task = task_of(&world, &answer.json()).await;
            assert_eq!((task.tags.len(), kept_for(&task)), (0, Duration::from_hours(7 * 24)));
            assert_eq!(task.redact, None);
            let callback = task.callback.expect("a callback");
            assert_eq!((callback.payload, callback.progress), (CallbackPayload::Full, None));
        }
    }
    let task = task_of(&world, &world.post("/ocr", &[image("pages=1")]).await.json()).await;
    assert!(task.created_at > UnixMillis(0) && kept_for(&task) == Duration::from_hours(7 * 24));
}

/// Returns invalid options, with the code and the pointer.
fn wrong() -> Vec<(Value, &'static str, String)> {
    let (invalid, missing, unknown) = ("invalid_field", "missing_field", "unknown_field");
    let pattern = |name: &str, regex: &str| json!({"redact": {"patterns": [{"name": name, "regex": regex}]}});
    let cases = vec![
        (json!({"tags": "a"}), invalid, "tags"),
        (json!({"tags": ["a", "b", "c", 4]}), invalid, "tags/3"),
        (json!({"tags": ["a", ""]}), invalid, "tags/1"),
        (json!({"tags": [" "]}), invalid, "tags/0"),
        (json!({"tags": ["a\nb"]}), invalid, "tags/0"),
        (json!({"tags": ["x".repeat(65)]}), invalid, "tags/0"),
        (json!({"tags": vec!["a"; 11]}), invalid, "tags"),
        (json!({"retention_hours": 0}), invalid, "retention_hours"),
        (json!({"retention_hours": 2161}), invalid, "retention_hours"),
        (json!({"retention_hours": -1}), invalid, "retention_hours"),
        (json!({"retention_hours": 1.5}), invalid, "retention_hours"),
        (json!({"retention_hours": "24"}), invalid, "retention_hours"),
        (json!({"redact": "email"}), invalid, "redact"),
        (json!({"redact": {}}), invalid, "redact"),
        (json!({"redact": {"kinds": []}}), invalid, "redact"),
        (json!({"redact": {"kind": ["email"]}}), unknown, "redact/kind"),
        (json!({"redact": {"kinds": "email"}}), invalid, "redact/kinds"),
        (json!({"redact": {"kinds": ["email", "ssn"]}}), invalid, "redact/kinds/1"),
        (json!({"redact": {"kinds": [7]}}), invalid, "redact/kinds/0"),
        (json!({"redact": {"patterns": {}}}), invalid, "redact/patterns"),
        (json!({"redact": {"patterns": ["a"]}}), invalid, "redact/patterns/0"),
        (json!({"redact": {"patterns": [{"name": "a"}]}}), missing, "redact/patterns/0/regex"),
        (json!({"redact": {"patterns": [{"regex": "a"}]}}), missing, "redact/patterns/0/name"),
        (json!({"redact": {"patterns": [{"name": "a", "regex": 7}]}}), invalid, "redact/patterns/0/regex"),
        (json!({"redact": {"patterns": [{"name": "a", "regex": "a", "a/b": 1}]}}), unknown, "redact/patterns/0/a~1b"),
        (pattern("a", "secret("), invalid, "redact/patterns/0/regex"),
        (pattern("a", "x*"), invalid, "redact/patterns/0/regex"),
        (pattern("a", &"x".repeat(513)), invalid, "redact/patterns/0/regex"),
        (pattern("a b", "x"), invalid, "redact/patterns/0/name"),
        (json!({"redact": {"patterns": vec![json!({"name": "a", "regex": "a"}); 17]}}), invalid, "redact/patterns"),
        (json!({"payload": "thin"}), invalid, "payload"),
        (json!({"progress": false}), invalid, "progress"),
        (json!({"payload": "thick", "callback_url": HOOK}), invalid, "payload"),
        (json!({"progress": "true", "callback_url": HOOK}), invalid, "progress"),
        (json!({"progress": 1, "callback_url": HOOK}), invalid, "progress"),
    ];
    cases.into_iter().map(|(sent, code, place)| (sent, code, format!("#/{place}"))).collect()
}

#[tokio::test]
async fn invalid_json_options_are_refused_with_their_pointer() {
    let world = world().await;
    for (sent, code, pointer) in wrong() {
        for (path, body) in json_calls() {
            let answer = world.post_json(path, &with(body, &sent)).await;
            assert_eq!(answer.problem(422, code)["pointer"], pointer, "{sent}");
            assert!(!answer.text.contains("secret"), "{}", answer.text);
        }
    }
    world.assert_empty().await;
}

#[tokio::test]
async fn invalid_form_options_are_refused_with_their_pointer() {
    let world = world().await;
    let long = format!("[\"{}\"]", "x".repeat(64 << 10));
    let eleven = vec![field("tags", "a"); 11];
    let cases: Vec<(Vec<FormPart<'_>>, &str, &str)> = vec![
        (vec![field("tags", "a"), field("tags", "")], "invalid_field", "#/tags/1"),
        (eleven, "invalid_field", "#/tags"),
        (vec![field("retention_hours", "x")], "invalid_field", "#/retention_hours"),
        (vec![field("retention_hours", "2161")], "invalid_field", "#/retention_hours"),
        (vec![field("retention_hours", "1"), field("retention_hours", "1")], "invalid_field", "#/retention_hours"),
        (vec![field("redact", "{")], "invalid_field", "#/redact"),
        (vec![field("redact", &long)], "invalid_field", "#/redact"),
        (vec![field("redact", r#"{"kinds": ["all"]}"#)], "invalid_field", "#/redact/kinds/0"),
        (
            vec![field("redact", r#"{"patterns": [{"name": "a", "regex": "("}]}"#)],
            "invalid_field",
            "#/redact/patterns/0/regex",
        ),
    ];
    for (sent, code, pointer) in cases {
        for (path, file) in pages() {
            let problem = world.post(path, &[&sent[..], &file].concat()).await.problem(422, code);
            assert_eq!(problem["pointer"], pointer, "{path}");
        }
    }
    for (sent, pointer) in [("payload", "#/payload"), ("progress", "#/progress"), ("callback_url", "#/callback_url")] {
        for (path, file) in &pages()[..2] {
            let problem = world.post(path, &[&[field(sent, "true")], &file[..]].concat()).await;
            assert_eq!(problem.problem(422, "unknown_field")["pointer"], pointer, "{path} has no callback");
        }
    }
    for (sent, value) in [("payload", "thin"), ("progress", "true")] {
        let problem = world.post("/ocr/async", &[field(sent, value), image("pages=1")]).await;
        assert_eq!(problem.problem(422, "invalid_field")["pointer"], format!("#/{sent}"));
    }
    world.assert_empty().await;
}

#[tokio::test]
async fn the_largest_policy_fits_into_every_request() {
    let world = world().await;
    let regex = "發".repeat(170);
    let patterns: Vec<Value> = (0..16).map(|n| json!({"name": format!("pattern-{n}"), "regex": regex})).collect();
    let policy = json!({"patterns": patterns});
    let escaped = policy.to_string().replace('發', r"\u767c");
    for (path, body) in json_calls() {
        assert!(world.post_json(path, &with(body, &json!({"redact": policy}))).await.status < 300);
    }
    let answer = world.post("/ocr", &[field("redact", &escaped), image("pages=1")]).await;
    let task = task_of(&world, &answer.json()).await;
    assert_eq!(task.redact.expect("a policy").patterns[15].regex, regex);
}
