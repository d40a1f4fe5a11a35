//! The read options of requests.

use std::time::Duration;

use quire_platform::{Consumer, QueueName};
use quire_tasks::{
    FallbackReason, Line, Mode, ModeName, ObjectKey, Outcome, PageMessage, PageText, ReadAs, Task, TaskId,
    TextLayerPolicy, TriedEngine, WarningKind,
};
use serde_json::{Value, json};

use crate::support::{FormPart, TestWorld, image, images};

/// PP-OCR for text, and a server for three other modes.
const ROUTES: &str = r#""routes": [
    {"modes": ["text"], "primary": "pp-ocr@v6-small"},
    {"modes": ["markdown", "fields", "translate"], "primary": "a@1"}
]"#;

const fn field<'a>(field: &'a str, content: &'a str) -> FormPart<'a> {
    FormPart { field, file: None, content }
}

/// Returns the read options of the next page message, and the same task from `GET /task`.
async fn sent(world: &TestWorld) -> (ReadAs, Value) {
    let consumer = Consumer::<PageMessage>::new(world.backend.queue(QueueName::Pages), Duration::from_mins(1));
    let delivery = consumer.receive(1, Duration::from_secs(10)).await.expect("a receive").pop().expect("a delivery");
    let delivery = delivery.expect("a page message");
    let message = delivery.message;
    delivery.lease.acknowledge().await.expect("acknowledged");
    (message.read_as, world.get(&format!("/task/{}", message.page.task_id)).await.json())
}

async fn task_of(world: &TestWorld, answer: &Value) -> Task {
    let id: TaskId = answer["task_id"].as_str().expect("a task id").parse().expect("an id");
    world.backend.tasks.task(id).await.expect("the task")
}

#[tokio::test]
async fn every_form_accepts_a_mode_and_an_engine_for_every_page() {
    let world = TestWorld::with_routes(ROUTES).await;
    let options = [field("keys", "總計"), field("mode", "fields"), field("engine", "b"), field("keys", "Invoice no.")];
    let keys = vec!["總計".to_owned(), "Invoice no.".to_owned()];
    for path in ["/ocr", "/ocr/batch", "/ocr/async"] {
        let file = if path == "/ocr" { vec![image("pages=1")] } else { images(&["pages=1"]) };
        // Before and after the file: the fields of a form have no order.
        for form in [[&options[..], &file].concat(), [&file, &options[..]].concat()] {
            let answer = world.post(path, &form).await;
            assert_eq!(answer.status, 202, "{path}: {}", answer.text);
            let (read_as, task) = sent(&world).await;
            assert_eq!(read_as.mode, Mode::Fields { keys: keys.clone() });
            assert_eq!((read_as.engine, read_as.pinned), ("b@1".parse().ok(), true));
            assert_eq!((&task["mode"], &task["keys"]), (&"fields".into(), &json!(keys)));
            assert_eq!((&task["engine"], &task["pinned"]), (&"b@1".into(), &true.into()));
            assert_eq!((task.get("language"), &task["waiting_reason"]), (None, &Value::Null));
        }
    }
}

#[tokio::test]
async fn the_default_mode_is_text() {
    let world = TestWorld::with_routes(ROUTES).await;
    for form in [vec![image("pages=1")], vec![image("pages=1"), field("mode", "text")]] {
        world.post("/ocr", &form).await;
        let (read_as, task) = sent(&world).await;
        let expected =
            ReadAs { mode: Mode::Text, engine: "pp-ocr@v6-small".parse().ok(), pinned: false, ..ReadAs::default() };
        assert_eq!(read_as, expected);
        assert_eq!((&task["mode"], &task["engine"]), (&"text".into(), &"pp-ocr@v6-small".into()));
        assert_eq!((&task["pinned"], task.get("keys")), (&false.into(), None));
    }
}

#[tokio::test]
async fn every_form_accepts_a_text_layer_policy_for_every_page() {
    let world = TestWorld::with_routes(ROUTES).await;
    for (path, file) in [("/ocr", image("pages=1")), ("/ocr/batch", images(&["pages=1"])[0])] {
        for policy in TextLayerPolicy::ALL {
            let answer = world.post(path, &[file, field("text_layer", policy.as_str())]).await;
            assert_eq!(answer.status, 202, "{path}: {}", answer.text);
            assert_eq!(sent(&world).await.0.text_layer, policy);
        }
    }
}

#[tokio::test]
async fn json_calls_accept_a_mode_and_an_engine() {
    let world = TestWorld::with_routes(ROUTES).await;
    world.faults.take_uploads();
    for (path, about) in [
        ("/ocr/async", json!({"image_url": "https://example.com/a.pdf"})),
        ("/uploads", json!({"content_type": "application/pdf", "bytes": 10})),
    ] {
        let ask = async |options: Value| {
            let mut body = about.clone();
            body.as_object_mut().expect("an object").extend(options.as_object().expect("an object").clone());
            task_of(&world, &world.post_json(path, &body).await.json()).await.read_as
        };
        let read_as = ask(json!({"mode": "translate", "language": "français", "engine": "a@2"})).await;
        let mode = Mode::Translate { language: "français".to_owned() };
        assert_eq!(read_as, ReadAs { mode, engine: "a@2".parse().ok(), pinned: true, ..ReadAs::default() });
        let read_as = ask(json!({"mode": "fields", "keys": ["a", "b"], "language": null})).await;
        let mode = Mode::Fields { keys: vec!["a".to_owned(), "b".to_owned()] };
        assert_eq!(read_as, ReadAs { mode, engine: "a@1".parse().ok(), pinned: false, ..ReadAs::default() });
        assert_eq!(ask(json!({"text_layer": "never"})).await.text_layer, TextLayerPolicy::Never);
        let nothing = ask(json!({"mode": null, "keys": null, "engine": null, "text_layer": null})).await;
        assert_eq!(nothing.text_layer, TextLayerPolicy::Auto);
        assert_eq!(nothing.engine, "pp-ocr@v6-small".parse().ok());
    }
}

#[tokio::test]
async fn an_invalid_or_unavailable_mode_is_refused_with_its_pointer() {
    let world = TestWorld::with_routes(ROUTES).await;
    world.faults.take_uploads();
    let (invalid, missing, no_mode) = ("invalid_field", "missing_field", "mode_not_offered");
    for (options, code, pointer, detail) in [
        (json!({"mode": "poem"}), invalid, "mode", "Unknown mode: must be one of text, markdown"),
        (json!({"mode": ""}), invalid, "mode", "Unknown mode"),
        (json!({"mode": "fields"}), missing, "keys", "Mode fields requires keys."),
        (json!({"mode": "translate"}), missing, "language", "Mode translate requires language."),
        (json!({"keys": ["a"]}), invalid, "keys", "Mode text does not accept keys."),
        (json!({"mode": "fields", "keys": ["a\nb"]}), invalid, "keys", "without line breaks"),
        (json!({"mode": "fields", "keys": vec!["a"; 65]}), invalid, "keys", "at most 64 texts"),
        (json!({"mode": "markdown", "language": "English"}), invalid, "language", "does not accept language"),
        (json!({"text_layer": "yes"}), invalid, "text_layer", "expected one of auto, never, only."),
        (
            json!({"mode": "translate", "language": "English", "text_layer": "only"}),
            invalid,
            "text_layer",
            "The mode translate needs an image.",
        ),
        (json!({"mode": "table"}), no_mode, "mode", "No engine offers the mode table; available modes: text,"),
        (
            json!({"mode": "formula", "engine": "pp-ocr"}),
            no_mode,
            "mode",
            "pp-ocr@v6-small does not offer the mode formula; its modes: text, markdown, table",
        ),
        (
            json!({"engine": "c@1"}),
            "engine_not_offered",
            "engine",
            "Unknown or ambiguous engine c@1; available engines: a@1,",
        ),
        (json!({"engine": "a"}), "engine_not_offered", "engine", "Unknown or ambiguous engine a;"),
    ] {
        let members = options.as_object().expect("an object");
        let texts: Vec<(&str, &str)> = members
            .iter()
            .flat_map(|(name, value)| {
                let values = value.as_array().map_or_else(|| vec![value], |values| values.iter().collect());
                values.into_iter().map(|value| (name.as_str(), value.as_str().expect("text")))
            })
            .collect();
        let fields = texts.iter().map(|(name, text)| field(name, text));
        let form: Vec<FormPart<'_>> = [image("pages=1")].into_iter().chain(fields).collect();
        let mut by_url = members.clone();
        by_url.insert("image_url".to_owned(), "https://example.com/a.pdf".into());
        let mut announced = members.clone();
        announced.extend([("content_type".to_owned(), "application/pdf".into()), ("bytes".to_owned(), 10.into())]);
        for answer in [
            world.post("/ocr", &form).await,
            world.post("/ocr/async", &form).await,
            world.post_json("/ocr/async", &by_url.into()).await,
            world.post_json("/uploads", &announced.into()).await,
        ] {
            let problem = answer.problem(422, code);
            assert_eq!(problem["pointer"], format!("#/{pointer}"), "{options}");
            assert!(problem["detail"].as_str().is_some_and(|text| text.contains(detail)), "{options}: {problem}");
            assert_eq!(problem["retryable"], false);
        }
    }
    world.assert_empty().await;
}

#[tokio::test]
async fn fields_of_the_wrong_type_too_long_or_repeated_are_refused() {
    let world = TestWorld::with_routes(ROUTES).await;
    let url = "https://example.com/a.pdf";
    for (body, pointer) in [
        (json!({"image_url": url, "mode": 7}), "#/mode"),
        (json!({"image_url": url, "mode": "fields", "keys": "a"}), "#/keys"),
        (json!({"image_url": url, "mode": "fields", "keys": ["a", 7]}), "#/keys/1"),
        (json!({"image_url": url, "language": ["English"]}), "#/language"),
        (json!({"image_url": url, "engine": {"name": "a"}}), "#/engine"),
    ] {
        let problem = world.post_json("/ocr/async", &body).await.problem(422, "invalid_field");
        assert_eq!(problem["pointer"], pointer, "{body}");
    }
    let long = "x".repeat(401);
    for name in ["mode", "keys", "language", "engine"] {
        let problem = world.post("/ocr", &[field(name, &long), image("pages=1")]).await.problem(422, "invalid_field");
        assert_eq!((&problem["pointer"], &problem["detail"]), (&format!("#/{name}").into(), &TOO_LONG.into()));
    }
    let twice = [image("pages=1"), field("engine", "a@1"), field("engine", "a@2")];
    let problem = world.post("/ocr", &twice).await.problem(422, "invalid_field");
    assert_eq!(problem["pointer"], "#/engine");
    world.assert_empty().await;
}

const TOO_LONG: &str = "Must not exceed 400 bytes.";

#[tokio::test]
async fn the_longest_keys_fit_into_every_request() {
    let world = TestWorld::with_routes(ROUTES).await;
    // Four bytes each in UTF-8, and twelve when escaped in JSON.
    let keys = vec!["𠮷".repeat(100); 64];
    let fields = keys.iter().map(|key| field("keys", key));
    let form: Vec<FormPart<'_>> = [image("pages=1"), field("mode", "fields")].into_iter().chain(fields).collect();
    assert_eq!(world.post("/ocr", &form).await.status, 202);
    let (read_as, _) = sent(&world).await;
    assert_eq!(read_as.mode, Mode::Fields { keys: keys.clone() });
    let keys = json!(keys).to_string().replace('𠮷', r"\ud842\udfb7");
    let body = format!(r#"{{"image_url": "https://example.com/a.pdf", "mode": "fields", "keys": {keys}}}"#);
    let post = world.client.post(world.url("/ocr/async")).header("content-type", "application/json").body(body);
    assert_eq!(post.send().await.expect("an answer").status().as_u16(), 202);
}

#[tokio::test]
async fn a_page_of_another_mode_has_the_output_of_that_mode() {
    let world = TestWorld::with_routes(ROUTES).await;
    let answer = world.post("/ocr", &[image("pages=1"), field("mode", "fields"), field("keys", "total")]).await;
    let task = task_of(&world, &answer.json()).await;
    let page = task.pages().next().expect("a page");
    let line = Line { text: r#"{"total": "7"}"#.to_owned(), confidence: Some(0.25), polygon: None, ..Line::default() };
    let mut read = PageText::from_lines("a@1".parse().expect("a name"), 100, 50, 0, vec![line]);
    read.mode = ModeName::Fields;
    read.fields = json!({"total": "7"}).as_object().cloned();
    read.warnings = vec![WarningKind::CutOff.into()];
    read.tried = vec![TriedEngine {
        engine: "b@1".parse().expect("a name"),
        why: FallbackReason::LessSure,
        code: None,
        confidence: Some(0.2),
    }];
    let key = ObjectKey::PageText { page, round: 1 }.to_string();
    world.backend.objects.put(&key, serde_json::to_vec(&read).expect("JSON").into()).await.expect("stored");
    let outcome = Outcome::Succeeded { confidence: Some(0.25), needs_review: true };
    world.backend.tasks.complete_page(page, 1, outcome).await.expect("the page ends");
    let answer = world.ended(&task.id.to_string()).await;
    let page = &answer["documents"][0]["pages"][0];
    assert_eq!((&page["mode"], &page["needs_review"]), (&"fields".into(), &true.into()));
    let message = "the answer was cut off: text may be missing";
    let warnings = json!([{"code": "cut_off", "message": message}]);
    assert_eq!((&page["fields"], &page["warnings"]), (&json!({"total": "7"}), &warnings));
    assert_eq!(page["tried"][0]["why"], "less_sure");
    assert_eq!((&page["text"], &page["lines"][0]["polygon"]), (&r#"{"total": "7"}"#.into(), &Value::Null));
}
